//! `info`: series enriched with the labels of info metrics that describe the same target.

use super::super::{EvalResult, Evaluator, Grid, Series, Sink, column::Column, fail, name, select::Field};
use crate::{
    ast::{DurationExpr, Expr, Modifiers, VectorSelector},
    position::Span,
};
use hashbrown::{HashMap, HashSet};
use model::{Labels, METRIC_NAME, MatchOp, Matcher};

/// The labels by which a series and its info series know each other.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric that is used when none is named.
const DEFAULT_INFO: &str = "target_info";

/// Info series by their identifying labels. Their values are the times of their samples.
type Infos<'q> = HashMap<Labels, Vec<Series<'q>>>;

/// Which info series, and which of their labels.
struct Wanted {
    /// On the info metric's name.
    names: Vec<Matcher>,
    /// On labels to be taken over, by name; all labels when empty.
    data: Vec<Matcher>,
}

impl Wanted {
    fn new(selector: Option<&VectorSelector>) -> Self {
        let matchers = selector.map(|selector| selector.matchers.clone()).unwrap_or_default();
        let (mut names, data): (Vec<_>, Vec<_>) =
            matchers.into_iter().partition(|matcher| matcher.name() == METRIC_NAME);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, DEFAULT_INFO));
        } else if !names.iter().any(is_positive) {
            // Conditions that only exclude need something to exclude from.
            names.extend(Matcher::new(METRIC_NAME, MatchOp::Regex, ".+_info"));
        }
        Wanted { names, data }
    }

    /// Whether a base series is itself one of the info series that are asked for.
    fn is_info(&self, labels: &Labels) -> bool {
        self.names.iter().all(|matcher| matcher.matches(labels.metric_name()))
    }

    fn takes(&self, label: &str) -> bool {
        label != METRIC_NAME
            && !IDENTIFYING.contains(&label)
            && (self.data.is_empty() || self.data.iter().any(|matcher| matcher.name() == label))
    }
}

fn is_positive(matcher: &Matcher) -> bool {
    matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex)
}

impl<'q> Evaluator<'q> {
    pub(super) fn info_join(
        &self,
        arg: &Expr,
        selector: Option<&Expr>,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let selector = match selector.map(Expr::unwrap_parens) {
            None => None,
            Some(Expr::Vector(selector)) => Some(selector),
            Some(_) => return fail("expected label selectors as the second argument of info"),
        };
        let wanted = Wanted::new(selector);
        let base = self.vector(arg, grid)?;
        let infos = self.info_series(&wanted, &base, arg, grid)?;
        let mut results = Vec::with_capacity(base.len());
        for series in base {
            self.context.check()?;
            if wanted.is_info(&series.labels) {
                results.push(series);
            } else {
                self.enrich(series, &infos, &wanted, &mut results)?;
            }
        }
        name::merge_equal(results)?.into_iter().try_for_each(sink)
    }

    /// The info series that may belong to a base series, looked up at the time the base samples come
    /// from.
    fn info_series(
        &self,
        wanted: &Wanted,
        base: &[Series<'q>],
        arg: &Expr,
        grid: Grid,
    ) -> EvalResult<Infos<'q>> {
        let mut infos = Infos::new();
        let known = identifying_values(base, wanted);
        if known.iter().all(HashSet::is_empty) {
            return Ok(infos);
        }
        let selector = VectorSelector {
            name: None,
            matchers: wanted.names.iter().chain(&wanted.data).cloned().collect(),
            modifiers: self.reference_time(arg)?,
            extension: None,
            span: Span::default(),
        };
        self.select_field(&selector, Field::FloatTimestamp, grid, &mut |series| {
            let is_known = |(label, values): (&&str, &HashSet<&str>)| {
                values.is_empty() || values.contains(series.labels.value(label))
            };
            if !IDENTIFYING.iter().zip(&known).all(is_known) {
                return Ok(());
            }
            if series.column.has_histograms() {
                let name = series.labels.metric_name();
                return fail(format!("this should be an info metric, with float samples: {name}"));
            }
            infos.entry(series.labels.keep(&IDENTIFYING)).or_default().push(series);
            Ok(())
        })?;
        Ok(infos)
    }

    /// When the samples of the base vector were read: the modifiers around its first selector. Offsets
    /// add up on the way in, and the innermost `@` counts.
    fn reference_time(&self, arg: &Expr) -> EvalResult<Modifiers> {
        let own = match arg.unwrap_parens() {
            Expr::Vector(selector) => return Ok(selector.modifiers.clone()),
            Expr::Matrix(matrix) => return Ok(matrix.selector.modifiers.clone()),
            Expr::Subquery(subquery) => &subquery.modifiers,
            _ => &Modifiers::default(),
        };
        let children = arg.unwrap_parens().children();
        let Some(child) = children.first() else { return Ok(own.clone()) };
        let inner = self.reference_time(child)?;
        if inner.at.is_some() {
            return Ok(inner);
        }
        let offset_ms = self.offset_ms(own)? + self.offset_ms(&inner)?;
        Ok(Modifiers { at: own.at, offset: Some(DurationExpr::from_ms(offset_ms)) })
    }

    /// Splits a series by the info labels that hold at each step.
    fn enrich(
        &self,
        series: Series<'q>,
        infos: &Infos<'q>,
        wanted: &Wanted,
        results: &mut Vec<Series<'q>>,
    ) -> EvalResult<()> {
        let key = series.labels.keep(&IDENTIFYING);
        let candidates = infos.get(&key).filter(|_| !key.is_empty()).map_or(&[][..], Vec::as_slice);
        let mut parts: HashMap<Labels, Column<'q>> = HashMap::new();
        let needs_match = wanted.data.iter().any(|matcher| !matcher.matches_empty());
        for (step, sample) in series.column.present() {
            let present = newest(candidates, step)?;
            if present.is_empty() && needs_match {
                continue;
            }
            let labels = enriched_labels(&series.labels, &present, wanted)?;
            let column = match parts.entry(labels) {
                hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                hashbrown::hash_map::Entry::Vacant(entry) => {
                    entry.insert(Column::absent(series.column.len(), self.context)?)
                }
            };
            column.set(step, sample.to_value());
        }
        let drop_name = series.drop_name;
        let mut parts: Vec<_> = parts.into_iter().collect();
        parts.sort_by(|a, b| a.0.cmp(&b.0));
        results.extend(parts.into_iter().map(|(labels, column)| Series { labels, drop_name, column }));
        Ok(())
    }
}

/// Which values the base series have for each identifying label. Where they have any, an info series
/// must have one of them.
fn identifying_values<'a>(base: &'a [Series<'_>], wanted: &Wanted) -> [HashSet<&'a str>; 2] {
    IDENTIFYING.map(|label| {
        let enriched = base.iter().filter(|series| !wanted.is_info(&series.labels));
        enriched.map(|series| series.labels.value(label)).filter(|value| !value.is_empty()).collect()
    })
}

/// For each info metric the series whose sample is the newest at `step`: where a target's labels have
/// changed, the old ones are seen until the lookback ends.
fn newest<'a, 'q>(candidates: &'a [Series<'q>], step: usize) -> EvalResult<Vec<&'a Series<'q>>> {
    let sampled_ms = |info: &Series<'_>| (info.column.floats[step] * 1000.0).round() as i64;
    let mut chosen: Vec<&Series<'_>> = Vec::new();
    for info in candidates.iter().filter(|info| info.column.has(step)) {
        let same_metric = |other: &&Series<'_>| other.labels.metric_name() == info.labels.metric_name();
        let Some(place) = chosen.iter().position(same_metric) else {
            chosen.push(info);
            continue;
        };
        let (existing_ms, new_ms) = (sampled_ms(chosen[place]), sampled_ms(info));
        if existing_ms == new_ms {
            let (existing, new) = (&chosen[place].labels, &info.labels);
            return fail(format!(
                "found duplicate series for info metric: existing {existing} @ {existing_ms}, \
                 new {new} @ {new_ms}"
            ));
        }
        if existing_ms < new_ms {
            chosen[place] = info;
        }
    }
    Ok(chosen)
}

/// The series' labels and those of its info series; what the series has itself stays.
fn enriched_labels(base: &Labels, infos: &[&Series<'_>], wanted: &Wanted) -> EvalResult<Labels> {
    let mut builder = base.to_builder();
    let mut taken: HashMap<&str, &str> = HashMap::new();
    for info in infos {
        for (label, value) in info.labels.iter().filter(|(label, _)| wanted.takes(label)) {
            if base.get(label).is_some() {
                continue;
            }
            match taken.insert(label, value) {
                Some(before) if before != value => return fail(format!("conflicting label: {label}")),
                _ => builder.set(label, value),
            };
        }
    }
    Ok(builder.build())
}
