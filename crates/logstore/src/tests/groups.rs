//! Counts by group against the rows themselves.

use super::model::{question, rows, run_shaped, shape, step};
use model::{Labels, TimeRange};
use proptest::prelude::*;
use std::{collections::BTreeMap, ops::ControlFlow};
use store::{GroupRequest, GroupRows, LogRequest, LogStore, QueryContext, RowGroup};

/// Rows and bytes by stream, metadata and bucket of time.
type Counts = BTreeMap<(Labels, Labels, i64), (u64, u64)>;

/// By what rows are told apart.
struct Apart<'a> {
    names: Option<&'a [String]>,
    /// `None`: every time is one of its own.
    step_ns: Option<i64>,
}

impl Apart<'_> {
    fn bucket(&self, timestamp_ns: i64) -> i64 {
        timestamp_ns.div_euclid(self.step_ns.unwrap_or(1))
    }

    fn metadata(&self, all: &Labels) -> Labels {
        let is_named = |name: &str| self.names.is_none_or(|names| names.iter().any(|other| other == name));
        Labels::from_pairs(all.iter().filter(|(name, _)| is_named(name)))
    }
}

fn counted(store: &dyn LogStore, request: &LogRequest, apart: &Apart<'_>) -> Counts {
    let context = QueryContext::default();
    let scan = store.scan(request, &context).unwrap();
    let is_one_time =
        |range: TimeRange| apart.step_ns.is_some() && apart.bucket(range.start) == apart.bucket(range.end);
    let asked = GroupRequest { metadata: apart.names, is_one_time: &is_one_time, with_bytes: true };
    let mut counts = Counts::new();
    for unit in 0..scan.units().len() {
        let mut sink = |group: RowGroup<'_>| {
            let mut add = |timestamp_ns: i64, rows: u64, bytes: u64| {
                let metadata = apart.metadata(&group.metadata.to_owned());
                let key = (group.labels.clone(), metadata, apart.bucket(timestamp_ns));
                let count = counts.entry(key).or_default();
                *count = (count.0 + rows, count.1 + bytes);
            };
            match group.rows {
                GroupRows::OneTime { timestamp_ns, rows, bytes } => add(timestamp_ns, rows, bytes),
                GroupRows::Each { times_ns, line_bytes } => {
                    assert_eq!(times_ns.len(), line_bytes.len());
                    times_ns.iter().zip(line_bytes).for_each(|(&time, &bytes)| add(time, 1, bytes.into()));
                }
            }
            ControlFlow::Continue(())
        };
        scan.count(unit, &asked, &context, &mut sink).unwrap();
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn counts_are_those_of_the_rows(
        steps in prop::collection::vec(step(), 1..14),
        questions in prop::collection::vec(question(), 12),
        shape in shape(),
    ) {
        let (_dir, store, _reference, lines) = run_shaped(&steps, shape);
        let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let names = [named(&[]), named(&["detected_level"]), named(&["trace_id", "absent", "detected_level"])];
        for question in questions.iter().filter(|_| !lines.is_empty()) {
            let request = question.request(&lines);
            let rows = rows(&store, &request);
            for names in names.iter().map(|names| Some(names.as_slice())).chain([None]) {
                for step_ns in [None, Some(5_000_000_000), Some(i64::MAX)] {
                    let apart = Apart { names, step_ns };
                    let mut expected = Counts::new();
                    for (labels, time, line, metadata) in &rows {
                        let key = (labels.clone(), apart.metadata(metadata), apart.bucket(*time));
                        let count = expected.entry(key).or_default();
                        *count = (count.0 + 1, count.1 + line.len() as u64);
                    }
                    prop_assert_eq!(counted(&store, &request, &apart), expected, "{:?}", request);
                }
            }
        }
    }
}
