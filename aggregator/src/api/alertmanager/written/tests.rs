//! What is written by hand against what a general serializer makes of the same alerts.

use super::*;
use alerting::{Annotations, Rendered, dispatch::AlertStatus, timestamp};
use model::Labels;
use proptest::{collection::vec, prelude::*, sample::select};
use serde::{Serialize, Serializer, ser::SerializeMap};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson<'a> {
    annotations: &'a Annotations,
    ends_at: String,
    fingerprint: String,
    receivers: Vec<ReceiverJson<'a>>,
    starts_at: String,
    status: StatusJson<'a>,
    updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    #[serde(serialize_with = "labels_json")]
    labels: &'a Labels,
}

#[derive(Serialize)]
struct ReceiverJson<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson<'a> {
    inhibited_by: Vec<String>,
    muted_by: &'a [String],
    silenced_by: &'a [String],
    state: &'static str,
}

fn labels_json<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in labels.iter() {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

fn reference(views: &[AlertView<'_>]) -> String {
    let alerts: Vec<_> = views.iter().map(alert_json).collect();
    serde_json::to_string(&alerts).unwrap()
}

fn alert_json<'a>(view: &'a AlertView<'a>) -> AlertJson<'a> {
    let (alert, status) = (view.alert, &view.status);
    let receivers = view.receivers.iter();
    AlertJson {
        annotations: &alert.annotations,
        ends_at: alert.ends_written.millis(alert.ends_at_ms),
        fingerprint: view.fingerprint.to_string(),
        receivers: receivers.map(|name| ReceiverJson { name }).collect(),
        starts_at: alert.starts_written.millis(alert.starts_at_ms),
        status: StatusJson {
            inhibited_by: status.inhibited_by.iter().map(ToString::to_string).collect(),
            muted_by: &status.muted_by,
            silenced_by: &status.silenced_by,
            state: status.state(),
        },
        updated_at: timestamp::millis(alert.updated_at_ms),
        generator_url: &alert.generator_url,
        labels: &alert.labels,
    }
}

/// Text of any length, with much that must be escaped.
fn text() -> impl Strategy<Value = String> {
    let special = select(vec![
        '"', '\\', '\n', '\r', '\t', '\0', '\u{8}', '\u{c}', '\u{1f}', '\u{7f}', '\u{2028}', '{',
    ]);
    let plain = prop_oneof![8 => prop::char::range('a', 'z'), 1 => any::<char>()];
    let mixed = prop_oneof![3 => plain.clone(), 1 => special];
    let of = |each: BoxedStrategy<char>| vec(each, 0..40).prop_map(String::from_iter);
    prop_oneof![of(plain.boxed()), of(mixed.boxed())]
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..5)
}

/// An instant, and the text that it may have been posted as.
fn instant() -> impl Strategy<Value = (i64, Written)> {
    let offset = select(vec!["Z", "+02:00", "-03:30", "+00:00", "+14:00"]);
    let digits = select(vec!["", ".5", ".123456789", ".000"]);
    let posted = (0..24, 1960..2400, digits, offset).prop_map(|(hour, year, digits, offset)| {
        timestamp::parse_written(&format!("{year}-03-01T{hour:02}:00:59{digits}{offset}")).unwrap().unwrap()
    });
    prop_oneof![posted, any::<i64>().prop_map(|at_ms| (at_ms, Written::default()))]
}

fn alert() -> impl Strategy<Value = Alert> {
    (pairs(), pairs(), instant(), instant(), instant(), text()).prop_map(
        |(labels, annotations, starts, ends, updated, generator_url)| Alert {
            labels: Labels::from_pairs(labels.into_iter().filter(|(name, _)| !name.is_empty())),
            annotations: Annotations::from_pairs(annotations),
            starts_at_ms: starts.0,
            ends_at_ms: ends.0,
            starts_written: starts.1,
            ends_written: ends.1,
            updated_at_ms: updated.0,
            generator_url,
            timeout: false,
            held: false,
            measure: None,
            rendered: Rendered::default(),
        },
    )
}

fn status() -> impl Strategy<Value = AlertStatus> {
    (vec(text(), 0..3), vec(any::<u64>().prop_map(Fingerprint), 0..2), vec(text(), 0..3))
        .prop_map(|(silenced_by, inhibited_by, muted_by)| AlertStatus { silenced_by, inhibited_by, muted_by })
}

fn view((alert, status, receivers): &(Alert, AlertStatus, Vec<String>)) -> AlertView<'_> {
    AlertView {
        alert,
        fingerprint: alert.fingerprint(),
        receivers: receivers.iter().map(String::as_str).collect(),
        status: status.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn alerts_are_written_as_a_serializer_would(
        alerts in vec((alert(), status(), vec(text(), 0..3)), 0..2 * SAMPLE),
    ) {
        let views: Vec<_> = alerts.iter().map(view).collect();
        let mut written = String::new();
        push_alerts(&mut written, views.iter(), views.len());
        prop_assert_eq!(written, reference(&views));
    }
}

#[test]
fn room_is_made_for_all_once() {
    let alert = Alert {
        labels: Labels::from_pairs([("alertname", "a")]),
        annotations: Annotations::empty(),
        starts_at_ms: 0,
        ends_at_ms: 1,
        starts_written: Written::default(),
        ends_written: Written::default(),
        updated_at_ms: 0,
        generator_url: String::new(),
        timeout: false,
        held: false,
        measure: None,
        rendered: Rendered::default(),
    };
    let view = AlertView {
        alert: &alert,
        fingerprint: alert.fingerprint(),
        receivers: vec!["ops"],
        status: AlertStatus::default(),
    };
    let mut body = String::new();
    push_alerts(&mut body, std::iter::repeat_n(&view, SAMPLE), 10_000);
    let room = body.capacity();
    assert!(room > body.len() * 10_000 / SAMPLE);
    body.clear();
    push_alerts(&mut body, std::iter::repeat_n(&view, 10_000), 10_000);
    assert_eq!(body.capacity(), room, "and nothing is copied");
}
