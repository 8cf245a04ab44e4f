//! Budgets and cancellation.

use super::super::random::Random;
use super::*;
use crate::{Limits, StopReason, StoreError};

const COUNT: usize = 5000;

fn write(subject: &MetricSubject<'_>) {
    let mut random = Random::new(5);
    let samples: Vec<_> = (0..COUNT as i64).map(|i| (NOW_MS + i, f64::from_bits(random.next()))).collect();
    store_all(&**subject, &floats(&[("__name__", "x")], &samples));
}

fn everything() -> Selection {
    Selection { matchers: Vec::new(), range: TimeRange::ALL, step_ms: 0 }
}

pub(super) fn a_canceled_query_reads_nothing(subject: &mut MetricSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::default();
    let set = subject.select(&everything(), &context).expect("a selection works");
    context.stop(StopReason::Canceled);
    let stopped = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Stopped(StopReason::Canceled))), "{result:?}");
    };
    stopped(set.read(0, &context, &mut Samples::default()));
    stopped(subject.select(&everything(), &context).map(drop));
    stopped(subject.series(&[], TimeRange::ALL, 10, &context).map(drop));
    stopped(subject.label_names(&[], TimeRange::ALL, &context).map(drop));
    stopped(subject.label_values("x", &[], TimeRange::ALL, &context).map(drop));
    stopped(subject.exemplars(&[], TimeRange::ALL, &context).map(drop));
}

pub(super) fn a_read_budget_stops_a_read(subject: &mut MetricSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::new(Limits { read_bytes_max: 100, ..Limits::default() });
    let outcome = subject
        .select(&everything(), &context)
        .and_then(|set| set.read(0, &context, &mut Samples::default()));
    assert!(matches!(outcome, Err(StoreError::Stopped(StopReason::TooMuchRead(100)))), "{outcome:?}");
    let roomy = QueryContext::new(Limits { read_bytes_max: 10 << 20, ..Limits::default() });
    let set = subject.select(&everything(), &roomy).expect("a selection works");
    set.read(0, &roomy, &mut Samples::default()).expect("a budget that suffices stops nothing");
}

pub(super) fn reads_are_counted(subject: &mut MetricSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::default();
    let set = subject.select(&everything(), &context).expect("a selection works");
    set.read(0, &context, &mut Samples::default()).expect("a read works");
    let usage = context.usage();
    assert!(usage.samples_read >= COUNT as u64, "{usage:?}");
    assert!(usage.bytes_read >= COUNT as u64, "{usage:?}");
}
