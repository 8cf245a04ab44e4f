//! The histograms of a column, with the memory that they take.
//!
//! Neighbouring steps often have the same one, as where samples come less often than steps: it is
//! charged once. What it stops the query for is noticed by the next check.

use super::Charge;
use model::Histogram;
use std::sync::Arc;
use store::QueryContext;

/// See the module.
pub(super) struct Histograms<'q> {
    /// By step, or empty where there are none.
    by_step: Vec<Option<Arc<Histogram>>>,
    held: Charge<'q>,
}

impl<'q> Histograms<'q> {
    pub(super) fn none(context: &'q QueryContext) -> Self {
        Histograms { by_step: Vec::new(), held: Charge::nothing(context) }
    }

    /// Whether there never was one, or all were taken away together.
    pub(super) fn is_empty(&self) -> bool {
        self.by_step.is_empty()
    }

    pub(super) fn has_any(&self) -> bool {
        self.by_step.iter().any(Option::is_some)
    }

    pub(super) fn get(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.by_step.get(step)?.as_ref()
    }

    /// Puts one at `step` of so many `steps`.
    pub(super) fn set(&mut self, step: usize, steps: usize, histogram: Arc<Histogram>) {
        if self.by_step.is_empty() {
            self.by_step.resize(steps, None);
            self.held.add(size_of_val(self.by_step.as_slice()));
        }
        self.clear_step(step);
        if !self.is_beside(step, &histogram) {
            self.held.add(histogram.memory_bytes());
        }
        self.by_step[step] = Some(histogram);
    }

    pub(super) fn clear_step(&mut self, step: usize) {
        let Some(before) = self.by_step.get_mut(step).and_then(Option::take) else { return };
        if !self.is_beside(step, &before) {
            self.held.give_back(before.memory_bytes());
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_step = Vec::new();
        self.held.give_back(usize::MAX);
    }

    fn is_beside(&self, step: usize, histogram: &Arc<Histogram>) -> bool {
        let is_same = |step: Option<usize>| {
            step.and_then(|step| self.get(step)).is_some_and(|other| Arc::ptr_eq(other, histogram))
        };
        is_same(step.checked_sub(1)) || is_same(step.checked_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        eval::{EvalError, EvalOptions, range},
        parser::{ParseOptions, parse},
    };
    use model::{Buckets, Labels, MetricBatch, Span};
    use store::{Limits, MemMetricStore, MetricStore, StopReason};

    const BUCKETS: usize = 400;
    const SAMPLES: i64 = 60;

    /// A store of ten series with 60 histograms of more than 3 KB each: 2 MB.
    fn wide_histograms() -> MemMetricStore {
        let store = MemMetricStore::new();
        let mut batch = MetricBatch::default();
        for host in 0..10 {
            let labels = Labels::from_pairs([("__name__", "h".to_owned()), ("host", host.to_string())]);
            batch.begin_with(labels.as_ref());
            for i in 1..=SAMPLES {
                let spans = vec![Span { offset: 0, length: BUCKETS as u32 }];
                let histogram = Histogram {
                    schema: 3,
                    is_integer: true,
                    count: (BUCKETS as i64 * i) as f64,
                    sum: 1.0,
                    positive: Buckets { spans, counts: vec![i as f64; BUCKETS] },
                    ..Histogram::default()
                };
                batch.histogram(i * 15_000, 0, histogram);
            }
        }
        assert_eq!(store.append(&batch, None, 0).unwrap().rejected, []);
        store
    }

    #[test]
    fn queries_of_histograms_are_held_to_their_memory() {
        let store = wide_histograms();
        let fits = |query: &str, memory_bytes_max: u64| {
            let context = QueryContext::new(Limits { memory_bytes_max, ..Limits::default() });
            let expr = parse(query, &ParseOptions::default()).unwrap();
            let (end_ms, step_ms) = (SAMPLES * 15_000, 15_000);
            let answer = range(&expr, 0, end_ms, step_ms, &store, &EvalOptions::default(), &context);
            assert_eq!(context.usage().memory_bytes, 0, "`{query}` gives all back");
            match answer {
                Ok(_) => true,
                Err(EvalError::Stopped(StopReason::TooMuchMemory(_))) => false,
                Err(other) => panic!("{other}"),
            }
        };
        for query in [
            "h",
            "rate(h[1m])",
            "last_over_time(h[1m])",
            "sum_over_time(h[1m])",
            "h * 2",
            "sum by (host) (h)",
            "avg by (host) (h)",
            "sum_over_time(h[1m:15s])",
            "topk(10, h) or h",
        ] {
            assert!(!fits(query, 1 << 20), "`{query}` in 1 MiB");
            assert!(fits(query, 20 << 20), "`{query}` in 20 MiB");
        }
        assert!(fits("histogram_count(h)", 1 << 20), "histograms that are not kept are given back");
        assert!(fits("h @ 900", 1 << 20), "one histogram at many steps is there once");
    }

    #[test]
    fn what_is_held_is_charged_once_and_given_back() {
        let context = QueryContext::default();
        let histogram = || Arc::new(Histogram { custom_values: vec![1.0; 1_000], ..Histogram::default() });
        let held = || context.usage().memory_bytes as usize;
        let (one, slots) = (histogram().memory_bytes(), 10 * size_of::<usize>());
        assert!(one > 8_000);
        let mut histograms = Histograms::none(&context);
        let shared = histogram();
        for step in 0..5 {
            histograms.set(step, 10, shared.clone());
        }
        assert_eq!(held(), slots + one);
        for step in 5..9 {
            histograms.set(step, 10, histogram());
        }
        assert_eq!(held(), slots + 5 * one);
        for step in 0..5 {
            histograms.set(step, 10, histogram());
        }
        assert_eq!(held(), slots + 9 * one);
        for step in 0..9 {
            histograms.clear_step(step);
        }
        assert_eq!(held(), slots);
        histograms.set(9, 10, shared);
        histograms.clear();
        assert_eq!(held(), 0);
        histograms.set(0, 10, histogram());
        drop(histograms);
        assert_eq!(held(), 0);
    }
}
