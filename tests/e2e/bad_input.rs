//! Rubbish in: a clear refusal each, flat memory, and the rest goes on.

use std::{io::Write, time::Duration};
use tests::{Aggregator, Client, eventually, run_binary};

const REMOTE_WRITE: [(&str, &str); 2] =
    [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).expect("a small body can be compressed")
}

/// A protobuf field of wire type 2.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("a short field")];
    out.extend_from_slice(bytes);
    out
}

fn series(labels: &[(&[u8], &[u8])], timestamp_ms: i64) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, value) in labels {
        message.extend(field(1, &[field(1, name), field(2, value)].concat()));
    }
    let mut sample = vec![1 << 3 | 1];
    sample.extend_from_slice(&1.5f64.to_le_bytes());
    sample.push(2 << 3);
    let mut rest = timestamp_ms as u64;
    while rest >= 0x80 {
        sample.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    sample.push(rest as u8);
    message.extend(field(2, &sample));
    field(1, &message)
}

fn resident_bytes(server: &Aggregator) -> u64 {
    let pid = server.pid().expect("the server runs");
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("the server's memory can be read");
    text.split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .expect("a number of pages")
        * 4096
}

async fn refused(
    client: &Client,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
    status: u16,
    mentions: &str,
) {
    let (found, text) = client.post(path, headers, body).await;
    assert_eq!(found, status, "{path}: {text}");
    assert!(
        text.to_lowercase().contains(mentions),
        "{path}: the answer does not mention `{mentions}`: {text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_is_refused_clearly_and_costs_little() {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let client = server.client();
    let before = resident_bytes(&server);

    // Not protobuf, not snappy, not JSON.
    refused(&client, "/api/v1/write", &REMOTE_WRITE, snappy(b"\x0a\xff\xff\xff\xff\x0f"), 400, "protobuf")
        .await;
    refused(&client, "/api/v1/write", &REMOTE_WRITE, b"rubbish".to_vec(), 400, "snappy").await;
    refused(&client, "/loki/api/v1/push", &[("content-type", "application/json")], b"{".to_vec(), 400, "")
        .await;
    refused(&client, "/v1/logs", &[("content-type", "application/json")], b"[]".to_vec(), 400, "").await;
    refused(
        &client,
        "/v1/metrics",
        &[("content-type", "application/x-protobuf")],
        b"\xff\xff".to_vec(),
        400,
        "",
    )
    .await;

    // Headers that claim gigabytes: snappy's length prefix and zstd's frame content size.
    let mut claim = vec![0xff, 0xff, 0xff, 0xff, 0x0f];
    claim.extend_from_slice(b"\x00x");
    for _ in 0..20 {
        refused(&client, "/api/v1/write", &REMOTE_WRITE, claim.clone(), 413, "bytes").await;
    }
    let zstd_claim = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0];
    let zstd = [("content-type", "application/x-protobuf"), ("content-encoding", "zstd")];
    refused(&client, "/v1/logs", &zstd, zstd_claim.to_vec(), 413, "bytes").await;
    // Four hundred megabytes of zeros in a few kilobytes.
    let bomb = zstd_of_zeros(400 << 20);
    assert!(bomb.len() < 64 << 10);
    refused(&client, "/v1/logs", &zstd, bomb, 413, "bytes").await;

    // Unknown media types and encodings.
    refused(
        &client,
        "/api/v1/write",
        &[("content-type", "text/plain"), ("content-encoding", "snappy")],
        Vec::new(),
        415,
        "",
    )
    .await;
    refused(
        &client,
        "/api/v1/write",
        &[("content-type", "application/x-protobuf"), ("content-encoding", "br")],
        Vec::new(),
        415,
        "",
    )
    .await;

    // The bomb was decompressed up to the limit, no further, and what it took is given back.
    eventually(Duration::from_secs(20), "memory is as flat as before", || async {
        client.get_status("/-/healthy").await == Some(200)
            && resident_bytes(&server).saturating_sub(before) < 64 << 20
    })
    .await;
    assert_eq!(client.get_status("/-/ready").await, Some(200));
}

fn zstd_of_zeros(bytes: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 19).expect("an encoder can be made");
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..bytes >> 20 {
        encoder.write_all(&zeros).expect("memory can be written");
    }
    encoder.finish().expect("the frame can be ended")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_series_do_not_take_the_good_ones_with_them() {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let client = server.client();
    #[allow(clippy::disallowed_methods, reason = "a test stamps its own data")]
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis()
            as i64;
    let body = [
        series(&[(b"__name__", b"good"), (b"a", b"1")], now),
        series(&[(b"a", b"no_name")], now),
        series(&[(b"__name__", b"empty_label"), (b"", b"x")], now),
        series(&[(b"__name__", b"not_utf8"), (b"a", b"\xff\xfe")], now),
        series(&[(b"__name__", b"twice"), (b"a", b"1"), (b"a", b"2")], now),
        series(&[(b"__name__", b"far_off")], now + 365 * 86_400_000),
        series(&[(b"__name__", b"good"), (b"a", b"2")], now),
        series(&[(b"__name__", b"ancient")], -5),
    ]
    .concat();
    let (status, text) = client.post("/api/v1/write", &REMOTE_WRITE, snappy(&body)).await;
    assert!(status == 204 || status == 400, "{status} {text}");
    assert_eq!(client.vector("count(good)").await[0].1, 2.0);
    for missing in ["empty_label", "not_utf8", "twice", "far_off"] {
        assert!(client.vector(&format!("last_over_time({missing}[10m])")).await.is_empty(), "{missing}");
    }
    let ancient = client.json("/api/v1/query", &[("query", "ancient"), ("time", "0")]).await;
    assert_eq!(ancient["data"]["result"][0]["value"][1], "1.5", "times before 1970 are legal");
    let metrics = client.get("/metrics", &[]).await.1;
    for reason in
        ["no_metric_name", "empty_label_name", "invalid_utf8", "duplicate_label", "too_far_in_future"]
    {
        assert!(metrics.contains(&format!("reason=\"{reason}\"")), "{reason} is not counted: {metrics}");
    }

    let lines = [(now * 1_000_000, "fine".to_owned())];
    assert_eq!(client.push(&serde_json::json!({"app": "x"}), &lines).await / 100, 2);
    let future = [((now + 86_400_000) * 1_000_000, "from tomorrow".to_owned())];
    assert_eq!(client.push(&serde_json::json!({"app": "x"}), &future).await, 400);
    let (status, text) = client
        .post(
            "/loki/api/v1/push",
            &[("content-type", "application/json")],
            r#"{"streams":[{"stream":{},"values":[["1","x"]]}]}"#,
        )
        .await;
    assert_eq!(status, 400, "{text}");
}

#[test]
fn a_typo_in_a_file_is_found_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let check = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the test's folder can be written");
        let path = path.display().to_string();
        let (code, out, error) = run_binary("bellwether", &["check", &path]);
        (code, format!("{out}{error}"), path)
    };
    for (name, text, place, mentions) in [
        (
            "rules.yml",
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: sum(up\n",
            ":5:",
            "parse error",
        ),
        (
            "field.yml",
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        exprr: up\n",
            ":5:",
            "exprr",
        ),
        ("routes.yml", "route: {receiver: nobody}\nreceivers: [{name: team}]\n", ":1:", "nobody"),
        ("policy.yaml", "version: 1\npolicies:\n  - name: p\n    minn: 2\n", ":4:", "minn"),
        ("bellwether.yaml", "retention:\n  metrics_agee: 1d\n", ":2:3", "metrics_age"),
    ] {
        let (code, output, path) = check(name, text);
        assert_eq!(code, 1, "{name}: {output}");
        assert!(output.contains(&format!("{path}{place}")) && output.contains(mentions), "{name}: {output}");
    }
    let (code, output, _) =
        check("good.yml", "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up == 0\n");
    assert_eq!(code, 0, "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_revision_of_rules_leaves_the_last_good_one_in_force() {
    let server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let path = folder.join("rules.yml");
        std::fs::write(&path, "groups: [{name: good, rules: [{record: one, expr: vector(1)}]}]\n")
            .expect("writable");
        vec!["--rules".into(), path.display().to_string()]
    })
    .await;
    let client = server.client();
    std::fs::write(
        server.folder().join("rules.yml"),
        "groups: [{name: bad, rules: [{record: one, expr: 'sum('}]}]\n",
    )
    .expect("writable");
    let (status, text) = client.post("/-/reload", &[], Vec::new()).await;
    assert_eq!(status, 500, "{text}");
    assert!(text.contains("rules.yml:1:"), "{text}");
    let rules = client.json("/api/v1/rules", &[]).await;
    assert_eq!(rules["data"]["groups"][0]["name"], "good", "{rules}");
    std::fs::write(
        server.folder().join("rules.yml"),
        "groups: [{name: better, rules: [{record: one, expr: vector(1)}]}]\n",
    )
    .expect("writable");
    assert_eq!(client.post("/-/reload", &[], Vec::new()).await.0, 200);
    let rules = client.json("/api/v1/rules", &[]).await;
    assert_eq!(rules["data"]["groups"][0]["name"], "better", "{rules}");
}
