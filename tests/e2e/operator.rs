//! Commands that ask a running server.

use std::time::Duration;
use tests::{Aggregator, run_binary};

struct Operator {
    url: String,
}

impl Operator {
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let all: Vec<&str> = args.iter().copied().chain(["--url", &self.url]).collect();
        run_binary("bellwether", &all)
    }

    fn ok(&self, args: &[&str]) -> String {
        let (status, out, errors) = self.run(args);
        assert_eq!(status, 0, "{args:?}: {out}{errors}");
        out
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_silences_and_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("always.yml");
    std::fs::write(
        &rules,
        "groups:\n- name: always\n  rules:\n  - {alert: Always, expr: vector(1), annotations: {summary: 'The pipeline works'}}\n",
    )
    .expect("it can be written");
    let server = Aggregator::start(&["--rules", &rules.display().to_string()]).await;
    let operator = Operator { url: server.url() };
    tokio::task::spawn_blocking(move || {
        for _ in 0..200 {
            if operator.ok(&["alerts"]).contains("Always") {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let shown = operator.ok(&["alerts", "Always"]);
        assert!(shown.contains("firing") && shown.contains("The pipeline works"), "{shown}");
        assert!(operator.ok(&["alerts", "alertname=Other"]).contains("no alerts"));

        let id = operator.ok(&[
            "silence",
            "add",
            "Always",
            "--duration",
            "2h",
            "--comment",
            "too loud",
            "--author",
            "me",
        ]);
        let id = id.trim();
        assert_eq!(id.len(), 36, "{id}");
        let listed = operator.ok(&["silence", "list"]);
        assert!(
            listed.contains(id) && listed.contains("too loud") && listed.contains("in 1h59m"),
            "{listed}"
        );
        assert!(operator.ok(&["alerts", "Always"]).contains("silenced"));
        assert!(operator.ok(&["alerts", "Always", "--unmuted"]).contains("no alerts"));
        operator.ok(&["silence", "expire", id]);
        assert!(operator.ok(&["silence", "list"]).contains("no silences"));
        assert!(operator.ok(&["silence", "list", "--expired"]).contains(id));
        let json: serde_json::Value =
            serde_json::from_str(&operator.ok(&["alerts", "--output", "json"])).expect("JSON");
        assert!(json.as_array().is_some_and(|alerts| !alerts.is_empty()));

        let (status, _, errors) = operator.run(&["silence", "add", "nonsense=~(", "--comment", "x"]);
        assert!(status != 0 && errors.contains("is not a matcher"), "{errors}");
        let (status, _, errors) =
            operator.run(&["silence", "expire", "00000000-0000-0000-0000-000000000000"]);
        assert!(status != 0 && errors.contains("silence `00000000"), "{errors}");
        let (status, _, errors) = run_binary("bellwether", &["alerts", "--url", "http://127.0.0.1:9"]);
        assert!(status != 0 && errors.contains("is the server running?"), "{errors}");
    })
    .await
    .expect("the operator is content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_replayed_over_what_is_stored() {
    let server = Aggregator::start(&[]).await;
    let rules = server.folder().join("replay.yml");
    let text = "groups: [{name: g, interval: 1s, rules: [{alert: Seen, expr: 'up{job=\"bellwether\"} == 1', for: 1s}]}]\n";
    std::fs::write(&rules, text).expect("written");
    let operator = Operator { url: server.url() };
    tokio::task::spawn_blocking(move || {
        let path = rules.display().to_string();
        for _ in 0..100 {
            let shown = operator.ok(&["rules", "replay", "--last", "1m", &path]);
            if shown.contains("Seen") {
                assert!(shown.contains("still") && shown.contains("job=\"bellwether\""), "{shown}");
                return;
            }
            assert!(shown.contains("nothing would have fired"), "{shown}");
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("it never fired");
    })
    .await
    .expect("the replay is right");
}
