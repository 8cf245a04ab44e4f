//! The store against the in-memory reference: random batches, flushes, merges, deletions and
//! reopenings, then every kind of question.

use super::{MEDIUM, SMALL, options};
use crate::{Logstore, part::writer::Shape};
use disk::{Dir, Faults};
use model::{Labels, LabelsRef, LogBatch, MatchOp, Matcher, TimeRange};
use proptest::prelude::*;
use regex::bytes::Regex;
use std::{collections::HashMap, ops::ControlFlow};
use store::{
    CountRequest, Direction, LineFilter, LogRequest, LogStore, MemLogStore, QueryContext, Row, StreamId,
};

const DAY: i64 = 86_400_000_000_000;

/// One row of a batch, by small numbers.
#[derive(Clone, Debug)]
pub(super) struct Line {
    stream: u8,
    time: i64,
    text: String,
    trace: u8,
}

impl Line {
    pub(super) fn new(stream: u8, time: i64, text: String, trace: u8) -> Line {
        Line { stream, time, text, trace }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Append(Vec<Line>),
    Flush,
    Maintain,
    Reopen,
    Delete { stream: u8, range: (i64, i64), needle: String },
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "(error|info|timeout|refused|blk_|ſtop|Kelvin|é|日本|_)",
        "[0-9]{1,7}",
        "[0-9a-f]{16}",
        "[0-9a-f]{40}",
        "(ab1|ab12|AB1|x9y|10\\.0\\.0\\.[0-9])",
        "[A-Z][a-z]{2}",
        // Colours, escapes of JSON, and bytes that text seldom has.
        "(\x1b\\[[0-9]{1,2}m|\\\\u00e9|\\\\\"|\\\\/|\x00|\x7f|\u{85}|\u{1f600})",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec((word(), "( |:|=|\"|\\\\n|\n|-|)"), 0..6)
        .prop_map(|words| words.into_iter().map(|(word, gap)| word + &gap).collect())
}

/// Lines of few templates, so that frames keep them by template and column.
fn formatted() -> impl Strategy<Value = String> {
    ("(error|GET|é)", "[0-9]{1,4}", "[0-9a-f]{8}", "(x[0-9]|a1b[0-9]z|0[0-9])", any::<bool>()).prop_map(
        |(word, number, hex, id, is_long)| {
            if is_long {
                format!("{word} /{number} id={hex} took {number}ms by {id}")
            } else {
                format!("{word}: {id}.{hex}")
            }
        },
    )
}

fn line() -> impl Strategy<Value = Line> {
    (0u8..5, 0i64..40, prop_oneof![text(), formatted()], 0u8..6).prop_map(|(stream, time, text, trace)| {
        let time = time * 1_000_000_007 + if stream == 4 { DAY } else { 0 };
        Line { stream, time, text, trace }
    })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(line(), 1..30).prop_map(Step::Append),
        3 => Just(Step::Flush),
        2 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
        1 => (0u8..6, 0i64..40, 1i64..20, "(error|1|a|)").prop_map(|(stream, start, length, needle)| {
            let range = (start * 1_000_000_007, (start + length) * 1_000_000_007);
            Step::Delete { stream, range, needle }
        }),
    ]
}

fn stream_labels(stream: u8) -> Labels {
    let app = if stream < 2 { "web" } else { "db" };
    Labels::from_pairs([("service_name", app), ("pod", &format!("p{stream}"))])
}

fn metadata(trace: u8) -> Labels {
    let level = ["", "info", "error"][usize::from(trace % 3)];
    let trace = if trace > 3 { format!("trace{trace}") } else { String::new() };
    Labels::from_pairs([("detected_level", level), ("trace_id", &trace)])
}

fn batch(lines: &[Line]) -> LogBatch {
    let mut batch = LogBatch::default();
    for line in lines {
        batch.begin_with(stream_labels(line.stream).as_ref());
        batch.entry(line.time, &line.text, metadata(line.trace).as_ref());
    }
    batch
}

/// Runs the steps on both stores.
pub(super) fn run(steps: &[Step]) -> (Dir, Logstore, MemLogStore, Vec<Line>) {
    run_shaped(steps, SMALL)
}

/// As [`run`], with pieces of another size.
pub(super) fn run_shaped(steps: &[Step], shape: Shape) -> (Dir, Logstore, MemLogStore, Vec<Line>) {
    let dir = Dir::simulated(7, Faults::default());
    let open = |dir: &Dir| Logstore::open_shaped(dir.clone(), options(), shape, 0).unwrap();
    let (mut store, reference) = (open(&dir), MemLogStore::new());
    let mut lines = Vec::new();
    for step in steps {
        match step {
            Step::Append(rows) => {
                let receipt = store.append(&batch(rows), None, 0).unwrap();
                receipt.commit.wait().unwrap();
                let expected = reference.append(&batch(rows), None, 0).unwrap();
                assert_eq!((receipt.stored, receipt.rejected), (expected.stored, expected.rejected));
                lines.extend(rows.iter().cloned());
            }
            Step::Flush => store.flush().unwrap(),
            Step::Maintain => {
                // The day is over, and then it is settled.
                store.maintain(10 * DAY, 10 * DAY).unwrap();
                store.maintain(11 * DAY, 11 * DAY).unwrap();
            }
            Step::Reopen => {
                drop(store);
                store = open(&dir);
            }
            Step::Delete { stream, range, needle } => {
                let matchers = [Matcher::equal("pod", format!("p{stream}"))];
                let filters = [LineFilter::ContainsAny(vec![needle.clone().into_bytes()])];
                let range = TimeRange::new(range.0, range.1);
                store.delete(&matchers, range, &filters).unwrap();
                reference.delete(&matchers, range, &filters).unwrap();
            }
        }
    }
    (dir, store, reference, lines)
}

/// All rows of a scan as comparable values, in order of time, label and text.
pub(super) fn rows(store: &dyn LogStore, request: &LogRequest) -> Vec<(Labels, i64, String, Labels)> {
    let context = QueryContext::default();
    let scan = store.scan(request, &context).unwrap();
    let mut rows = Vec::new();
    let mut names: HashMap<StreamId, Labels> = HashMap::new();
    let mut previous = None;
    for (index, unit) in scan.units().iter().enumerate() {
        let key = match request.direction {
            Direction::Forward => unit.range.start,
            Direction::Backward => unit.range.end.saturating_neg(),
        };
        assert!(previous.is_none_or(|previous| previous <= key), "units come in order");
        previous = Some(key);
        let mut newest: HashMap<StreamId, i64> = HashMap::new();
        let mut count = 0;
        let mut sink = |row: Row<'_>| {
            assert!(unit.range.contains(row.timestamp_ns), "a row lies within its unit");
            assert_eq!(names.entry(row.stream).or_insert_with(|| row.labels.clone()), row.labels);
            if let Some(last) = newest.insert(row.stream, row.timestamp_ns) {
                let in_order = match request.direction {
                    Direction::Forward => last <= row.timestamp_ns,
                    Direction::Backward => last >= row.timestamp_ns,
                };
                assert!(in_order, "rows of a stream come in order");
            }
            assert!(LabelsRef::from_bytes(row.metadata.as_bytes()).is_some());
            rows.push((row.labels.clone(), row.timestamp_ns, row.line.to_owned(), row.metadata.to_owned()));
            count += 1;
            ControlFlow::Continue(())
        };
        scan.read(index, &context, &mut sink).unwrap();
        assert!(count <= unit.rows_max);
    }
    rows.sort();
    rows
}

fn regex(pattern: String, negate: bool) -> LineFilter {
    let regex = Regex::new(&pattern).unwrap();
    if negate { LineFilter::MatchesNot { pattern, regex } } else { LineFilter::Matches { pattern, regex } }
}

/// Pieces so small that there are many, or so large that templates have many rows.
pub(super) fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(SMALL), Just(MEDIUM)]
}

/// How to make filters from stored lines: which line, where to cut, which kind.
#[derive(Clone, Debug)]
pub(super) struct Question {
    picks: Vec<(usize, usize, usize)>,
    kind: u8,
    start: i64,
    end: i64,
    backward: bool,
    pod: u8,
}

pub(super) fn question() -> impl Strategy<Value = Question> {
    let pick = (0usize..1000, 0usize..1000, 1usize..24);
    (prop::collection::vec(pick, 1..4), 0u8..19, -1i64..41, 1i64..42, any::<bool>(), 0u8..8).prop_map(
        |(picks, kind, start, length, backward, pod)| Question {
            picks,
            kind,
            start: start * 1_000_000_007,
            end: (start + length) * 1_000_000_007 + if pod % 2 == 0 { DAY } else { 0 },
            backward,
            pod,
        },
    )
}

impl Question {
    /// Needles cut from stored lines at any byte.
    fn needles(&self, lines: &[Line]) -> Vec<Vec<u8>> {
        let cut = |&(line, at, length): &(usize, usize, usize)| {
            let text = lines[line % lines.len()].text.as_bytes();
            let at = at % (text.len() + 1);
            text[at..(at + length).min(text.len())].to_vec()
        };
        self.picks.iter().map(cut).collect()
    }

    fn filters(&self, lines: &[Line]) -> Vec<LineFilter> {
        let needles = self.needles(lines);
        let texts: Vec<String> =
            needles.iter().map(|needle| regex::escape(&String::from_utf8_lossy(needle))).collect();
        let joined = texts.join("|");
        match self.kind {
            0..=2 => needles.into_iter().map(|needle| LineFilter::ContainsAny(vec![needle])).collect(),
            3 => vec![LineFilter::ContainsAny(needles)],
            4 => vec![LineFilter::ContainsNone(needles)],
            5 => vec![regex(joined, false)],
            6 => vec![regex(format!("(?i){joined}"), false)],
            7 => vec![regex(format!("(?i:{})", texts[0].to_uppercase().replace("\\N", "\\n")), false)],
            8 => vec![regex(texts.join(".*"), false)],
            9 => vec![
                regex(format!("^(?:{joined})"), false),
                LineFilter::ContainsNone(vec![b"error".to_vec()]),
            ],
            10 => vec![regex(format!("(?:{joined})+[a-z]"), false)],
            11 => vec![regex(format!("(?s)^.*(?:{joined})$"), false)],
            12 => vec![regex(format!(r"\b(?:{joined})\b"), false)],
            13 => vec![regex(format!("[a-f0-9]{{2,}}(?:{joined})"), false)],
            14 => vec![regex(format!(r"(?:{joined})|\x1b\[[0-9;]*m"), false)],
            15 => vec![regex(format!("(?i){joined}"), true)],
            16 => vec![regex(format!("(?:{joined})[^a-z]?$"), false), LineFilter::ContainsAny(needles)],
            17 => vec![LineFilter::ContainsNone(needles), regex("(?i)[[:alpha:]]{3}".to_owned(), false)],
            _ => vec![regex(joined, true)],
        }
    }

    fn matchers(&self) -> Vec<Matcher> {
        match self.pod {
            0..=3 => Vec::new(),
            4 => vec![Matcher::equal("service_name", "web")],
            5 => vec![Matcher::new("pod", MatchOp::Regex, "p[1-3]").unwrap()],
            6 => vec![Matcher::new("pod", MatchOp::NotEqual, "p0").unwrap()],
            _ => vec![Matcher::equal("pod", "p9")],
        }
    }

    pub(super) fn request(&self, lines: &[Line]) -> LogRequest {
        LogRequest {
            matchers: self.matchers(),
            range: TimeRange::new(self.start, self.end),
            filters: self.filters(lines),
            metadata_hints: Vec::new(),
            direction: if self.backward { Direction::Backward } else { Direction::Forward },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn answers_as_the_reference_does(
        steps in prop::collection::vec(step(), 1..14),
        questions in prop::collection::vec(question(), 40),
        shape in shape(),
    ) {
        let (_dir, store, reference, lines) = run_shaped(&steps, shape);
        prop_assert!(store.stats().damage.is_empty(), "{:?}", store.stats().damage);
        let context = QueryContext::default();
        for question in questions.iter().filter(|_| !lines.is_empty()) {
            let request = question.request(&lines);
            prop_assert_eq!(rows(&store, &request), rows(&reference, &request), "{:?}", request);
            for by in [vec![], vec!["detected_level"], vec!["pod", "trace_id"], vec!["service_name", "detected_level"]] {
                let request = CountRequest {
                    matchers: question.matchers(),
                    range: request.range,
                    step_ns: 7_000_000_000 * (1 + i64::from(question.kind)),
                    by: by.into_iter().map(str::to_owned).collect(),
                };
                let expected = reference.counts(&request, &context).unwrap();
                prop_assert_eq!(store.counts(&request, &context).unwrap(), expected, "{:?}", request);
            }
            let stats = store.selection_stats(&question.matchers(), request.range, &context).unwrap();
            let expected = reference.selection_stats(&question.matchers(), request.range, &context).unwrap();
            prop_assert_eq!((stats.entries, stats.bytes), (expected.entries, expected.bytes));
        }
    }

    #[test]
    fn a_metadata_hint_loses_no_row(
        steps in prop::collection::vec(step(), 1..10),
        trace in 0u8..8,
    ) {
        let (_dir, store, _reference, _lines) = run(&steps);
        let wanted = format!("trace{trace}");
        let all = LogRequest {
            matchers: Vec::new(),
            range: TimeRange::ALL,
            filters: Vec::new(),
            metadata_hints: Vec::new(),
            direction: Direction::Forward,
        };
        let hinted = LogRequest { metadata_hints: vec![("trace_id".into(), wanted.clone())], ..all.clone() };
        let has = |row: &(Labels, i64, String, Labels)| row.3.get("trace_id") == Some(wanted.as_str());
        let expected: Vec<_> = rows(&store, &all).into_iter().filter(has).collect();
        let found: Vec<_> = rows(&store, &hinted).into_iter().filter(has).collect();
        prop_assert_eq!(found, expected);
    }
}
