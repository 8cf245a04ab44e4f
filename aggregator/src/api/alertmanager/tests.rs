//! Requests against the router, with alerting over a world that has one firing element.

use crate::app::{App, AppState};
use alerting::{
    Alerting, ExpressionError, Parts, Querier, QueryFailure, Reading, SampleSink, Settings, Source,
};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use http_body_util::BodyExt;
use model::{Labels, MetricBatch, VectorSample};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;

struct World;

impl Querier for World {
    fn instant(&self, _: Source, expr: &str, at_ms: i64) -> Result<Reading, QueryFailure> {
        if expr == "broken" {
            return Err(QueryFailure("it broke".to_owned()));
        }
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "web")]);
        Ok(Reading::Vector(vec![VectorSample {
            labels,
            timestamp_ms: at_ms,
            value: model::Value::Float(1.5),
        }]))
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

const CONFIG: &str = "route: {receiver: ops, routes: [{matchers: [team=db], receiver: dba}]}\n\
                      receivers: [{name: ops}, {name: dba}]\n";
const RULES: &str = "groups:\n- name: g\n  interval: 1h\n  rules:\n  - {alert: Down, expr: up, annotations: {s: 'is {{ $value }}'}}\n  \
                     - {alert: Broken, expr: broken, labels: {team: db}}\n  - {record: r, expr: up, labels: {team: db}}\n";

pub(crate) struct Stage {
    app: AppState,
    folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Stage::with_silences("silences: []\n").await
    }

    /// With a file of silences.
    async fn with_silences(silences: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("silences.yml"), silences).unwrap();
        std::fs::write(folder.path().join("am.yml"), CONFIG).unwrap();
        std::fs::write(folder.path().join("rules.yml"), RULES).unwrap();
        let settings = Settings {
            rules: vec![folder.path().join("rules.yml")],
            alertmanager_config: Some(folder.path().join("am.yml")),
            silences: vec![folder.path().join("silences.yml")],
            state_dir: folder.path().join("state"),
            external_url: "http://bw".to_owned(),
            ..Settings::default()
        };
        let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
        let world = Arc::new(World);
        let parts =
            Parts { querier: world.clone(), sink: world, events: None, client, clock: daemon::clock::now_ms };
        let app = App::for_tests();
        let alerting = Alerting::start(settings, parts, &app.own).await.unwrap();
        app.set_alerting(Arc::new(alerting));
        let stage = Stage { app, folder };
        while !stage.is_set().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage
    }

    /// Whether the alert is shown, and both it and the rule that fails are in the history, which is
    /// written after.
    async fn is_set(&self) -> bool {
        let history = self.get("/api/bellwether/v1/alerting/history?kind=firing,rule_failing").await;
        let is_written = history["events"].as_array().is_some_and(|events| events.len() >= 2);
        is_written && self.get("/api/v2/alerts").await != json!([])
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let router = crate::api::open_service(&self.app);
        let response = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, answer) = self.send(Method::POST, path, &body.to_string()).await;
        (status.as_u16(), answer)
    }
}

fn names(alerts: &Value) -> Vec<&str> {
    alerts.as_array().unwrap().iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_taken_shown_and_filtered() {
    let stage = Stage::new().await;
    let posted = json!([
        {"labels": {"alertname": "Disk", "team": "db", "empty": ""}, "generatorURL": "http://x/"},
        {"labels": {"alertname": "Old"}, "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2020-01-01T01:00:00Z"},
    ]);
    assert_eq!(stage.post("/api/v2/alerts", &posted).await, (200, json!("")));
    let all = stage.get("/alertmanager/api/v2/alerts").await;
    let mut found = names(&all);
    found.sort_unstable();
    assert_eq!(found, ["Disk", "Down"]);
    let disk = stage.get("/api/v2/alerts?filter=team%3Ddb").await;
    assert_eq!(disk[0]["labels"], json!({"alertname": "Disk", "team": "db"}));
    assert_eq!(disk[0]["receivers"], json!([{"name": "dba"}]));
    let expected = json!({"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"});
    assert_eq!(disk[0]["status"], expected);
    assert_eq!(names(&stage.get("/api/v2/alerts?receiver=op.").await), ["Down"]);
    assert_eq!(stage.get("/api/v2/alerts?active=false").await, json!([]));
    let groups = stage.get("/api/v2/alerts/groups").await;
    let receivers: Vec<_> =
        groups.as_array().unwrap().iter().map(|group| &group["receiver"]["name"]).collect();
    assert_eq!(receivers, ["dba", "ops"]);
    assert_eq!(stage.send(Method::GET, "/api/v2/alerts?filter=%7B%7B%7B", "").await.0.as_u16(), 400);
    assert_eq!(stage.get("/api/v2/alerts?active=maybe").await, json!([]), "what is no yes is a no");
    assert_eq!(names(&stage.get("/api/v2/alerts?active=TRUE&receiver=").await).len(), 2);
}

const BOTH: &str = "route: {receiver: z, routes: [{receiver: z, group_by: [b, c], continue: true}, {receiver: a, group_by: [a]}]}\n\
                    receivers: [{name: z}, {name: a}]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_stand_in_alertmanagers_order() {
    let stage = Stage::new().await;
    std::fs::write(stage.folder.path().join("am.yml"), BOTH).unwrap();
    assert_eq!(stage.send(Method::POST, "/-/reload", "").await.0, StatusCode::OK);
    let posted = json!([
        {"labels": {"alertname": "X", "b": "1", "c": "1"}},
        {"labels": {"alertname": "Y", "a": "1", "b": "2"}},
        {"labels": {"alertname": "A", "instance": "i", "b": "2"}},
    ]);
    assert_eq!(stage.post("/api/v2/alerts", &posted).await.0, 200);
    let shown = |groups: &Value| -> Vec<String> {
        let group = |group: &Value| {
            let alerts = names(&group["alerts"]).join(" ");
            format!("{} {}: {alerts}", group["receiver"]["name"].as_str().unwrap(), group["labels"])
        };
        groups.as_array().unwrap().iter().map(group).collect()
    };
    let groups = stage.get("/api/v2/alerts/groups").await;
    let expected = [
        "a {}: Down A X",
        "z {}: Down",
        "z {\"b\":\"2\"}: A Y",
        "a {\"a\":\"1\"}: Y",
        "z {\"b\":\"1\",\"c\":\"1\"}: X",
    ];
    assert_eq!(shown(&groups), expected);
    assert_eq!(groups[0]["alerts"][0]["receivers"], json!([{"name": "a"}, {"name": "z"}]));
    let of_one = stage.get("/api/v2/alerts/groups?receiver=a").await;
    assert_eq!(of_one[0]["alerts"][0]["receivers"], json!([{"name": "a"}]), "only those that were asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_are_answered_in_alertmanagers_words() {
    let stage = Stage::new().await;
    let no_such = "/api/v2/silence/00000000-0000-4000-8000-000000000000";
    for (method, path, status, expected) in [
        (
            Method::GET,
            "/api/v2/nothing",
            404,
            json!({"code": 404, "message": "path /api/v2/nothing was not found"}),
        ),
        (
            Method::POST,
            "/api/v2/status",
            405,
            json!({"code": 405, "message": "method POST is not allowed, but [GET] are"}),
        ),
        (Method::GET, no_such, 404, json!("")),
        (Method::DELETE, no_such, 404, json!("")),
        (
            Method::POST,
            "/api/v2/silences",
            422,
            json!({"code": 602, "message": "silence in body is required"}),
        ),
        (Method::POST, "/api/v2/alerts", 422, json!({"code": 602, "message": "alerts in body is required"})),
    ] {
        let (found, answer) = stage.send(method, path, "").await;
        assert_eq!((found.as_u16(), answer), (status, expected), "{path}");
    }
    let plain =
        Request::builder().method(Method::POST).uri("/api/v2/alerts").header("content-type", "text/plain");
    let router = crate::api::open_service(&stage.app);
    let response = router.oneshot(plain.body(Body::from("[]")).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silences_are_refused_in_alertmanagers_words() {
    let stage = Stage::new().await;
    let with = |matchers: Value| json!({"matchers": matchers, "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z", "createdBy": "me", "comment": "c"});
    for (matchers, status, expected) in [
        (json!([]), 422, "matchers in body should have at least 1 items"),
        (json!([{"name": "a", "value": "b"}]), 422, "matchers.0.isRegex in body is required"),
        (json!([{"value": "b", "isRegex": false}]), 422, "matchers.0.name in body is required"),
        (json!([{"name": "a", "isRegex": false}]), 422, "matchers.0.value in body is required"),
        (
            json!([{"name": "a", "value": "", "isRegex": false}]),
            400,
            "silence invalid: at least one matcher must not",
        ),
        (json!([{"name": "a", "value": "b", "isRegex": false, "isEqual": null}]), 200, "silenceID"),
        (json!([{"name": "a", "value": "b|c", "isRegex": true, "isEqual": false}]), 200, "silenceID"),
    ] {
        let (found, answer) = stage.post("/api/v2/silences", &with(matchers.clone())).await;
        assert!(found == status && answer.to_string().contains(expected), "{matchers}: {found} {answer}");
    }
    let mut from_now = with(json!([{"name": "z", "value": "b", "isRegex": false}]));
    from_now["startsAt"] = json!("0001-01-01T00:00:00Z");
    assert_eq!(stage.post("/api/v2/silences", &from_now).await.0, 200, "a start of nothing is now");
    let mut scheduled = from_now.clone();
    scheduled["schedule"] = json!([{"times": [{"start_time": "01:00", "end_time": "02:00"}]}]);
    let (found, answer) = stage.post("/api/v2/silences", &scheduled).await;
    assert_eq!(found, 400, "it would mute all day");
    assert!(answer.as_str().unwrap().contains("`schedule`"), "{answer}");
    for (filter, expected) in [("a%3Db", 1), ("a!~%22b%7Cc%22", 1), ("a%3D~b", 0), ("a!%3Dx", 0), ("b%3D", 0)]
    {
        let found = stage.get(&format!("/api/v2/silences?filter={filter}")).await;
        assert_eq!(found.as_array().unwrap().len(), expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_alerts_are_refused_in_alertmanagers_words() {
    let stage = Stage::new().await;
    for (body, status, expected) in [
        (json!({"labels": {}}), 400, "parsing alerts body"),
        (json!([{"labels": {}}]), 400, "at least one label pair required"),
        (json!([{"labels": {"a": "b"}}, {}]), 422, "\"1.labels in body is required"),
        (
            json!([{"labels": {"a": "b"}, "generatorURL": "not a url"}]),
            422,
            r#"0.generatorURL in body must be of type uri: \"not a url\""#,
        ),
        (json!([{"labels": {"a": "b"}, "startsAt": "soon"}]), 400, "`soon` is not a time"),
        (
            json!([{"labels": {"a": "b"}, "startsAt": "2020-01-02T00:00:00Z", "endsAt": "2020-01-01T00:00:00Z"}]),
            400,
            "start time must be before end time",
        ),
    ] {
        let (found, answer) = stage.post("/api/v2/alerts", &body).await;
        assert!(found == status && answer.to_string().contains(expected), "{body}: {found} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_of_a_file_is_refused_with_the_reason() {
    let stage = Stage::with_silences(
        "silences:\n- {name: spare, matchers: [team=none], owner: me, reason: r, expires: '2100-01-01T00:00:00Z'}\n",
    )
    .await;
    let listed = stage.get("/api/v2/silences").await;
    let id = listed[0]["id"].as_str().unwrap();
    let (status, answer) = stage.send(Method::DELETE, &format!("/api/v2/silence/{id}"), "").await;
    // amtool 0.25 prints the text of this status and of no other.
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.as_str().unwrap().starts_with("silence `spare` comes from the file `"), "{answer}");
    assert_eq!(stage.get("/api/v2/silences").await, listed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silences_are_made_shown_and_ended() {
    let stage = Stage::new().await;
    let wanted = json!({
        "matchers": [{"name": "alertname", "value": "Down", "isRegex": false}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z", "createdBy": "me", "comment": "work",
    });
    let (status, answer) = stage.post("/api/v2/silences", &wanted).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["silenceID"].as_str().unwrap();
    let silence = stage.get(&format!("/api/v2/silence/{id}")).await;
    assert_eq!(
        (&silence["status"]["state"], &silence["matchers"][0]["isEqual"]),
        (&json!("active"), &json!(true))
    );
    assert_eq!(stage.get("/api/v2/silences?filter=alertname%3DDown").await[0]["id"], id);
    assert_eq!(stage.get("/api/v2/silences?filter=alertname%3DUp").await, json!([]));
    let muted = stage.get("/api/v2/alerts?active=false").await;
    assert_eq!(muted[0]["status"]["silencedBy"], json!([id]));
    for expected in [200, 200] {
        let path = format!("/api/v2/silence/{id}");
        assert_eq!(stage.send(Method::DELETE, &path, "").await.0.as_u16(), expected);
    }
    assert_eq!(stage.get(&format!("/api/v2/silence/{id}")).await["status"]["state"], "expired");
    for (method, path, expected) in [
        (Method::GET, "/api/v2/silence/x", 422),
        (Method::GET, "/api/v2/silence/00000000-0000-4000-8000-000000000000", 404),
        (Method::DELETE, "/api/v2/silence/00000000-0000-4000-8000-000000000000", 404),
    ] {
        assert_eq!(stage.send(method, path, "").await.0.as_u16(), expected, "{path}");
    }
    let without = |field: &str| {
        let mut body = wanted.clone();
        body.as_object_mut().unwrap().remove(field);
        body
    };
    for field in ["matchers", "startsAt", "endsAt", "createdBy", "comment"] {
        let (status, answer) = stage.post("/api/v2/silences", &without(field)).await;
        assert_eq!((status, &answer["message"]), (422, &json!(format!("{field} in body is required"))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_receivers_and_reload() {
    let stage = Stage::new().await;
    let status = stage.get("/api/v2/status").await;
    assert!(status["config"]["original"].as_str().unwrap().contains("receiver: ops"), "{status}");
    assert_eq!(status["cluster"], json!({"peers": [], "status": "disabled"}));
    assert_eq!(stage.get("/api/v2/receivers").await, json!([{"name": "ops"}, {"name": "dba"}]));
    assert_eq!(stage.send(Method::POST, "/-/reload", "").await.0, StatusCode::OK);
    std::fs::write(stage.folder.path().join("am.yml"), "route: {receiver: nobody}\nreceivers: []\n").unwrap();
    let (status, answer) = stage.send(Method::POST, "/-/reload", "").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.as_str().unwrap().contains("am.yml:1:19: undefined receiver `nobody`"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_their_alerts_have_prometheus_shapes() {
    let stage = Stage::new().await;
    let answer = stage.get("/api/v1/rules").await;
    let group = &answer["data"]["groups"][0];
    assert_eq!(
        (&answer["status"], &group["name"], &group["interval"]),
        (&json!("success"), &json!("g"), &json!(3600.0))
    );
    let [down, broken, record] = group["rules"].as_array().unwrap().as_slice() else { panic!("{group}") };
    assert_eq!(
        (&down["state"], &down["health"], &down["type"]),
        (&json!("firing"), &json!("ok"), &json!("alerting"))
    );
    let alert = &down["alerts"][0];
    assert_eq!(alert["labels"], json!({"alertname": "Down", "job": "web"}));
    assert_eq!((&alert["value"], &alert["annotations"]["s"]), (&json!("1.5e+00"), &json!("is 1.5")));
    assert_eq!((&broken["health"], &broken["lastError"]), (&json!("err"), &json!("it broke")));
    assert_eq!((&record["type"], &record["labels"]), (&json!("recording"), &json!({"team": "db"})));
    let alerts = stage.get("/prometheus/api/v1/alerts").await;
    assert_eq!(alerts["data"]["alerts"], json!([alert]));
    for (query, expected) in [
        ("type=record", &["r"][..]),
        ("type=alert", &["Down", "Broken"]),
        ("rule_name%5B%5D=Down", &["Down"]),
        ("match%5B%5D=%7Bteam%3D%22db%22%7D", &["Broken", "r"]),
        ("rule_group%5B%5D=other", &[]),
    ] {
        let answer = stage.get(&format!("/api/v1/rules?{query}")).await;
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        let found: Vec<_> =
            groups.flat_map(|group| group["rules"].as_array().unwrap()).map(|rule| &rule["name"]).collect();
        assert_eq!(found, expected, "{query}");
    }
    let without = stage.get("/api/v1/rules?exclude_alerts=true").await;
    assert_eq!(without["data"]["groups"][0]["rules"][0]["alerts"], json!([]));
    assert_eq!(stage.send(Method::GET, "/api/v1/rules?type=x", "").await.0, StatusCode::BAD_REQUEST);
}
