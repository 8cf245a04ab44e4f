//! The whole, with a real HTTP listener and a real mail server that speaks just enough SMTP.

use super::*;
use crate::history::{EventFilter, EventKind};
use crate::querier::{ExpressionError, QueryFailure, Reading, Source};
use model::{MetricBatch, VectorSample};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Every expression has one element, while `up`.
struct World(Mutex<bool>);

impl Querier for World {
    fn instant(&self, _: Source, _: &str, at_ms: i64) -> Result<Reading, QueryFailure> {
        let there = *self.0.lock().unwrap();
        let labels = Labels::from_pairs([("job", "web")]);
        let element = VectorSample { labels, timestamp_ms: at_ms, value: model::Value::Float(7.0) };
        Ok(Reading::Vector(if there { vec![element] } else { Vec::new() }))
    }

    fn check(&self, _: Source, _: &str) -> Result<(), ExpressionError> {
        Ok(())
    }
}

impl SampleSink for World {
    fn append(&self, _: &MetricBatch) -> Result<(), QueryFailure> {
        Ok(())
    }
}

struct Request {
    headers: BTreeMap<String, String>,
    body: String,
}

/// Answers with the statuses in turn, then 200.
async fn webhook_sink(statuses: &'static [u16]) -> (String, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut statuses = statuses.iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = read_request(&mut stream).await;
            let status = statuses.next().unwrap_or(&200);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            sender.send(request).await.unwrap();
        }
    });
    (url, receiver)
}

async fn read_request(stream: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    while reader.read_line(&mut line).await.unwrap() > 2 {
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        line.clear();
    }
    let length = headers["content-length"].parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    Request { headers, body: String::from_utf8(body).unwrap() }
}

/// A mail server that asks for a password and takes everything.
async fn mail_sink() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, sender.clone()));
        }
    });
    (address, receiver)
}

async fn converse(stream: TcpStream, mails: mpsc::Sender<String>) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink ESMTP\r\n").await.unwrap();
    let mut conversation = String::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
        conversation.push_str(&line);
        let verb = line.trim().get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-sink\r\n250 AUTH PLAIN LOGIN\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                while !conversation.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut conversation).await.unwrap();
                }
                mails.send(std::mem::take(&mut conversation)).await.unwrap();
                "250 taken\r\n"
            }
            _ => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        line.clear();
    }
}

async fn next<T>(receiver: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await.expect("something comes").unwrap()
}

async fn start(folder: &Path, config: &str, rules: &str, up: &Arc<World>) -> Result<Alerting, StartError> {
    start_logging(folder, config, rules, up, None).await
}

async fn start_logging(
    folder: &Path,
    config: &str,
    rules: &str,
    up: &Arc<World>,
    events: Option<Arc<dyn EventSink>>,
) -> Result<Alerting, StartError> {
    std::fs::write(folder.join("am.yml"), config).unwrap();
    std::fs::write(folder.join("rules.yml"), rules).unwrap();
    let settings = Settings {
        rules: vec![folder.join("rules.yml")],
        alertmanager_config: Some(folder.join("am.yml")),
        state_dir: folder.join("state"),
        external_url: "http://bw".into(),
        ..Settings::default()
    };
    let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
    let parts = Parts { querier: up.clone(), sink: up.clone(), events, client, clock: daemon::clock::now_ms };
    Alerting::start(settings, parts, &daemon::metrics::Metrics::default()).await
}

const RULES: &str = "groups:\n- name: g\n  interval: 200ms\n  rules:\n  - {alert: Down, expr: up == 0, annotations: {s: '<{{ $value }}>'}}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_reaches_a_webhook_and_survives_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = webhook_sink(&[500]).await;
    let config = format!(
        "route: {{receiver: r, group_wait: 100ms, group_interval: 300ms}}\nreceivers:\n- name: r\n  \
         webhook_configs: [{{url: '{url}', secret: key}}]\n"
    );
    let world = Arc::new(World(Mutex::new(true)));
    let alerting = start(folder.path(), &config, RULES, &world).await.unwrap();
    let refused = next(&mut requests).await;
    let taken = next(&mut requests).await;
    assert_eq!(refused.headers["idempotency-key"], taken.headers["idempotency-key"]);
    assert_eq!(refused.headers["webhook-id"], taken.headers["idempotency-key"]);
    assert!(taken.headers["webhook-signature"].starts_with("v1,"));
    let body: serde_json::Value = serde_json::from_str(&taken.body).unwrap();
    assert_eq!(
        (body["status"].as_str(), body["alerts"][0]["labels"]["job"].as_str()),
        (Some("firing"), Some("web"))
    );
    tokio::time::timeout(Duration::from_secs(5), async {
        while alerting.rules()[0].rules[0].active.iter().count() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    alerting.stop().await;
    assert!(matches!(alerting.look(|_, _| ()).await, Err(OwnerError::Stopped)));

    let again = start(folder.path(), &config, RULES, &world).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(requests.try_recv().is_err(), "nothing is told twice");
    assert_eq!(again.look(|it, now_ms| it.alerts(now_ms).len()).await.unwrap(), 1);
    again.stop().await;

    let without_rule = start(folder.path(), &config, "groups: []\n", &world).await.unwrap();
    let resolved: serde_json::Value = serde_json::from_str(&next(&mut requests).await.body).unwrap();
    assert_eq!(resolved["status"], "resolved", "the rule went while we were away");
    without_rule.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_has_text_html_and_a_thread() {
    let folder = tempfile::tempdir().unwrap();
    let (address, mut mails) = mail_sink().await;
    let config = format!(
        "global: {{smtp_smarthost: '{address}', smtp_from: bw@example.org, smtp_require_tls: false, \
         smtp_auth_username: bw, smtp_auth_password: pw}}\n\
         route: {{receiver: r, group_wait: 100ms, group_interval: 300ms, group_by: [alertname]}}\n\
         receivers: [{{name: r, email_configs: [{{to: 'a@example.org, b@example.org', headers: {{X-Team: \"x {{{{ .Status }}}}\"}}}}]}}]\n"
    );
    let world = Arc::new(World(Mutex::new(true)));
    let alerting = start(folder.path(), &config, RULES, &world).await.unwrap();
    let mail = next(&mut mails).await;
    for expected in [
        "AUTH PLAIN AGJ3AHB3",
        "MAIL FROM:<bw@example.org>",
        "RCPT TO:<a@example.org>",
        "RCPT TO:<b@example.org>",
        "Subject: [FIRING:1] Down (web)",
        "X-Team: x firing",
        "Message-Id: <ntf_",
        "References: <group-",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "&lt;7&gt;",
    ] {
        assert!(mail.contains(expected), "{expected} is not in\n{mail}");
    }
    alerting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_and_silences_are_durable_when_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(false)));
    let alerting = start(folder.path(), config, RULES, &world).await.unwrap();
    let good = PostedAlert { labels: vec![("alertname".into(), "x".into())], ..PostedAlert::default() };
    let refused = alerting.post(vec![good, PostedAlert::default()]).await.unwrap();
    assert_eq!(refused.len(), 1, "the good one beside a bad one is kept");
    let id = alerting.set_silence(silence_of("x")).await.unwrap();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
    let missing = alerting.expire_silence("nobody").await;
    assert!(matches!(missing, Err(SilenceChangeError::Silence(SilenceError::NotFound))));
    alerting.stop().await;
    let again = start(folder.path(), config, RULES, &world).await.unwrap();
    let silenced_by = again.look(|it, now_ms| it.alerts(now_ms)[0].status.silenced_by.clone());
    assert_eq!(silenced_by.await.unwrap(), [id]);
    again.stop().await;
}

/// A silence of alerts with this name, from now on.
fn silence_of(alertname: &str) -> Silence {
    let matcher = crate::SilenceMatcher {
        name: "alertname".into(),
        value: alertname.into(),
        is_regex: false,
        is_equal: true,
    };
    Silence {
        id: String::new(),
        matchers: vec![matcher],
        starts_at_ms: 0,
        ends_at_ms: daemon::clock::now_ms() + 100_000,
        updated_at_ms: 0,
        created_by: "me".into(),
        comment: String::new(),
        dormant: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_that_a_full_disk_refuses_is_not_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(false)));
    let alerting = start(folder.path(), config, RULES, &world).await.unwrap();
    let has_room_for = |changes: usize| {
        let journal = alerting.journal.lock().unwrap();
        journal.as_ref().unwrap().room.store(changes, std::sync::atomic::Ordering::Relaxed);
    };
    let disk_is_full = |is_full: bool| has_room_for(if is_full { 0 } else { usize::MAX });
    let posted = |name: &str| PostedAlert {
        labels: vec![("alertname".to_owned(), name.to_owned())],
        ..PostedAlert::default()
    };
    let muted = || async {
        let of_x = |it: &Dispatcher, now_ms| {
            it.alerts(now_ms).into_iter().find(|view| view.alert.name() == "x").unwrap().status.silenced_by
        };
        alerting.look(of_x).await.unwrap()
    };
    let states = || async {
        let now_ms = daemon::clock::now_ms();
        let silences = alerting.silences().await.unwrap();
        silences.iter().map(|it| (it.comment.clone(), it.state(now_ms))).collect::<Vec<_>>()
    };
    let alerting_ref = &alerting;
    let told = |kind| async move {
        let filter = EventFilter { kinds: vec![kind], limit: 100, ..EventFilter::default() };
        alerting_ref.history(filter).await.unwrap().events.len()
    };
    let is_not_written = |refused: SilenceChangeError| {
        assert!(matches!(refused, SilenceChangeError::Owner(OwnerError::NotWritten)), "{refused}");
    };
    alerting.post(vec![posted("x")]).await.unwrap();

    disk_is_full(true);
    is_not_written(alerting.set_silence(silence_of("x")).await.unwrap_err());
    assert_eq!((states().await, muted().await), (vec![], vec![]), "neither listed nor muting");
    let many: Vec<_> = (0..=POSTED_AT_ONCE).map(|at| posted(&format!("y{at}"))).collect();
    assert_eq!(alerting.post(many).await, Err(OwnerError::NotDurable));
    let held = alerting.look(|it, now_ms| it.alerts(now_ms).len()).await.unwrap();
    assert_eq!(held, POSTED_AT_ONCE + 2, "alerts are told all the same");

    disk_is_full(false);
    let id = alerting.set_silence(silence_of("x")).await.unwrap();
    let made = || vec![(String::new(), crate::SilenceState::Active)];
    assert_eq!((states().await, muted().await), (made(), vec![id.clone()]), "one, not two");
    assert_eq!(told(EventKind::SilenceSet).await, 1);

    disk_is_full(true);
    is_not_written(alerting.expire_silence(&id).await.unwrap_err());
    let moved = Silence { id: id.clone(), comment: "changed".into(), ..silence_of("x") };
    is_not_written(alerting.set_silence(moved).await.unwrap_err());
    let other = Silence { id: id.clone(), ..silence_of("other") };
    is_not_written(alerting.set_silence(other).await.unwrap_err());
    assert_eq!((states().await, muted().await), (made(), vec![id.clone()]), "as it was");

    // What waits is that the silence goes on, with the changes of many alerts: too much for an almost full disk.
    let more: Vec<_> = (0..POSTED_AT_ONCE).map(|at| posted(&format!("z{at}"))).collect();
    assert_eq!(alerting.post(more).await, Err(OwnerError::NotDurable));
    has_room_for(1);
    alerting.expire_silence(&id).await.unwrap();
    assert_eq!(told(EventKind::SilenceExpired).await, 0, "events are written in their order");
    disk_is_full(false);
    alerting.post(vec![posted("x")]).await.unwrap();
    assert_eq!(told(EventKind::SilenceExpired).await, 1);
    alerting.stop().await;
    let again = start(folder.path(), config, RULES, &world).await.unwrap();
    let silences = again.silences().await.unwrap();
    assert_eq!(silences.len(), 1);
    assert_eq!(silences[0].state(daemon::clock::now_ms()), crate::SilenceState::Expired);
    let held = again.look(|it, now_ms| it.alerts(now_ms).len()).await.unwrap();
    assert_eq!(held, 2 * POSTED_AT_ONCE + 2, "what was posted meanwhile is on disk since there is room");
    again.stop().await;
}

/// Only the last fsync has failed: the silence, and what the history tells of it, are there after all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_refused_silence_that_was_written_after_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(false)));
    let alerting = start(folder.path(), config, RULES, &world).await.unwrap();
    let set = async || {
        let filter = EventFilter { kinds: vec![EventKind::SilenceSet], ..EventFilter::default() };
        let events = alerting.history(filter).await.unwrap().events;
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    let fail = || {
        let journal = alerting.journal.lock().unwrap();
        journal.as_ref().unwrap().fails_when_written.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    alerting.set_silence(silence_of("x")).await.unwrap();
    let first = set().await;
    fail();
    alerting.set_silence(silence_of("y")).await.unwrap_err();
    let refused = set().await;
    assert_eq!(refused.len(), 2, "it may be read before it is taken back");
    alerting.owner.act(|_, _, _| ()).await.unwrap();
    assert_eq!(set().await, first, "it did not happen");
    alerting.set_silence(silence_of("z")).await.unwrap();
    let last = set().await;
    assert!(last.len() == 2 && last[0] > refused[0], "{last:?} after {refused:?}");
    alerting.stop().await;
    let again = start(folder.path(), config, RULES, &world).await.unwrap();
    assert_eq!(again.silences().await.unwrap().len(), 2);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_revision_is_reported_and_the_good_one_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(false)));
    let alerting = start(folder.path(), config, RULES, &world).await.unwrap();
    std::fs::write(folder.path().join("rules.yml"), "groups: [{nam: x}]").unwrap();
    std::fs::write(folder.path().join("am.yml"), "route: {}").unwrap();
    let problems = alerting.reload().await.unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
    assert_eq!((alerting.rules().len(), alerting.reload_status().problems.len()), (1, 2));
    std::fs::write(folder.path().join("rules.yml"), RULES.replace("name: g", "name: h")).unwrap();
    std::fs::write(folder.path().join("am.yml"), config).unwrap();
    alerting.reload().await.unwrap();
    assert_eq!(alerting.rules()[0].definition.name, "h");
    assert!(alerting.reload_status().problems.is_empty());
    alerting.stop().await;
    let broken = start(folder.path(), "route: {}", RULES, &world).await;
    assert!(matches!(broken, Err(StartError::Problems(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_at_a_reload_is_told_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(false)));
    let alerting = start(folder.path(), config, RULES, &world).await.unwrap();
    let refused = || {
        let own = daemon::metrics::Metrics::default();
        alerting.metrics.register(&own);
        let is_refused = |what: &&str| {
            let line = format!("bellwether_alerting_reload_successful{{what=\"{what}\"}} ");
            let text = own.encode();
            text.split_once(&line).unwrap_or_else(|| panic!("no {what} in {text}")).1.starts_with('0')
        };
        ["rules", "routes", "silences"].into_iter().filter(is_refused).collect::<Vec<_>>()
    };
    assert_eq!(refused(), [""; 0]);
    for (rules, routes, expected) in [
        ("groups: [{nam: x}]", config, &["rules"][..]),
        (RULES, "route: {}", &["routes"]),
        ("groups: [{nam: x}]", "route: {}", &["rules", "routes"]),
        (RULES, config, &[]),
    ] {
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        std::fs::write(folder.path().join("am.yml"), routes).unwrap();
        assert_eq!(alerting.reload().await.is_ok(), expected.is_empty());
        assert_eq!(refused(), expected);
    }
    alerting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn built_in_rules_come_and_go_and_leave_the_rest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(true)));
    let alerting = start(folder.path(), config, RULES, &world).await.unwrap();
    let names = || alerting.rules().iter().map(|group| group.definition.name.clone()).collect::<Vec<_>>();
    let pack =
        |name: &str| (format!("shipped:{name}.yml"), RULES.replace("name: g", &format!("name: {name}")));
    // A mistake in the folder is nobody's business while packs are switched.
    std::fs::write(folder.path().join("rules.yml"), "groups: [{nam: x}]").unwrap();
    let evaluated = || alerting.rules()[0].last_evaluation_ms;
    tokio::time::timeout(Duration::from_secs(10), async {
        while evaluated().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the group is evaluated");
    let before = evaluated();

    alerting.replace_built_in(vec![pack("a"), pack("b")]).await.unwrap();
    assert_eq!(names(), ["g", "a", "b"]);
    assert!(evaluated() >= before, "its state is kept");
    let bad = ("shipped:c.yml".to_owned(), "groups: [{nam: x}]".to_owned());
    alerting.replace_built_in(vec![bad]).await.unwrap_err();
    assert_eq!(names(), ["g", "a", "b"]);
    alerting.replace_built_in(vec![pack("b")]).await.unwrap();
    assert_eq!(names(), ["g", "b"]);

    std::fs::write(folder.path().join("rules.yml"), RULES.replace("name: g", "name: h")).unwrap();
    alerting.reload().await.unwrap();
    assert_eq!(names(), ["h", "b"], "a reload knows which packs are on");
    alerting.stop().await;
}

/// The first evaluation is as of a moment that may lie an interval back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_was_just_evaluated_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let rules = RULES.replace("200ms", "365d");
    let started_ms = daemon::clock::now_ms();
    let alerting = start(folder.path(), config, &rules, &Arc::new(World(Mutex::new(true)))).await.unwrap();
    let evaluated_ms = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match alerting.rules()[0].last_evaluation_ms {
                Some(at_ms) => break at_ms,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    assert!(evaluated_ms.await.expect("the group is evaluated") >= started_ms);
    assert!(alerting.rules()[0].rules[0].last_evaluation_ms >= Some(started_ms));
    alerting.stop().await;
}

/// A receiver that takes its time while the configuration is reloaded twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reloads_while_a_delivery_is_in_flight_repeat_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, mut requests) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let request = read_request(&mut stream).await;
                sender.send(request).await.unwrap();
                tokio::time::sleep(Duration::from_millis(700)).await;
                stream
                    .write_all(b"HTTP/1.1 200 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .await
                    .unwrap();
            });
        }
    });
    let config = format!(
        "route: {{receiver: r, group_wait: 100ms, group_interval: 300ms}}\nreceivers: [{{name: r, webhook_configs: [{{url: '{url}'}}]}}]\n"
    );
    let world = Arc::new(World(Mutex::new(true)));
    let alerting = start(folder.path(), &config, RULES, &world).await.unwrap();
    next(&mut requests).await;
    alerting.reload().await.unwrap();
    alerting.reload().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(requests.try_recv().is_err(), "the delivery in flight was made again");
    alerting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_notification_says_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = webhook_sink(&[403]).await;
    let config = format!(
        "route: {{receiver: quiet}}\nreceivers: [{{name: quiet}}, {{name: r, webhook_configs: [{{url: '{url}'}}]}}]\n"
    );
    let world = Arc::new(World(Mutex::new(false)));
    let alerting = start(folder.path(), &config, RULES, &world).await.unwrap();
    let refused = alerting.test_receiver("r").await.unwrap();
    assert!(!refused[0].delivered && refused[0].error.as_ref().unwrap().contains("403"), "{refused:?}");
    let taken = alerting.test_receiver("r").await.unwrap();
    assert!(taken[0].delivered && taken[0].integration == "r/webhook/0");
    next(&mut requests).await;
    let body: serde_json::Value = serde_json::from_str(&next(&mut requests).await.body).unwrap();
    assert_eq!(body["alerts"][0]["labels"]["alertname"], "TestNotification");
    let unknown = alerting.test_receiver("nobody").await.err().unwrap().to_string();
    assert_eq!(unknown, "there is no receiver `nobody`: there are `quiet`, `r`");
    let kinds = EventFilter { kinds: vec![EventKind::Tested], ..EventFilter::default() };
    let page = alerting.history(kinds).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.error.is_some()).collect::<Vec<_>>(), [false, true]);
    alerting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_shows_in_health() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let alerting = start(folder.path(), config, RULES, &Arc::new(World(Mutex::new(false)))).await.unwrap();
    assert!(alerting.is_healthy());
    let act = alerting.owner.act(|dispatcher, _, _| assert_eq!(dispatcher.sizes().0, 99, "on purpose"));
    assert_eq!(act.await, Err(OwnerError::Stopped));
    tokio::time::timeout(Duration::from_secs(10), async {
        while alerting.is_healthy() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the end of the thread is seen");
    alerting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_keeps_nobody_waiting() {
    const ALERTS: usize = 70;
    let folder = tempfile::tempdir().unwrap();
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging_url = format!("http://{}/", hanging.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hanging.accept().await {
            held.push(stream);
        }
    });
    let (url, mut requests) = webhook_sink(&[]).await;
    let config = format!(
        "route: {{receiver: good, group_by: ['...'], group_wait: 0s, group_interval: 1m, routes: [\
         {{receiver: hangs, continue: true, matchers: ['alertname=~\".+\"']}}, {{receiver: good, matchers: ['alertname=~\".+\"']}}]}}\n\
         receivers: [{{name: hangs, webhook_configs: [{{url: '{hanging_url}'}}]}}, {{name: good, webhook_configs: [{{url: '{url}'}}]}}]\n"
    );
    let alerting = start(folder.path(), &config, RULES, &Arc::new(World(Mutex::new(false)))).await.unwrap();
    let alert = |number: usize| PostedAlert {
        labels: vec![("alertname".into(), format!("a{number}"))],
        ..PostedAlert::default()
    };
    alerting.post((0..ALERTS).map(alert).collect()).await.unwrap();
    for _ in 0..ALERTS {
        next(&mut requests).await;
    }
    alerting.stop().await;
}

/// Refuses for a while, then takes everything.
struct Log(Mutex<(usize, Vec<u64>)>);

impl EventSink for Log {
    fn append(&self, events: &[crate::Event]) -> Result<(), QueryFailure> {
        let mut state = self.0.lock().unwrap();
        if state.0 > 0 {
            state.0 -= 1;
            return Err(QueryFailure("busy".to_owned()));
        }
        state.1.extend(events.iter().map(|event| event.id));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_reach_the_log_once_each_however_busy_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(true)));
    let log = Arc::new(Log(Mutex::new((1, Vec::new()))));
    for _ in 0..2 {
        let sink: Arc<dyn EventSink> = log.clone();
        let alerting = start_logging(folder.path(), config, RULES, &world, Some(sink)).await.unwrap();
        let good = PostedAlert { labels: vec![("alertname".into(), "x".into())], ..PostedAlert::default() };
        alerting.post(vec![good]).await.unwrap();
        alerting.reload().await.unwrap();
        let before = log.0.lock().unwrap().1.len();
        tokio::time::timeout(Duration::from_secs(10), async {
            while log.0.lock().unwrap().1.len() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("events come");
        alerting.stop().await;
    }
    let ids = log.0.lock().unwrap().1.clone();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_bad_rules_goes_on_with_the_good_ones_before() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: r}\nreceivers: [{name: r}]\n";
    let world = Arc::new(World(Mutex::new(false)));
    let first = start(folder.path(), config, "groups: [{nam: x}]", &world).await;
    assert!(matches!(first, Err(StartError::Problems(_))), "nothing good is known yet");
    start(folder.path(), config, RULES, &world).await.unwrap().stop().await;
    let alerting = start(folder.path(), config, "groups: [{nam: x}]", &world).await.unwrap();
    let problems = alerting.reload_status().problems;
    assert_eq!((alerting.rules().len(), problems.len(), problems[0].line), (1, 1, 1));
    assert!(alerting.reload().await.is_err());

    // Rules that are offered do not hang on files that are wrong.
    let text = RULES.replace("name: g", "name: offered");
    let offer = |text: &str, revision: &str| crate::Offer {
        revision: revision.into(),
        at_ms: 7,
        files: vec![("git:x/a.yml".into(), text.into())],
    };
    // This server was not told of the source, so the next start would forget it.
    alerting.offer("git:x", offer(&text, "1")).await.unwrap();
    assert_eq!((alerting.rules().len(), alerting.offered("git:x")), (2, Some(("1".into(), 7, 1))));
    let problems = alerting.offer("git:x", offer("groups: [{}]", "2")).await.unwrap_err();
    assert!(problems.to_string().starts_with("git:x/a.yml:1:"), "{problems}");
    assert_eq!((alerting.rules().len(), alerting.offered("git:x")), (2, Some(("1".into(), 7, 1))));
    std::fs::write(folder.path().join("rules.yml"), RULES.replace("name: g", "name: h")).unwrap();
    alerting.reload().await.unwrap();
    let groups: Vec<_> = alerting.rules().iter().map(|group| group.definition.name.clone()).collect();
    assert_eq!(groups, ["h", "offered"]);
    alerting.offer("git:x", offer("groups: []", "3")).await.unwrap();
    assert_eq!(alerting.rules().len(), 1, "what is deleted is deleted");
    alerting.stop().await;
}
