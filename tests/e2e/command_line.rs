//! The operator's questions from a terminal.

use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};
use tests::{Aggregator, Client, run_binary};

fn now_ns() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "a test stamps its own data")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_and_log_lines_from_a_terminal() {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let url = server.url();
    let past_ns = now_ns() - 60_000_000_000;
    let lines: Vec<(i64, String)> = (0..3).map(|n| (past_ns + n, format!("line {n} status=50{n}"))).collect();
    assert_eq!(server.client().push(&json!({"job": "cli"}), &lines).await, 204);

    let run = |args: &[&str]| run_binary("bellwether", &[args, &["--url", &url]].concat());
    let (code, out, err) = run(&["logs", r#"{job="cli"} |= "line""#, "--output", "raw", "--limit", "2"]);
    assert_eq!((code, out.as_str()), (0, "line 1 status=501\nline 2 status=502\n"), "{err}");
    let (code, out, err) = run(&["query", r#"sum(count_over_time({job="cli"}[5m]))"#, "--logql"]);
    assert!(code == 0 && out.starts_with("{} => 3 @["), "{out}{err}");
    let (code, out, err) =
        run(&["query", "vector(1) + 1", "--output", "json", "--since", "10m", "--step", "5m"]);
    assert!(code == 0 && out.contains(r#""resultType":"matrix""#), "{out}{err}");
    let (code, out, err) = run(&["query", "sum("]);
    assert!(code == 1 && out.is_empty() && err.contains("parse error"), "{code} {out}{err}");
    let (code, _, err) = run(&["logs", r#"rate({job="cli"}[5m])"#]);
    assert!(code == 1 && err.contains("bellwether query --logql"), "{err}");
    let (code, _, err) = run_binary("bellwether", &["query", "1", "--url", "http://127.0.0.1:9"]);
    assert!(code == 1 && err.contains("--url"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_is_tried_before_it_is_made() {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let url = server.url();
    let alert = |host: &str| {
        let summary = format!("the disk of {host} is full");
        json!({"labels": {"alertname": "DiskFull", "instance": host}, "annotations": {"summary": summary}})
    };
    let body = json!([alert("db-1"), alert("db-2"), {"labels": {"alertname": "Other", "instance": "db-1"}}]);
    let headers = [("content-type", "application/json")];
    assert_eq!(server.client().post("/api/v2/alerts", &headers, body.to_string()).await.0, 200);

    let run = |args: &[&str]| {
        let (code, out, err) = run_binary("bellwether", &[&["silence"], args, &["--url", &url]].concat());
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    };
    let out = run(&["preview", "DiskFull", "instance=~db-.*"]);
    let rows: Vec<_> =
        out.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows.len(), 2, "{out}");
    assert!(
        rows.iter().any(|row| row.starts_with("DiskFull") && row.ends_with("the disk of db-2 is full")),
        "{out}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&run(&["preview", "instance=db-1", "--output", "json"]))
            .expect("it prints JSON");
    assert_eq!(
        (json["total"].as_u64(), json["alerts"][0]["status"]["state"].as_str()),
        (Some(2), Some("active"))
    );
    assert!(run(&["preview", "Nothing"]).contains("no alert that is active now"));

    // What was shown is what is muted, and the preview has made nothing.
    assert!(run(&["list"]).contains("no silences"));
    let id = run(&["add", "DiskFull", "instance=~db-.*", "--comment", "disks are replaced"]);
    let alerts = server.client().json("/api/v2/alerts", &[("silenced", "true"), ("active", "false")]).await;
    let muted = alerts.as_array().expect("a list");
    assert!(
        muted.len() == 2 && muted.iter().all(|it| it["status"]["silencedBy"][0] == id.trim()),
        "{alerts}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followed_lines_are_printed_once() {
    let mut server = Aggregator::start(&["--no-shipped-rules"]).await;
    let client = server.client();
    let labels = json!({"job": "followed"});
    assert_eq!(client.push(&labels, &[(now_ns() - 1_000_000_000, "before".to_owned())]).await, 204);
    let out = server.folder().join("followed.txt");
    let file = std::fs::File::create(&out).expect("the test's folder can be written");
    let url = server.url();
    let follower = tests::spawn_binary(
        "bellwether",
        &["logs", r#"{job="followed"}"#, "--follow", "--output", "raw", "--url", &url],
        file,
        Stdio::null(),
    );
    let printed = || std::fs::read_to_string(&out).unwrap_or_default();
    tests::eventually(Duration::from_secs(20), "the first line", || async { printed() == "before\n" }).await;
    for n in 0..3 {
        assert_eq!(client.push(&labels, &[(now_ns(), format!("after {n}"))]).await, 204);
    }
    let all = "before\nafter 0\nafter 1\nafter 2\n";
    tests::eventually(Duration::from_secs(20), "the lines that came", || async { printed() == all }).await;
    server.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.restart().await;
    assert_eq!(server.client().push(&labels, &[(now_ns(), "after a restart".to_owned())]).await, 204);
    let all = format!("{all}after a restart\n");
    tests::eventually(Duration::from_secs(20), "the line of later", || async { printed() == all }).await;
    drop(follower);
    assert_eq!(printed(), all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_log_nobody_reads_any_more_still_ends_on_a_signal() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().display().to_string();
    let port = tests::free_port();
    let address = format!("127.0.0.1:{port}");
    let args = ["serve", "--data-dir", &data, "--listen", &address];
    let mut server = tests::spawn_binary("bellwether", &args, Stdio::null(), Stdio::piped());
    let mut log = BufReader::new(server.0.stderr.take().expect("its log is a pipe"));
    let mut line = String::new();
    log.read_line(&mut line).expect("it logs");
    // As `bellwether serve 2>&1 | head -1` does.
    drop(log);
    let client = Client::new(&format!("http://{address}"));
    let is_ready = || async { client.get_status("/-/ready").await == Some(200) };
    tests::eventually(Duration::from_secs(30), "the server is ready", is_ready).await;
    server.terminate();
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.ended().is_none() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.ended(), Some(true), "SIGTERM was heard, and everything ended well");
}

/// How a command ended whose output is closed before it begins to write.
fn ended_unread(args: &[&str]) -> Option<i32> {
    let mut command = tests::spawn_binary("bellwether", args, Stdio::piped(), Stdio::piped());
    drop((command.0.stdout.take(), command.0.stderr.take()));
    command.0.wait().expect("a child can be waited for").code()
}

#[test]
fn an_output_that_nobody_reads_changes_no_verdict() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (good, bad) = (path("good.yml"), path("bad.yml"));
    std::fs::write(&good, "groups: [{name: g, rules: [{record: a, expr: up}]}]\n")
        .expect("it can be written");
    std::fs::write(&bad, "groups: [{name: g, rules: [{record: a, expr: up ==}]}]\n")
        .expect("it can be written");
    for (args, expected) in [
        (&["check", &good][..], 0),
        (&["check", &good, &bad], 1),
        (&["check", &path("gone.yml")], 1),
        (&["test", &bad], 1),
        (&["query", "1", "--url", "http://127.0.0.1:9"], 1),
        (&["token", "--role", "admin"], 0),
        (&["completions", "bash"], 0),
    ] {
        assert_eq!(ended_unread(args), Some(expected), "{args:?}");
    }
}
