//! Requests against the router, over the stage of Alertmanager's API.

use crate::api::alertmanager::tests::Stage;
use serde_json::{Value, json};

const BASE: &str = "/api/bellwether/v1/alerting";

async fn get(stage: &Stage, path: &str) -> Value {
    stage.get(&format!("{BASE}/{path}")).await
}

fn kinds(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_history_of_alerts() {
    let stage = Stage::new().await;
    let posted = json!([{"labels": {"alertname": "Disk", "team": "db"}}]);
    assert_eq!(stage.post("/api/v2/alerts", &posted).await.0, 200);
    let ended = json!([{"labels": {"alertname": "Disk", "team": "db"}, "endsAt": "2020-01-01T00:00:00Z"}]);
    assert_eq!(stage.post("/api/v2/alerts", &ended).await.0, 200);
    let disk = get(&stage, "history?matcher=alertname%3DDisk").await;
    assert_eq!(kinds(&disk), ["resolved", "firing"]);
    assert_eq!(disk["events"][0]["labels"], json!({"alertname": "Disk", "team": "db"}));
    let failing = get(&stage, "history?kind=rule_failing,rule_recovered").await;
    assert_eq!(
        (kinds(&failing), &failing["events"][0]["error"]),
        (vec!["rule_failing".to_owned()], &json!("it broke"))
    );
    assert_eq!(
        get(&stage, "history?matcher=alertname%3DDisk&limit=1").await["next"],
        disk["events"][0]["id"]
    );
    assert_eq!(get(&stage, "history?end=1h").await["events"], json!([]));
    for bad in [
        "history?kind=x",
        "history?limit=x",
        "history?start=x",
        "history?typo=1",
        "history?matcher=a%3D~%22(%22",
    ] {
        let (status, message) = stage.send(axum::http::Method::GET, &format!("{BASE}/{bad}"), "").await;
        assert_eq!(status, 400, "{bad}: {message}");
        let names_kinds = message.to_string().contains("`given_up`");
        assert_eq!(names_kinds, bad.contains("kind"), "{bad}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_explained_and_so_is_one_that_is_not_there() {
    let stage = Stage::new().await;
    let down = get(&stage, "explain?matcher=alertname%3DDown").await;
    let alert = &down["alerts"][0];
    assert_eq!((&alert["state"], &alert["routes"][0]["receiver"]), (&json!("firing"), &json!("ops")));
    assert_eq!(alert["events"][0]["kind"], "firing");
    let nobody = get(&stage, "explain?matcher=alertname%3DNobody&matcher=team%3Ddb").await;
    let alert = &nobody["alerts"][0];
    assert_eq!((&alert["state"], &alert["routes"][0]["receiver"]), (&json!("unknown"), &json!("dba")));
    let path =
        json!([{"matchers": "{}", "receiver": "ops"}, {"matchers": "{team=\"db\"}", "receiver": "dba"}]);
    assert_eq!(alert["routes"][0]["path"], path);
    assert_eq!(stage.send(axum::http::Method::GET, &format!("{BASE}/explain"), "").await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_shows_what_it_would_mute_and_a_receiver_is_tested() {
    let stage = Stage::new().await;
    let preview = get(&stage, "silences/preview?matcher=job%3Dweb").await;
    assert_eq!(
        (&preview["total"], &preview["alerts"][0]["labels"]["alertname"]),
        (&json!(1), &json!("Down"))
    );
    assert_eq!(get(&stage, "silences/preview?matcher=job%3Ddb").await["total"], 0);
    let (status, answer) = stage.post(&format!("{BASE}/notify/test/ops"), &json!({})).await;
    assert_eq!((status, answer), (200, json!({"receiver": "ops", "delivered": false, "integrations": []})));
    assert_eq!(stage.post(&format!("{BASE}/notify/test/nobody"), &json!({})).await.0, 404);
}
