//! What goes wrong between us and the server, and what is said about it.

use super::bridge::Bridge;
use crate::{ClickHouse, OpenError, Options, client::Client, error::Error};
use model::{BatchId, LogBatch, Matcher, MetricBatch, TimeRange};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
};
use store::{AgeLimits, LogStore, MetricStore, QueryContext, Selection, StopReason, StoreError};

/// Answers each request with the next of `answers`, then nobody.
fn scripted(answers: Vec<Vec<u8>>) -> Options {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            (&stream).write_all(&answer).unwrap();
        }
    });
    Options { url, database: "b".into(), user: "default".into(), password: String::new() }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn refusal(status: &str, code: u32, text: &str) -> Vec<u8> {
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\nx-clickhouse-exception-code: {code}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
    .into_bytes()
}

fn message(outcome: Result<ClickHouse, OpenError>) -> String {
    outcome.err().expect("it cannot be opened").to_string()
}

fn one_sample(timestamp_ms: i64, value: f64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    batch.begin_with(model::Labels::from_pairs([("__name__", "x")]).as_ref());
    batch.sample(timestamp_ms, 0, value);
    batch
}

#[test]
fn a_server_that_cannot_be_used_is_named_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = Options { url: format!("http://{}", listener.local_addr().unwrap()), ..scripted(vec![]) };
    drop(listener);
    let found = message(ClickHouse::open(&nobody));
    assert!(found.contains("cannot be reached") && found.contains("refused"), "{found}");

    let old = scripted(vec![ok(b"\x01"), ok(b"\x0718.16.1\0\0\0\0\0\0\0\0")]);
    assert_eq!(message(ClickHouse::open(&old)), "ClickHouse 18.16.1 is too old; use 25.11 or later");
}

#[test]
fn a_url_that_is_none_is_refused() {
    for (url, part) in [
        ("clickhouse:9000", "http"),
        ("tcp://127.0.0.1:9000", "http"),
        ("not a url", "URL"),
        ("http://user:pass@127.0.0.1:8123", "settings of their own"),
        ("http://127.0.0.1:8123/?user=x", "settings of their own"),
    ] {
        let options = Options { url: url.to_owned(), ..scripted(vec![]) };
        let found = message(ClickHouse::open(&options));
        assert!(found.contains(part) && found.contains(url), "{found}");
    }
}

#[test]
fn failures_are_sorted_by_what_to_do() {
    let text = "Code: 252. DB::Exception: Too many parts (3000). (TOO_MANY_PARTS)";
    let client = Client::new(&scripted(vec![refusal("500 Internal Server Error", 252, text); 3])).unwrap();
    let error = client.insert("t", "a", vec![1], "token").unwrap_err();
    assert!(matches!(StoreError::from(error), StoreError::Busy(words) if words.contains("Too many parts")));

    let text = "Code: 497. DB::Exception: Not enough privileges. (ACCESS_DENIED)";
    let client = Client::new(&scripted(vec![refusal("403 Forbidden", 497, text)])).unwrap();
    let error = client.insert("t", "a", vec![1], "token").unwrap_err();
    assert!(
        matches!(StoreError::from(error), StoreError::Unavailable(words) if words.contains("privileges"))
    );

    let client =
        Client::new(&scripted(vec![refusal("503 Service Unavailable", 0, "proxy says no")])).unwrap();
    let error = client.execute("SELECT 1").unwrap_err();
    assert!(
        matches!(StoreError::from(error), StoreError::Unavailable(words) if words.contains("proxy says no"))
    );
}

#[test]
fn an_insert_whose_failure_passes_is_tried_again() {
    let busy = refusal("500 Internal Server Error", 202, "Code: 202. Too many simultaneous queries");
    let client = Client::new(&scripted(vec![busy.clone(), busy, ok(b"")])).unwrap();
    client.insert("t", "a", vec![1, 2, 3], "token").unwrap();
}

#[test]
fn an_answer_that_is_cut_off_is_no_answer() {
    let mut cut = ok(&[7; 100]);
    cut.truncate(cut.len() - 50);
    let client = Client::new(&scripted(vec![cut])).unwrap();
    let mut answer = client.query("SELECT 1", None).unwrap();
    let outcome = (0..100).try_for_each(|_| answer.u8().map(drop));
    assert!(matches!(outcome, Err(Error::Unreachable { .. })), "{outcome:?}");

    let client = Client::new(&scripted(vec![ok(&[1, 2, 3])])).unwrap();
    let outcome = client.query("SELECT 1", None).unwrap().u64();
    assert!(matches!(outcome, Err(Error::Garbled(_))), "{outcome:?}");
}

#[test]
fn a_failure_in_the_middle_of_an_answer_is_never_read_as_rows() {
    let tag = "abcdefghijklmnop";
    let words = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)";
    for rows in [0usize, 1, 7, 8, 40, 100, 5_000] {
        let mut body = vec![0x5f; rows * 8];
        body.extend(
            format!("\r\n__exception__\r\n{tag}\r\n{words}\n{} {tag}\r\n__exception__\r\n", words.len())
                .bytes(),
        );
        let mut all = format!(
            "HTTP/1.1 200 OK\r\nx-clickhouse-exception-tag: {tag}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        all.extend(&body);
        let client = Client::new(&scripted(vec![all])).unwrap();
        let mut answer = client.query("SELECT 1", None).unwrap();
        let mut read = 0;
        let error = loop {
            match answer.has_row().and_then(|more| more.then(|| answer.u64()).transpose()) {
                Ok(Some(value)) => {
                    assert_eq!(value, 0x5f5f_5f5f_5f5f_5f5f);
                    read += 1;
                }
                Ok(None) => panic!("the failure was not seen after {read} of {rows} rows"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Server { code: 241, .. }), "{error}");
        assert!(read <= rows);
    }
}

#[test]
fn a_query_stops_while_it_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { url: format!("http://{}", listener.local_addr().unwrap()), ..scripted(vec![]) };
    let client = Client::new(&options).unwrap();
    let context = QueryContext::default();
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            context.stop(StopReason::Canceled);
        });
        let outcome = client.query("SELECT 1", Some(&context)).map(drop);
        assert!(matches!(outcome, Err(Error::Stopped(StopReason::Canceled))), "{outcome:?}");
    });
    assert!(begun.elapsed() < std::time::Duration::from_secs(3));
}

#[test]
fn the_engine_itself_says_what_is_wrong() {
    let Some(bridge) = Bridge::start() else { return };
    let database = bridge.database();
    let wrong = Options { password: "wrong".into(), ..bridge.options(&database.name) };
    let found = message(ClickHouse::open(&wrong));
    assert!(found.contains("Authentication failed"), "{found}");

    let opened = bridge.open(&database).unwrap();
    let client = Client::new(&bridge.options(&database.name)).unwrap();
    let sql = "SELECT throwIf(number = 3000000), toUInt64(number) FROM numbers(5000000) SETTINGS max_block_size = 1000";
    let outcome = client.query(sql, None).and_then(|mut answer| {
        while answer.has_row()? {
            answer.u8()?;
            answer.u64()?;
        }
        Ok(())
    });
    assert!(matches!(outcome, Err(Error::Server { code: 395, .. })), "{outcome:?}");

    client.execute("DROP TABLE samples_v1").unwrap();
    let outcome = opened.metrics(AgeLimits::NONE).append(&one_sample(1, 1.0), None, 1);
    assert!(
        matches!(&outcome, Err(StoreError::Unavailable(words)) if words.contains("samples_v1")),
        "{outcome:?}"
    );
    client.execute("CREATE TABLE samples_v1 (id UInt8) ENGINE = MergeTree ORDER BY id").unwrap();
    let found = message(bridge.open(&database));
    assert!(found.contains("`samples_v1` cannot be used"), "{found}");
}

#[test]
fn a_retry_is_known_to_every_aggregator() {
    let Some(bridge) = Bridge::start() else { return };
    let database = bridge.database();
    let id = BatchId { agent: "it's \\ a\n".into(), boot: u64::MAX, sequence: 9 };
    let (one, other) = (bridge.open(&database).unwrap(), bridge.open(&database).unwrap());
    let (first, second) = (one.metrics(AgeLimits::NONE), other.metrics(AgeLimits::NONE));
    assert!(!first.append(&one_sample(5, 1.0), Some(&id), 0).unwrap().duplicate);
    assert!(second.append(&one_sample(6, 1.0), Some(&id), 0).unwrap().duplicate);
    // Signals are numbered apart.
    let mut lines = LogBatch::default();
    lines.begin_with(model::Labels::from_pairs([("app", "a")]).as_ref());
    lines.entry(5, "line", model::LabelsRef::from_trusted_bytes(&[]));
    assert!(!one.logs(AgeLimits::NONE).append(&lines, Some(&id), 0).unwrap().duplicate);
    assert!(other.logs(AgeLimits::NONE).append(&lines, Some(&id), 0).unwrap().duplicate);
}

#[test]
fn copies_that_two_aggregators_wrote_are_read_once() {
    let Some(bridge) = Bridge::start() else { return };
    let database = bridge.database();
    let opened = [bridge.open(&database).unwrap(), bridge.open(&database).unwrap()];
    let mut lines = LogBatch::default();
    lines.begin_with(model::Labels::from_pairs([("app", "a")]).as_ref());
    for text in ["second", "first", "second"] {
        lines.entry(5, text, model::LabelsRef::from_trusted_bytes(&[]));
    }
    for one in &opened {
        one.metrics(AgeLimits::NONE).append(&one_sample(5, 1.0), None, 0).unwrap();
        one.logs(AgeLimits::NONE).append(&lines, None, 0).unwrap();
    }
    // The first of both wins where they differ at the same moment, once the second knows of it.
    let context = QueryContext::default();
    let selection =
        Selection { matchers: vec![Matcher::equal("__name__", "x")], range: TimeRange::ALL, step_ms: 0 };
    let metrics = opened[1].metrics(AgeLimits::NONE);
    let set = metrics.select(&selection, &context).unwrap();
    let mut samples = model::Samples::default();
    set.read(0, &context, &mut samples).unwrap();
    assert_eq!(samples.len(), 1);
    let logs = opened[1].logs(AgeLimits::NONE);
    let stats = logs.selection_stats(&[], TimeRange::ALL, &context).unwrap();
    assert_eq!((stats.entries, stats.bytes), (2, 11));
}

#[test]
fn the_same_token_is_the_same_insert() {
    let Some(bridge) = Bridge::start() else { return };
    let database = bridge.database();
    let _opened = bridge.open(&database).unwrap();
    let client = Client::new(&bridge.options(&database.name)).unwrap();
    let table = crate::schema::STREAMS;
    let row = |id: u128| {
        let mut row = 1i64.to_le_bytes().to_vec();
        row.extend(id.to_le_bytes());
        row.push(0);
        row
    };
    let count = || client.query("SELECT count() FROM streams_v1", None).unwrap().u64().unwrap();
    for id in [7, 8, 9] {
        client.insert(table.name, table.columns, row(id), "a:1:1").unwrap();
    }
    assert_eq!(count(), 1, "two of three were ignored");
    client.insert(table.name, table.columns, row(8), "a:1:2").unwrap();
    assert_eq!(count(), 2, "another token is another insert");
}
