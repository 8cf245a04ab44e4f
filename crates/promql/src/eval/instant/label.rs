//! `label_replace` and `label_join`.

use super::super::{EvalResult, Evaluator, Grid, Series, Sink, fail, name};
use crate::{ast::Expr, quote::quote_bytes};
use model::{
    Labels, METRIC_NAME,
    go_regex::{self, Dot, EXPANDED_BYTES_MAX},
};

impl<'q> Evaluator<'q> {
    /// `label_replace(v, dst, replacement, src, regex)`
    pub(super) fn label_replace(
        &self,
        arg: &Expr,
        rest: &[Expr],
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let [dst, replacement, src, regex] = rest else { return fail("label_replace needs four texts") };
        let (replacement, src, pattern) = (self.text(replacement)?, self.text(src)?, self.text(regex)?);
        let Ok(regex) = go_regex::compile_anchored(&pattern, Dot::Any) else {
            return fail(format!("invalid regular expression in label_replace(): {pattern}"));
        };
        let dst = self.argument_name(dst, "destination", "label_replace")?;
        self.relabel(arg, &dst, grid, sink, |labels| match regex.captures(labels.value(&src)) {
            None => Ok(None),
            Some(captures) => go_regex::expand(&captures, &replacement).map(Some).ok_or("label_replace()"),
        })
    }

    /// `label_join(v, dst, separator, src…)`
    pub(super) fn label_join(
        &self,
        arg: &Expr,
        rest: &[Expr],
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let [dst, separator, sources @ ..] = rest else { return fail("label_join needs two texts") };
        let separator = self.text(separator)?;
        let sources = sources.iter().map(|source| self.argument_name(source, "source", "label_join"));
        let sources = sources.collect::<EvalResult<Vec<_>>>()?;
        let dst = self.argument_name(dst, "destination", "label_join")?;
        self.relabel(arg, &dst, grid, sink, |labels| {
            let values: Vec<&str> = sources.iter().map(|source| labels.value(source)).collect();
            let bytes = values.iter().map(|value| value.len() + separator.len()).sum::<usize>();
            if bytes > EXPANDED_BYTES_MAX { Err("label_join()") } else { Ok(Some(values.join(&separator))) }
        })
    }

    /// An argument that is to be a label's name.
    fn argument_name(&self, expr: &Expr, role: &str, function: &str) -> EvalResult<String> {
        self.label_name(expr).or_else(|_| {
            let text = self.text(expr)?;
            fail(format!("invalid {role} label name in {function}(): {text}"))
        })
    }

    /// A text that is to be a label's name.
    pub(in crate::eval) fn label_name(&self, expr: &Expr) -> EvalResult<String> {
        let Expr::String(literal) = expr.unwrap_parens() else { return fail("expected a string") };
        match std::str::from_utf8(&literal.bytes) {
            Ok(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => fail(format!("invalid label name {}", quote_bytes(&literal.bytes))),
        }
    }

    /// Sets one label of every series to what `value` gives, if anything; equal series are merged. Where
    /// it would be too long, `value` gives the name of the function.
    fn relabel(
        &self,
        arg: &Expr,
        dst: &str,
        grid: Grid,
        sink: Sink<'_, 'q>,
        value: impl Fn(&Labels) -> Result<Option<String>, &'static str>,
    ) -> EvalResult<()> {
        let mut all = Vec::new();
        self.stream(arg, grid, &mut |mut series| {
            let value = value(&series.labels).or_else(|function| {
                fail(format!("{function} makes a label of more than {EXPANDED_BYTES_MAX} bytes"))
            })?;
            all.push(match value {
                None => series,
                Some(value) => {
                    let labels = series.labels.to_builder().set(dst, &value).build();
                    // All of them: an outer call copies what inner ones have set.
                    series.column.hold_labels(labels.as_bytes().len())?;
                    // A name that was set anew stays.
                    let drop_name = series.drop_name && dst != METRIC_NAME;
                    Series { labels, drop_name, ..series }
                }
            });
            Ok(())
        })?;
        name::merge_equal(all)?.into_iter().try_for_each(sink)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        eval::{EvalError, EvalOptions, range},
        parser::{ParseOptions, parse},
    };
    use model::{Labels, MetricBatch};
    use store::{Limits, MemMetricStore, MetricStore, QueryContext, StopReason};

    const HOSTS: usize = 100;

    /// Whether a query about `up` of a hundred hosts stays within so many bytes.
    fn fits(query: &str, memory_bytes_max: u64) -> bool {
        let store = MemMetricStore::new();
        let mut batch = MetricBatch::default();
        for host in 0..HOSTS {
            let labels = Labels::from_pairs([("__name__", "up".to_owned()), ("i", host.to_string())]);
            batch.begin_with(labels.as_ref());
            batch.sample(0, 0, 1.0);
        }
        store.append(&batch, None, 0).unwrap();
        let limits = Limits { memory_bytes_max, ..Limits::default() };
        let expr = parse(query, &ParseOptions::default()).unwrap();
        let context = QueryContext::new(limits);
        match range(&expr, 0, 0, 1, &store, &EvalOptions::default(), &context) {
            Ok(_) => true,
            Err(EvalError::Stopped(StopReason::TooMuchMemory(_))) => false,
            Err(other) => panic!("{other}"),
        }
    }

    /// Sets a label of its own to a thousand bytes.
    fn widened(inner: &str, call: usize) -> String {
        format!("label_replace({inner}, 'l{call}', '{}', 'i', '.*')", "v".repeat(1_000))
    }

    #[test]
    fn labels_that_nested_calls_set_are_charged_whole() {
        let query = (0..20).fold("up".to_owned(), |inner, call| widened(&inner, call));
        // The last call's labels, 20 KB for each host.
        assert!(!fits(&query, 1_900_000));
        assert!(fits(&query, 8_000_000));
        assert!(fits(&widened("up", 0), 1_900_000));
    }

    #[test]
    fn labels_are_charged_for_as_long_as_their_series_lives() {
        let sides: Vec<_> = (0..20).map(|call| widened("up", call)).collect();
        let query = sides.join(" or ");
        assert!(!fits(&query, 1_900_000));
        assert!(fits(&query, 8_000_000));
        assert!(fits(&format!("count({}) + count({})", sides[0], sides[1]), 250_000));
    }
}
