//! Service level objectives: a few lines that become recording rules and multi-window,
//! multi-burn-rate alerts, as the SRE workbook has them.
//!
//! What good and all events come to in a second is recorded as `slo:errors:rate` and
//! `slo:events:rate`; every window's error ratio is the average of the one over the average of the
//! other, so that busy hours count for more, and a window of days reads recordings and not the
//! service's own series. An alert needs a long window, which says that budget worth speaking of
//! has gone, and a short one, which says that it is still going. Windows are given for an
//! objective over 30 days and scale with it, so that an alert always stands for the same share of
//! the budget. Without events there is no ratio, and nothing fires.
//!
//! Three groups come of one objective: `slo:NAME:events` in the language of its queries,
//! `slo:NAME` with the ratios and alerts, and `slo:NAME:budget`, which reads the whole window and
//! so is evaluated every [`BUDGET_INTERVAL_MS`].

use super::{
    definition::{GroupDefinition, NoData, RuleDefinition, RuleKind},
    load::Reader,
    schema::{SloYaml, TextMap},
};
use crate::{problem::Place, querier::Source};
use model::duration_to_string;
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The window that the burn rates are given for, and the default.
const REFERENCE_MS: i64 = 30 * DAY_MS;
/// Shorter objectives would want windows shorter than a scrape.
const WINDOW_MIN_MS: i64 = 7 * DAY_MS;
const WINDOW_MAX_MS: i64 = 90 * DAY_MS;
/// No window is shorter: it must hold some evaluations.
const SHORT_MIN_MS: i64 = 2 * MINUTE_MS;
/// Between evaluations of rates, ratios and alerts, whatever the server's default is: a rate that
/// was recorded once a minute stands for the events of that minute.
const INTERVAL_MS: i64 = MINUTE_MS;
const BUDGET_INTERVAL_MS: i64 = 15 * MINUTE_MS;

/// An alert and the conditions for it: burn rate, long window, short window.
struct Burn {
    alert: &'static str,
    severity: &'static str,
    summary: &'static str,
    conditions: [(f64, i64, i64); 2],
}

/// 2 % of the budget in an hour or 5 % in six is worth getting up for; 10 % in one day or in three
/// can wait for the morning.
static BURNS: [Burn; 2] = [
    Burn {
        alert: "SloBurnsFast",
        severity: "critical",
        summary: "{{ $labels.slo }} uses up its error budget fast",
        conditions: [(14.4, HOUR_MS, 5 * MINUTE_MS), (6.0, 6 * HOUR_MS, 30 * MINUTE_MS)],
    },
    Burn {
        alert: "SloBurnsSlowly",
        severity: "warning",
        summary: "{{ $labels.slo }} will not last with its error budget",
        conditions: [(3.0, DAY_MS, 2 * HOUR_MS), (1.0, 3 * DAY_MS, 6 * HOUR_MS)],
    },
];

/// An objective once it has been read and found good.
struct Slo {
    name: String,
    /// In percent.
    objective: f64,
    window_ms: i64,
    source: Source,
    /// Of errors and of all events, in a second.
    errors: String,
    events: String,
    /// Errors within a long window below which nothing fires; 0 for none.
    errors_min: u64,
    labels: BTreeMap<String, String>,
    annotations: Vec<(String, String)>,
}

impl Reader<'_> {
    /// Adds the groups of one objective, or its problems.
    pub(super) fn slo(&mut self, slo: Spanned<SloYaml>, names: &mut BTreeSet<String>) {
        let place = Place::of(&slo);
        let before = self.problems.len();
        let slo = self.read_slo(slo.value, place);
        if self.problems.len() > before {
            return;
        }
        for group in slo.groups(self.file) {
            if !names.insert(group.name.clone()) {
                return self.report(place, format!("slo name `{}` is repeated in the file", slo.name));
            }
            self.loaded.groups.push(group);
        }
    }

    fn read_slo(&mut self, slo: SloYaml, place: Place) -> Slo {
        let name = slo.name.unwrap_or_default();
        if name.is_empty() {
            self.report(place, "slo name must not be empty");
        }
        let prefix = format!("slo \"{name}\"");
        let objective = slo.objective.as_ref().map(|objective| (objective.value, Place::of(objective)));
        let (objective, at) = objective.unwrap_or((0.0, place));
        if objective > 0.0 && objective < 1.0 {
            let meant = (objective * 1e8).round() / 1e6;
            self.report(at, format!("{prefix}: objective is a percentage; did you mean {meant}?"));
        } else if !(objective > 0.0 && objective < 100.0) {
            self.report(
                at,
                format!("{prefix}: objective must be a percentage between 0 and 100, such as 99.9"),
            );
        }
        let window_ms = self.duration(&prefix, "window", slo.window.as_ref()).unwrap_or(REFERENCE_MS);
        if !(WINDOW_MIN_MS..=WINDOW_MAX_MS).contains(&window_ms) {
            let at = slo.window.as_ref().map_or(place, Place::of);
            self.report(at, format!("{prefix}: window must be between 7d and 90d"));
        }
        let source = self.source(&prefix, slo.source.as_ref());
        for query in [&slo.good, &slo.bad, &slo.total, &slo.error_ratio].into_iter().flatten() {
            self.expression(&prefix, place, Some(query), source);
        }
        let text =
            |query: &Option<Spanned<String>>| query.as_ref().map(|query| query.value.trim().to_owned());
        let (errors, events) =
            match (text(&slo.good), text(&slo.bad), text(&slo.total), text(&slo.error_ratio)) {
                // Series of errors, or of success, may not exist yet.
                (Some(good), None, Some(total), None) => {
                    (format!("({total}) - (({good}) or ({total}) * 0)"), total)
                }
                (None, Some(bad), Some(total), None) => (format!("({bad}) or ({total}) * 0"), total),
                (None, None, None, Some(ratio)) => (ratio.clone(), format!("({ratio}) * 0 + 1")),
                _ => {
                    let message = "give `total` with one of `good` and `bad`, or `error_ratio` alone";
                    self.report(place, format!("{prefix}: {message}"));
                    Default::default()
                }
            };
        let errors_min = slo.errors_min.as_ref().map_or(0, |at_least| at_least.value);
        if let (Some(at_least), Some(_)) = (&slo.errors_min, &slo.error_ratio) {
            self.report(
                Place::of(at_least),
                format!("{prefix}: errors_min needs `total`, to know how many there are"),
            );
        }
        let labels = self.slo_labels(&prefix, slo.labels.as_ref(), &name);
        let annotations = self.texts(&prefix, "annotation", slo.annotations.as_ref(), true);
        Slo { name, objective, window_ms, source, errors, events, errors_min, labels, annotations }
    }

    fn slo_labels(&mut self, prefix: &str, given: Option<&TextMap>, name: &str) -> BTreeMap<String, String> {
        for reserved in ["slo", "window", "severity"] {
            if let Some(label) = given.and_then(|labels| labels.get(reserved)) {
                self.report(
                    Place::of(label),
                    format!("{prefix}: label `{reserved}` is set by the expansion"),
                );
            }
        }
        let mut labels: BTreeMap<_, _> = self.texts(prefix, "label", given, false).into_iter().collect();
        labels.insert("slo".to_owned(), name.to_owned());
        labels
    }
}

impl Slo {
    fn groups(&self, file: &str) -> [GroupDefinition; 3] {
        let group =
            |suffix: &str, interval_ms: i64, source: Source, rules: Vec<RuleDefinition>| GroupDefinition {
                file: file.to_owned(),
                name: format!("slo:{}{suffix}", self.name),
                interval_ms,
                query_offset_ms: 0,
                limit: 0,
                source,
                rules,
            };
        let events = vec![
            self.record("slo:events:rate", self.events.clone(), None),
            self.record("slo:errors:rate", self.errors.clone(), None),
        ];
        let windows: BTreeSet<i64> = BURNS
            .iter()
            .flat_map(|burn| burn.conditions)
            .flat_map(|(_, long_ms, short_ms)| [self.scaled(long_ms), self.scaled(short_ms)])
            .collect();
        let ratios = windows.into_iter().map(|window_ms| self.ratio(window_ms));
        let burning = ratios.chain(BURNS.iter().map(|burn| self.alert(burn))).collect();
        let left = format!("1 - slo:error_ratio{} / {}", self.selector(self.window_ms), self.budget(1.0));
        let budget = vec![
            self.ratio(self.window_ms),
            self.record("slo:budget_left:ratio", left, Some(self.window_ms)),
        ];
        [
            group(":events", INTERVAL_MS, self.source, events),
            group("", INTERVAL_MS, Source::Metrics, burning),
            group(":budget", BUDGET_INTERVAL_MS, Source::Metrics, budget),
        ]
    }

    fn record(&self, metric: &str, expr: String, window_ms: Option<i64>) -> RuleDefinition {
        let mut labels = self.labels.clone();
        if let Some(window_ms) = window_ms {
            labels.insert("window".to_owned(), duration_to_string(window_ms));
        }
        let kind = RuleKind::Record { metric: metric.to_owned() };
        RuleDefinition { expr, labels: labels.into_iter().collect(), kind }
    }

    fn ratio(&self, window_ms: i64) -> RuleDefinition {
        let (slo, window) = (quoted(&self.name), duration_to_string(window_ms));
        let average = |metric: &str| format!("avg_over_time({metric}{{slo={slo}}}[{window}])");
        let expr = format!("{} / {}", average("slo:errors:rate"), average("slo:events:rate"));
        self.record("slo:error_ratio", expr, Some(window_ms))
    }

    fn alert(&self, burn: &Burn) -> RuleDefinition {
        let conditions = burn.conditions.map(|(rate, long_ms, short_ms)| {
            let (long_ms, short_ms) = (self.scaled(long_ms), self.scaled(short_ms));
            let limit = self.budget(rate);
            let over = |window_ms| format!("slo:error_ratio{} > {limit}", self.selector(window_ms));
            format!("({} and ignoring (window) {}{})", over(long_ms), over(short_ms), self.enough(long_ms))
        });
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), burn.summary.to_owned()),
            ("description".to_owned(), self.description()),
            (
                "runbook_url".to_owned(),
                format!("{{{{ $externalURL }}}}/runbooks/{}", burn.alert.to_lowercase()),
            ),
        ]);
        annotations.extend(self.annotations.iter().cloned());
        let mut labels = self.labels.clone();
        labels.insert("severity".to_owned(), burn.severity.to_owned());
        RuleDefinition {
            expr: format!("max without (window) ({})", conditions.join(" or ")),
            labels: labels.into_iter().collect(),
            kind: RuleKind::Alert {
                name: burn.alert.to_owned(),
                for_ms: 0,
                // The short window ends an alert soon enough; a lull of a minute shall not.
                keep_firing_for_ms: 5 * MINUTE_MS,
                no_data: NoData::Ok,
                annotations: annotations.into_iter().collect(),
            },
        }
    }

    /// The condition that there were enough errors within a long window.
    fn enough(&self, long_ms: i64) -> String {
        if self.errors_min == 0 {
            return String::new();
        }
        let (slo, window) = (quoted(&self.name), duration_to_string(long_ms));
        let seconds = INTERVAL_MS / 1000;
        format!(
            " and ignoring (window) sum_over_time(slo:errors:rate{{slo={slo}}}[{window}]) * {seconds} >= {}",
            self.errors_min
        )
    }

    fn description(&self) -> String {
        let window = duration_to_string(self.window_ms);
        format!(
            "{{{{ $value | humanizePercentage }}}} of the events fail; over {window} it may be {} %.",
            self.budget(100.0)
        )
    }

    /// Selects the ratio of one window.
    fn selector(&self, window_ms: i64) -> String {
        format!("{{slo={},window={}}}", quoted(&self.name), quoted(&duration_to_string(window_ms)))
    }

    /// The share of events that may fail, `times` over, without the noise of binary fractions.
    fn budget(&self, times: f64) -> f64 {
        ((100.0 - self.objective) / 100.0 * times * 1e12).round() / 1e12
    }

    /// A window for this objective, in whole minutes.
    fn scaled(&self, reference_ms: i64) -> i64 {
        let exact_ms = i128::from(reference_ms) * i128::from(self.window_ms) / i128::from(REFERENCE_MS);
        let minutes = (exact_ms + i128::from(MINUTE_MS) / 2) / i128::from(MINUTE_MS);
        (minutes as i64 * MINUTE_MS).max(SHORT_MIN_MS)
    }
}

/// A PromQL string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests;
