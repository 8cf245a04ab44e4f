//! What Alertmanager makes of templates, as text and as HTML: every line of the recorded table. How
//! it was recorded says `crates/template/testdata/record.py`.

use super::{NotificationTemplates, notification::data};
use crate::{
    Annotations,
    alert::Alert,
    notify::{Message, NotifiedAlert, Reason},
    timestamp::Written,
};
use model::Labels;

const TABLE: &str = include_str!("../../../template/testdata/notifications.tsv");

/// The same as `notification.json`.
fn message() -> Message {
    let alert = |instance: &str, resolved: bool, starts_at_ms: i64, ends_at_ms: i64| NotifiedAlert {
        alert: Alert {
            labels: Labels::from_pairs([
                ("alertname", "DiskFull"),
                ("instance", instance),
                ("severity", "page"),
            ]),
            annotations: Annotations::from_pairs([("summary", "disk <sda> is \"full\" & slow")]),
            starts_at_ms,
            ends_at_ms,
            starts_written: Written::default(),
            ends_written: Written::default(),
            updated_at_ms: 0,
            generator_url: "http://prom.test/graph?g0.expr=a+%3E+b&g0.tab=1".into(),
            timeout: false,
            held: false,
            rendered: crate::Rendered::default(),
            measure: None,
        },
        resolved,
    };
    Message {
        receiver: "team-x".into(),
        group_key: String::new(),
        group_labels: Labels::from_pairs([("alertname", "DiskFull")]),
        alerts: vec![
            alert("db-1", false, 1_643_114_203_000, 0),
            alert("db-2", true, 1_643_114_263_000, 1_643_119_663_000),
        ],
        reason: Reason::First,
        incidents: None,
    }
}

#[test]
fn templates_of_notifications_give_what_alertmanager_gives() {
    let templates = NotificationTemplates::default();
    let data = data(&message(), "http://am.test/p", &Default::default());
    let mut differences = Vec::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let columns: Vec<&str> = line.split('\t').collect();
        let template: String = serde_json::from_str(columns[0]).unwrap();
        let is_html = columns.get(2) == Some(&"html");
        let got = match (templates.check(&template), templates.expand(&template, &data, is_html, 0)) {
            (Err(_), _) => "!parse".to_owned(),
            (Ok(()), Err(_)) => "!execute".to_owned(),
            (Ok(()), Ok(text)) => serde_json::Value::from(text).to_string(),
        };
        let expected = serde_json::from_str::<serde_json::Value>(columns[1])
            .map_or(columns[1].to_owned(), |it| it.to_string());
        if got != expected {
            differences.push(format!("{template}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
