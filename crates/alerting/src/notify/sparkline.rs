//! The last hour of what a rule measures, as a line of blocks, for mails.
//!
//! Bounds: the first [`ALERTS_MAX`] alerts that fire, [`POINTS`] points each, [`PATIENCE`] for all
//! of them: a mail is never kept waiting for its picture.

use super::Message;
use crate::{
    alert::{Alert, Fingerprint},
    querier::{GraphSeries, Querier, Source},
    rules::element_id,
};
use model::METRIC_NAME;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const ALERTS_MAX: usize = 5;
const POINTS: i64 = 30;
const WINDOW_MS: i64 = 3_600_000;
const PATIENCE: Duration = Duration::from_secs(3);
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Lines by alert.
pub(crate) type Sparklines = BTreeMap<Fingerprint, String>;

/// Draws the lines of a message's alerts; those for which that fails are left out.
pub(crate) async fn draw(querier: Arc<dyn Querier>, message: &Message, now_ms: i64) -> Sparklines {
    let measured = |alert: &&Alert| alert.measure.as_ref().is_some_and(|measure| !measure.expr.is_empty());
    let firing = message.alerts.iter().filter(|alert| !alert.resolved).map(|alert| &alert.alert);
    let alerts: Vec<Alert> = firing.filter(measured).take(ALERTS_MAX).cloned().collect();
    if alerts.is_empty() {
        return Sparklines::new();
    }
    let drawn = tokio::task::spawn_blocking(move || lines(querier.as_ref(), &alerts, now_ms));
    match tokio::time::timeout(PATIENCE, drawn).await {
        Ok(Ok(lines)) => lines,
        _ => Sparklines::new(),
    }
}

fn lines(querier: &dyn Querier, alerts: &[Alert], now_ms: i64) -> Sparklines {
    let mut found = Sparklines::new();
    let exprs: BTreeSet<&str> = alerts.iter().filter_map(expr).collect();
    for wanted in exprs {
        let step_ms = WINDOW_MS / POINTS;
        let graph = querier.graph(Source::Metrics, wanted, now_ms - WINDOW_MS, now_ms, step_ms);
        let Ok(series) = graph else { continue };
        for alert in alerts.iter().filter(|alert| expr(alert) == Some(wanted)) {
            if let Some(line) = own(&series, alert).and_then(|series| line(&series.points, now_ms)) {
                found.insert(alert.fingerprint(), line);
            }
        }
    }
    found
}

fn expr(alert: &Alert) -> Option<&str> {
    alert.measure.as_ref().map(|measure| measure.expr.as_str())
}

/// The series that the alert stands for, when that is certain: a line of another would mislead.
fn own<'a>(series: &'a [GraphSeries], alert: &Alert) -> Option<&'a GraphSeries> {
    let element = alert.measure.as_ref().map_or(0, |measure| measure.element);
    let found: Vec<&GraphSeries> = if element == 0 {
        let fitting = || series.iter().filter(|series| fits(series, alert));
        // One with fewer labels is another: an aggregate, or one that lacks a label.
        let most = fitting().map(|series| series.labels.without(&[METRIC_NAME]).len()).max();
        fitting().filter(|series| Some(series.labels.without(&[METRIC_NAME]).len()) == most).collect()
    } else {
        series.iter().filter(|series| element_id(&series.labels) == element).collect()
    };
    match found[..] {
        [own] => Some(own),
        _ => None,
    }
}

/// Whether all of a series' labels are the alert's too.
fn fits(series: &GraphSeries, alert: &Alert) -> bool {
    let mut labels = series.labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    labels.all(|(name, value)| alert.labels.value(name) == value)
}

/// Blocks from the least to the greatest value; a gap where there is none.
fn line(points: &[(i64, f64)], now_ms: i64) -> Option<String> {
    let finite = || points.iter().filter(|(_, value)| value.is_finite());
    let least = finite().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let greatest = finite().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
    if finite().count() < 2 {
        return None;
    }
    let step_ms = WINDOW_MS / POINTS;
    let mut line: Vec<char> = vec!['\u{2007}'; POINTS as usize + 1];
    for (at_ms, value) in finite() {
        let place = (at_ms - (now_ms - WINDOW_MS)) / step_ms;
        let height = if greatest > least { (value - least) / (greatest - least) } else { 0.0 };
        let block = BLOCKS[((height * 7.0).round() as usize).min(7)];
        if let Some(slot) = usize::try_from(place).ok().and_then(|place| line.get_mut(place)) {
            *slot = block;
        }
    }
    Some(line.into_iter().collect::<String>().trim_end_matches('\u{2007}').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{
        alert::Measure,
        querier::{ExpressionError, QueryFailure, Reading},
        receivers::sink::firing,
    };
    use model::Labels;

    /// Temperatures: of one host, of another, and of all.
    struct World;

    impl Querier for World {
        fn instant(&self, _: Source, _: &str, _: i64) -> Result<Reading, QueryFailure> {
            Ok(Reading::Vector(Vec::new()))
        }

        fn graph(
            &self,
            _: Source,
            _: &str,
            start_ms: i64,
            _: i64,
            step_ms: i64,
        ) -> Result<Vec<GraphSeries>, QueryFailure> {
            let series = |host: &str, first: f64, second: f64| GraphSeries {
                labels: Labels::from_pairs([(METRIC_NAME, "ktemp"), ("host", host)]),
                points: vec![(start_ms, first), (start_ms + step_ms, second)],
            };
            Ok(vec![series("", 1.0, 2.0), series("x", 1.0, 1.0), series("y", 2.0, 1.0)])
        }

        fn check(&self, _: Source, _: &str) -> Result<(), ExpressionError> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_of_the_alerts_own_series_or_of_none() {
        let of =
            |labels: &[(&'static str, &'static str)]| element_id(&Labels::from_pairs(labels.iter().copied()));
        for (host, element, expected) in [
            ("y", of(&[("host", "y")]), Some("█▁")),
            // The label is the rule's own.
            ("y", of(&[]), Some("▁█")),
            ("y", of(&[("host", "z")]), None),
            ("y", 0, Some("█▁")),
            ("z", 0, Some("▁█")),
        ] {
            let mut alert = firing().alerts.remove(0).alert;
            alert.labels = Labels::from_pairs([("alertname", "Hot"), ("host", host), ("severity", "page")]);
            let expr = "ktemp".to_owned();
            alert.measure = Some(Measure { value: "2".into(), condition: "> 1".into(), expr, element });
            let lines = lines(&World, std::slice::from_ref(&alert), WINDOW_MS);
            assert_eq!(lines.get(&alert.fingerprint()).map(String::as_str), expected, "{host} {element}");
        }
    }

    #[test]
    fn values_become_blocks_and_gaps_stay() {
        let step = WINDOW_MS / POINTS;
        let points: Vec<_> =
            [(0, 0.0), (1, 7.0), (3, 3.5)].map(|(place, value)| (place * step, value)).to_vec();
        let drawn = line(&points, WINDOW_MS).unwrap();
        assert_eq!(drawn, "▁█\u{2007}▅");
        assert_eq!(line(&points[..1], WINDOW_MS), None);
        assert_eq!(line(&[(0, 5.0), (step, 5.0)], WINDOW_MS).unwrap(), "▁▁");
    }
}
