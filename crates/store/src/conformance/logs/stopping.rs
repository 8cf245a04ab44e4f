//! Budgets and cancellation.

use super::*;
use crate::{CountRequest, Limits, StopReason, StoreError};

const COUNT: usize = 2000;

fn write(subject: &LogSubject<'_>) {
    let lines: Vec<Line> =
        (0..COUNT).map(|i| line(&stream("a"), NOW_NS + i as i64, &format!("line number {i}"))).collect();
    store_all(&**subject, &lines);
}

fn drain(scan: &dyn LogScan, context: &QueryContext) -> Result<(), StoreError> {
    (0..scan.units().len())
        .try_for_each(|index| scan.read(index, context, &mut |_: Row<'_>| ControlFlow::Continue(())))
}

pub(super) fn a_canceled_query_reads_nothing(subject: &mut LogSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::default();
    let scan = subject.scan(&everything(), &context).expect("a scan works");
    context.stop(StopReason::Canceled);
    let stopped = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Stopped(StopReason::Canceled))), "{result:?}");
    };
    stopped(drain(&*scan, &context));
    stopped(subject.scan(&everything(), &context).map(drop));
    stopped(subject.streams(&[], TimeRange::ALL, &context).map(drop));
    stopped(subject.selection_stats(&[], TimeRange::ALL, &context).map(drop));
    let counts = CountRequest {
        matchers: Vec::new(),
        range: TimeRange::new(NOW_NS, NOW_NS + 10),
        step_ns: 1,
        by: Vec::new(),
    };
    stopped(subject.counts(&counts, &context).map(drop));
}

pub(super) fn a_read_budget_stops_a_scan(subject: &mut LogSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::new(Limits { read_bytes_max: 100, ..Limits::default() });
    let outcome = subject.scan(&everything(), &context).and_then(|scan| drain(&*scan, &context));
    assert!(matches!(outcome, Err(StoreError::Stopped(StopReason::TooMuchRead(100)))), "{outcome:?}");
    let roomy = QueryContext::new(Limits { read_bytes_max: 50 << 20, ..Limits::default() });
    let scan = subject.scan(&everything(), &roomy).expect("a scan works");
    drain(&*scan, &roomy).expect("a budget that suffices stops nothing");
}

pub(super) fn reads_are_counted(subject: &mut LogSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::default();
    let scan = subject.scan(&everything(), &context).expect("a scan works");
    drain(&*scan, &context).expect("a scan can be read");
    let usage = context.usage();
    assert!(usage.samples_read >= COUNT as u64, "{usage:?}");
    assert!(usage.bytes_read >= (COUNT * "line number".len()) as u64, "{usage:?}");
}
