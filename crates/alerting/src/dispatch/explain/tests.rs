use crate::{
    config::Config,
    dispatch::{Dispatcher, Effect, FailedAttempt, Finished, PostedAlert, ingest},
    silence::{Silence, SilenceMatcher},
};
use std::{path::Path, sync::Arc};

const CONFIG: &str = r#"
route:
  receiver: all
  group_wait: 1s
  group_interval: 10s
  repeat_interval: 1h
  routes:
  - {matchers: [team="db"], receiver: db, group_by: [alertname]}
receivers:
- {name: all, webhook_configs: [{url: 'http://sink/'}]}
- {name: db, webhook_configs: [{url: 'http://db/'}]}
inhibit_rules: [{source_matchers: [alertname=Host], target_matchers: [alertname=Disk]}]
"#;

struct Stage(Dispatcher);

impl Stage {
    fn new() -> Self {
        Stage(Dispatcher::new(Arc::new(Config::parse("f", CONFIG, Path::new(".")).unwrap()), 0))
    }

    fn post(&mut self, name: &str, team: &str, now_ms: i64) {
        let labels = vec![("alertname".to_owned(), name.to_owned()), ("team".to_owned(), team.to_owned())];
        let alert = ingest(PostedAlert { labels, ..PostedAlert::default() }, 3_600_000, now_ms).unwrap();
        self.0.post(alert, now_ms).unwrap();
    }

    /// The receiver and the verdict of the first route of the alert called `name`.
    fn verdict(&self, name: &str, now_ms: i64) -> (String, String) {
        let found = self.0.explain(|alert| alert.name() == name, 10, now_ms);
        let route = &found[0].routes[0];
        (route.receiver.clone(), route.integrations[0].verdict.clone())
    }

    fn delivery(&mut self) -> u64 {
        match self.0.take().1.as_slice() {
            [Effect::Deliver(delivery, ..)] => delivery.id,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn cannot_see_why_or_where() {
    let mut stage = Stage::new();
    stage.post("Disk", "db", 0);
    let (receiver, verdict) = stage.verdict("Disk", 500);
    assert_eq!(receiver, "db");
    assert_eq!(verdict, "waits for its group, which is told at 1970-01-01T00:00:01.000Z");
    stage.0.tick(1_000);
    let id = stage.delivery();
    let failed = FailedAttempt { attempt: 1, duration_ms: 5, error: "503".into() };
    stage.0.attempt_failed(id, failed, 1_100);
    let on_its_way = "on its way until 1970-01-01T00:00:11.000Z: 1 attempts failed, the last with: 503";
    assert_eq!(stage.verdict("Disk", 1_200).1, on_its_way);
    stage.0.finished(id, &Finished::Delivered, 2_000);
    let told = "told as firing at 1970-01-01T00:00:02.000Z; told again after 1970-01-01T01:00:02.000Z unless something changes";
    assert_eq!(stage.verdict("Disk", 3_000).1, told);
    stage.post("Host", "", 3_000);
    assert_eq!(stage.verdict("Disk", 3_000).1, r#"told before; now inhibited by {alertname="Host"}"#);
    let path: Vec<_> = stage.0.explain(|alert| alert.name() == "Disk", 1, 3_000)[0].routes[0]
        .path
        .iter()
        .map(|step| format!("{} {}", step.matchers, step.receiver))
        .collect();
    assert_eq!(path, ["{} all", r#"{team="db"} db"#]);
}

#[test]
fn a_silence_is_named_with_its_author_and_end() {
    let mut stage = Stage::new();
    let matcher =
        SilenceMatcher { name: "alertname".into(), value: "Disk".into(), is_regex: false, is_equal: true };
    let silence = Silence {
        id: String::new(),
        matchers: vec![matcher],
        starts_at_ms: 0,
        ends_at_ms: 60_000,
        updated_at_ms: 0,
        created_by: "ann".into(),
        comment: "new disk".into(),
        dormant: false,
    };
    stage.0.set_silence(silence, "s1".into(), 0).unwrap();
    stage.post("Disk", "x", 0);
    let silenced = "not told: silenced by `s1` (new disk, by `ann`) until 1970-01-01T00:01:00.000Z";
    assert_eq!(stage.verdict("Disk", 500), ("all".to_owned(), silenced.to_owned()));
    let labels = model::Labels::from_pairs([("alertname", "Nobody"), ("team", "db")]);
    let unknown = stage.0.explain_where(std::iter::once(&labels), 500).remove(0);
    assert_eq!((unknown.state, unknown.routes[0].receiver.as_str()), ("unknown", "db"));
    assert_eq!(unknown.routes[0].integrations[0].verdict, "was never told of it");
}
