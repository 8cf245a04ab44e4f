//! Vectors: runs of one series' samples joined, long lists grown with little slack.

use model::Samples;

/// Makes room for one more element, growing by an eighth: lists with an entry for each series would
/// otherwise hold up to twice what they need.
pub(crate) fn reserve_one<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 16);
    }
}

/// Adds `run` to `all`; both ascend. Where both have a sample for a time, that of `all` stays: the
/// store has refused other values, so they are equal.
pub(crate) fn append_run(all: &mut Samples, run: &mut Samples) {
    let (Some(&last), Some(&first)) = (all.timestamps_ms.last(), run.timestamps_ms.first()) else {
        if all.is_empty() {
            std::mem::swap(all, run);
        }
        return;
    };
    if first > last {
        return extend(all, run);
    }
    let older = std::mem::take(all);
    let (mut i, mut j) = (0, 0);
    while i < older.len() || j < run.len() {
        let from_older = match (older.timestamps_ms.get(i), run.timestamps_ms.get(j)) {
            (Some(a), Some(b)) if a == b => {
                j += 1;
                true
            }
            (Some(a), Some(b)) => a < b,
            (Some(_), None) => true,
            _ => false,
        };
        let (source, at) = if from_older { (&older, &mut i) } else { (&*run, &mut j) };
        all.push(source.timestamps_ms[*at], source.start_ms(*at), &source.value(*at));
        *at += 1;
    }
}

/// Appends a run that begins after the end.
fn extend(all: &mut Samples, run: &Samples) {
    let before = all.len();
    if !run.starts_ms.is_empty() || !all.starts_ms.is_empty() {
        all.starts_ms.resize(before, 0);
        all.starts_ms.extend_from_slice(&run.starts_ms);
        all.starts_ms.resize(before + run.len(), 0);
    }
    all.histograms.extend(run.histograms.iter().map(|(i, h)| (i + before as u32, h.clone())));
    all.timestamps_ms.extend_from_slice(&run.timestamps_ms);
    all.values.extend_from_slice(&run.values);
}

/// Takes what was appended after the first `before` samples away and returns it.
pub(crate) fn split_off(all: &mut Samples, before: usize) -> Samples {
    let first = all.histograms.partition_point(|(i, _)| (*i as usize) < before);
    let mut histograms = all.histograms.split_off(first);
    histograms.iter_mut().for_each(|(i, _)| *i -= before as u32);
    Samples {
        timestamps_ms: all.timestamps_ms.split_off(before.min(all.timestamps_ms.len())),
        values: all.values.split_off(before.min(all.values.len())),
        histograms,
        starts_ms: all.starts_ms.split_off(before.min(all.starts_ms.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Histogram, Value};
    use std::sync::Arc;

    fn samples(pairs: &[(i64, f64)]) -> Samples {
        let mut samples = Samples::default();
        for (at, value) in pairs {
            samples.push(*at, at / 10, &Value::Float(*value));
        }
        samples
    }

    fn check(a: &[(i64, f64)], b: &[(i64, f64)], expected: &[(i64, f64)]) {
        let (mut all, mut run) = (samples(a), samples(b));
        append_run(&mut all, &mut run);
        assert_eq!(all, samples(expected), "{a:?} and {b:?}");
    }

    #[test]
    fn what_was_appended_comes_off_whole() {
        let histogram =
            Value::Histogram(Arc::new(Histogram { count: 3.0, sum: 7.0, ..Histogram::default() }));
        let pushed = |all: &mut Samples, from: i64| {
            all.push(from, from / 10, &Value::Float(0.5));
            all.push(from + 1, from / 10, &histogram);
        };
        let told = |samples: &Samples| -> Vec<_> {
            (0..samples.len())
                .map(|i| (samples.timestamps_ms[i], samples.start_ms(i), samples.value(i)))
                .collect()
        };
        for kept in [0, 1, 3] {
            let mut all = Samples::default();
            (0..kept).for_each(|i| pushed(&mut all, i * 100));
            let before = told(&all);
            pushed(&mut all, 5_000);
            let taken = split_off(&mut all, before.len());
            assert_eq!(told(&all), before);
            assert_eq!(
                told(&taken),
                [(5_000, 500, Value::Float(0.5)), (5_001, 500, histogram.clone())],
                "after {kept}"
            );
        }
    }

    #[test]
    fn runs_join_in_order_without_repeats() {
        check(&[], &[(1, 1.0)], &[(1, 1.0)]);
        check(&[(1, 1.0)], &[], &[(1, 1.0)]);
        check(&[(1, 1.0)], &[(20, 2.0)], &[(1, 1.0), (20, 2.0)]);
        check(
            &[(1, 1.0), (30, 3.0)],
            &[(2, 2.0), (30, 9.0), (40, 4.0)],
            &[(1, 1.0), (2, 2.0), (30, 3.0), (40, 4.0)],
        );
        check(&[(5, 5.0)], &[(1, 1.0)], &[(1, 1.0), (5, 5.0)]);
    }
}
