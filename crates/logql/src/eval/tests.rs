//! Evaluation over a small store.

use super::*;
use crate::parse;
use model::LogBatch;
use store::{Limits, MemLogStore};

const SECOND: i64 = 1_000_000_000;

/// `{app="a"}` says `n=<i>` at second i of 0..60; `{app="b"}` every tenth second.
fn store() -> MemLogStore {
    let store = MemLogStore::new();
    let mut batch = LogBatch::default();
    for (app, step) in [("a", 1), ("b", 10)] {
        batch.begin();
        batch.label(b"app", app.as_bytes());
        batch.end_stream_labels().unwrap();
        for second in (0..60).step_by(step) {
            batch.begin();
            batch.label(b"parity", if second % 2 == 0 { b"even" } else { b"odd" });
            batch.entry_with_scratch(second as i64 * SECOND, &format!("n={second} x")).unwrap();
        }
    }
    store.append(&batch, None, 0).unwrap();
    store
}

fn params(start: i64, end: i64, step: i64, limit: usize, direction: Direction) -> Params {
    Params {
        start_ns: start * SECOND,
        end_ns: end * SECOND,
        step_ns: step * SECOND,
        interval_ns: 0,
        limit,
        direction,
    }
}

fn lines(query: &str, params: Params) -> Vec<String> {
    match query_range(&parse(query).unwrap(), &params, &store(), &QueryContext::default()).unwrap() {
        Answer::Streams(entries) => entries.into_iter().map(|entry| entry.line).collect(),
        other => panic!("{other:?}"),
    }
}

/// `{labels} value` of each element at second 59.
fn at_59(query: &str) -> Result<Vec<String>, String> {
    let answer = instant(&parse(query).unwrap(), 59 * SECOND, &store(), &QueryContext::default());
    match answer.map_err(|error| error.to_string())? {
        Answer::Vector(vector) => {
            Ok(vector.iter().map(|sample| format!("{} {}", sample.labels, sample.value.as_float())).collect())
        }
        Answer::Scalar(value) => Ok(vec![value.to_string()]),
        other => panic!("{other:?}"),
    }
}

fn check(query: &str, expected: &[&str]) {
    assert_eq!(at_59(query).unwrap(), expected, "{query}");
}

#[test]
fn labels_do_not_grow_without_end() {
    let grown = |query: String, _| {
        let replacement = "$1".repeat(32);
        format!(r#"label_replace({query}, "app", "{replacement}", "app", "(.*)")"#)
    };
    let query = (0..5).fold(r#"sum by (app) (count_over_time({app="a"}[1m]))"#.to_owned(), grown);
    assert!(at_59(&query).unwrap_err().contains("more than 1048576 bytes"));
}

#[test]
fn limit_and_direction() {
    let forward = params(0, 60, 1, 3, Direction::Forward);
    assert_eq!(lines(r#"{app="a"}"#, forward), ["n=0 x", "n=1 x", "n=2 x"]);
    let backward = params(0, 60, 1, 2, Direction::Backward);
    assert_eq!(lines(r#"{app=~"a|b"} |= "n=5""#, backward), ["n=59 x", "n=58 x"]);
    // The end is not part of a log query's range.
    assert_eq!(lines(r#"{app="b"}"#, params(10, 20, 1, 9, Direction::Forward)), ["n=10 x"]);
}

#[test]
fn an_interval_thins_out() {
    let mut thin = params(0, 60, 1, 3, Direction::Forward);
    thin.interval_ns = 20 * SECOND;
    assert_eq!(lines(r#"{app="a"}"#, thin), ["n=0 x", "n=20 x", "n=40 x"]);
}

#[test]
fn windows_leave_out_their_first_instant() {
    check(r#"sum by (app) (count_over_time({app=~"a|b"}[10s]))"#, &[r#"{app="a"} 10"#, r#"{app="b"} 1"#]);
    check(r#"count_over_time({app="b"}[9s])"#, &[]);
    check(r#"count_over_time({app="b"}[10s])"#, &[r#"{app="b", parity="even"} 1"#]);
    check(r#"count_over_time({app="b"}[1s] offset 9s)"#, &[r#"{app="b", parity="even"} 1"#]);
}

#[test]
fn the_store_counts_as_the_rows_do() {
    for (op, by) in [
        ("count_over_time", "app"),
        ("rate", "parity"),
        ("bytes_over_time", "app, parity"),
        ("bytes_rate", ""),
    ] {
        let range = |stages: &str| format!(r#"sum by ({by}) ({op}({{app=~"a|b"}}{stages}[30s]))"#);
        // A filter that lets everything pass makes the engine read the rows.
        let (counted, read) = (range(""), range(r#" | nosuch="""#));
        for (step, end) in [(7, 100), (10, 60), (45, 300)] {
            let params = params(0, end, step, 0, Direction::Forward);
            let answer = |query: &str| {
                query_range(&parse(query).unwrap(), &params, &store(), &QueryContext::default()).unwrap()
            };
            assert_eq!(answer(&counted), answer(&read), "{counted} step {step}");
        }
        assert_eq!(at_59(&counted), at_59(&read));
    }
}

#[test]
fn range_queries_fall_on_multiples_of_the_step() {
    let query = parse(r#"count_over_time({app="a"} | drop parity [10s])"#).unwrap();
    let params = params(7, 33, 10, 0, Direction::Forward);
    let Answer::Matrix(matrix) = query_range(&query, &params, &store(), &QueryContext::default()).unwrap()
    else {
        panic!("a matrix");
    };
    let points: Vec<_> = matrix[0].points.iter().map(|(time, value)| (time / 1000, *value)).collect();
    assert_eq!(points, [(0, 1.0), (10, 10.0), (20, 10.0), (30, 10.0), (40, 10.0)]);
}

#[test]
fn unwrapped_values() {
    let unwrap = |op: &str| format!(r#"{op}({{app="a"}} | logfmt | drop parity | unwrap n [10s])"#);
    for (op, expected) in [
        ("sum_over_time", "545"),
        ("avg_over_time", "54.5"),
        ("min_over_time", "50"),
        ("max_over_time", "59"),
        ("first_over_time", "50"),
        ("last_over_time", "59"),
    ] {
        check(&unwrap(op), &[&format!(r#"{{app="a"}} {expected}"#)]);
    }
    check(
        r#"quantile_over_time(0.5, {app="a"} | logfmt | unwrap n [10s]) by (parity)"#,
        &[r#"{parity="even"} 54"#, r#"{parity="odd"} 55"#],
    );
}

#[test]
fn aggregations_and_operators() {
    let counts = r#"sum by (app) (count_over_time({app=~"a|b"}[1m]))"#;
    check(&format!("topk(1, {counts})"), &[r#"{app="a"} 60"#]);
    check(&format!("sort({counts})"), &[r#"{app="b"} 6"#, r#"{app="a"} 60"#]);
    check(&format!("sum({counts})"), &["{} 66"]);
    check(&format!("{counts} > 10"), &[r#"{app="a"} 60"#]);
    check(&format!("{counts} > bool 10"), &[r#"{app="a"} 1"#, r#"{app="b"} 0"#]);
    check(&format!("{counts} / on (app) {counts}"), &[r#"{app="a"} 1"#, r#"{app="b"} 1"#]);
    check(&format!("{counts} unless {counts} > 10"), &[r#"{app="b"} 6"#]);
    check(&format!("{counts} or vector(1)"), &["{} 1", r#"{app="a"} 60"#, r#"{app="b"} 6"#]);
    check(
        &format!(r#"label_replace({counts}, "x", "$1!", "app", "(a)")"#),
        &[r#"{app="a", x="a!"} 60"#, r#"{app="b"} 6"#],
    );
    check("vector(1) / vector(0)", &["{} NaN"]);
    check("1 / 4", &["0.25"]);
    check(r#"absent_over_time({app="c", x="y"}[1m])"#, &[r#"{app="c", x="y"} 1"#]);
    let error = at_59(&format!(r#"{counts} * on () {counts}"#)).unwrap_err();
    assert!(error.starts_with("found duplicate series on the right hand-side"), "{error}");
}

#[test]
fn errors_fail_a_metric_query_unless_no_label_is_needed() {
    let error = at_59(r#"count_over_time({app="a"} | json [1s])"#).unwrap_err();
    assert!(
        error.starts_with("pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\""),
        "{error}"
    );
    check(r#"sum(count_over_time({app="a"} | json [1s]))"#, &["{} 1"]);
    check(r#"sum(count_over_time({app="a"} | json | __error__="" [1s]))"#, &[]);
}

#[test]
fn budgets_hold() {
    let context = QueryContext::new(Limits { samples_max: 5, ..Limits::default() });
    let params = params(0, 60, 1, 100, Direction::Forward);
    let error = query_range(&parse(r#"{app="a"}"#).unwrap(), &params, &store(), &context).unwrap_err();
    assert!(matches!(error, EvalError::Stopped(store::StopReason::TooManySamples(5))), "{error}");
}

#[test]
fn units_read_side_by_side_give_the_same_first_entries() {
    // Lines long enough that several units are read at once.
    let store = MemLogStore::new();
    let mut batch = LogBatch::default();
    let padding = "x".repeat(1000);
    for app in ["a", "b", "c"] {
        batch.begin();
        batch.label(b"app", app.as_bytes());
        batch.end_stream_labels().unwrap();
        for second in 0..3000i64 {
            let line = format!("{app}{second} {padding}");
            batch.entry(second * SECOND, &line, model::LabelsRef::from_trusted_bytes(&[]));
        }
    }
    store.append(&batch, None, 0).unwrap();
    for direction in [Direction::Forward, Direction::Backward] {
        for limit in [1, 7, 2000, 100_000] {
            let params = params(0, 3000, 1, limit, direction);
            let query = parse(r#"{app=~"a|b|c"} |~ "[05] x""#).unwrap();
            let answer = query_range(&query, &params, &store, &QueryContext::default()).unwrap();
            let Answer::Streams(entries) = answer else { panic!("streams") };
            let times: Vec<_> = entries.iter().map(|entry| entry.timestamp_ns / SECOND).collect();
            let mut expected: Vec<_> =
                (0..3000).filter(|second| second % 5 == 0).flat_map(|second| [second; 3]).collect();
            if direction == Direction::Backward {
                expected.reverse();
            }
            expected.truncate(limit);
            assert_eq!(times, expected, "limit {limit}");
        }
    }
}

#[test]
fn the_ends_of_time_do_no_harm() {
    for query in [
        r#"count_over_time({app="a"}[200y])"#,
        r#"sum(count_over_time({app="a"}[200y] offset 90y))"#,
        r#"sum(rate({app="a"}[1m] offset -200y))"#,
        r#"rate_counter({app="a"} | logfmt | unwrap n [290y])"#,
        r#"{app="a"}"#,
    ] {
        let expr = parse(query).unwrap();
        for (start_ns, end_ns) in
            [(i64::MIN, i64::MIN + 5), (i64::MAX - 5, i64::MAX), (i64::MIN, i64::MAX), (0, 5)]
        {
            for step_ns in [1, 7, SECOND] {
                let params = Params {
                    start_ns,
                    end_ns,
                    step_ns,
                    interval_ns: 0,
                    limit: 5,
                    direction: Direction::Backward,
                };
                drop(query_range(&expr, &params, &store(), &QueryContext::default()));
            }
            drop(instant(&expr, end_ns, &store(), &QueryContext::default()));
        }
    }
}

#[test]
fn scripted_queries() {
    let script = include_str!("../../testdata/vectors.test");
    let without_comments: Vec<&str> = script.lines().filter(|line| !line.starts_with('#')).collect();
    let mut cases = 0;
    for case in without_comments.join("\n").split("\n\n") {
        let mut lines = case.trim().lines();
        let Some(query) = lines.next() else { continue };
        let expected: Vec<&str> = lines.collect();
        cases += 1;
        match (at_59(query), expected.first().and_then(|line| line.strip_prefix("! "))) {
            (Ok(found), None) => {
                let found: Vec<_> = found.iter().map(|element| format!("> {element}")).collect();
                assert_eq!(found, expected, "{query}");
            }
            (Err(error), Some(start)) => assert!(error.starts_with(start), "{query}: {error}"),
            (found, _) => panic!("{query}: {found:?}, not {expected:?}"),
        }
    }
    assert!(cases > 40, "{cases} cases");
}
