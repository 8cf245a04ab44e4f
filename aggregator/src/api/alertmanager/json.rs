//! The shapes of answers.

use alerting::{AlertView, Annotations, Fingerprint, Silence, SilenceMatcher, timestamp::Written};
use model::Labels;
use serde::{Serialize, Serializer};

/// A receiver by name.
#[derive(Serialize)]
pub(crate) struct ReceiverJson<'a> {
    pub(super) name: &'a str,
}

/// A label set as an object.
pub(crate) struct LabelsJson<'a>(pub(crate) &'a Labels);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

/// What an alert takes, more or less.
pub(super) const ALERT_BYTES: usize = 700;

/// An alert with its state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertJson<'a> {
    annotations: &'a Annotations,
    ends_at: Millis,
    fingerprint: FingerprintJson,
    receivers: Vec<ReceiverJson<'a>>,
    starts_at: Millis,
    status: StatusJson<'a>,
    updated_at: Millis,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    labels: LabelsJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson<'a> {
    inhibited_by: Vec<FingerprintJson>,
    muted_by: &'a [String],
    silenced_by: &'a [String],
    state: &'static str,
}

impl<'a> From<&'a AlertView<'a>> for AlertJson<'a> {
    fn from(view: &'a AlertView<'a>) -> Self {
        AlertJson::of(view, view.receivers.iter().copied())
    }
}

impl<'a> AlertJson<'a> {
    /// An alert that `receivers` are told of.
    pub(super) fn of(view: &'a AlertView<'a>, receivers: impl Iterator<Item = &'a str>) -> Self {
        let alert = view.alert;
        AlertJson {
            annotations: &alert.annotations,
            ends_at: Millis(alert.ends_at_ms, alert.ends_written),
            fingerprint: FingerprintJson(view.fingerprint),
            receivers: receivers.map(|name| ReceiverJson { name }).collect(),
            starts_at: Millis(alert.starts_at_ms, alert.starts_written),
            status: StatusJson {
                inhibited_by: view.status.inhibited_by.iter().map(|id| FingerprintJson(*id)).collect(),
                muted_by: &view.status.muted_by,
                silenced_by: &view.status.silenced_by,
                state: view.status.state(),
            },
            updated_at: Millis::plain(alert.updated_at_ms),
            generator_url: &alert.generator_url,
            labels: LabelsJson(&alert.labels),
        }
    }
}

/// A fingerprint as its text, of which an answer may have ten thousand.
struct FingerprintJson(Fingerprint);

impl Serialize for FingerprintJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.encode_hex(&mut [0; 16]))
    }
}

/// An instant with three digits of fraction.
struct Millis(i64, Written);

impl Millis {
    fn plain(at_ms: i64) -> Self {
        Millis(at_ms, Written::default())
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.1.millis(self.0))
    }
}

/// A silence with its state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceJson {
    id: String,
    status: SilenceStatusJson,
    updated_at: Millis,
    comment: String,
    created_by: String,
    ends_at: Millis,
    matchers: Vec<SilenceMatcher>,
    starts_at: Millis,
}

#[derive(Serialize)]
struct SilenceStatusJson {
    state: &'static str,
}

impl SilenceJson {
    pub(super) fn of(silence: &Silence, now_ms: i64) -> Self {
        SilenceJson {
            id: silence.id.clone(),
            status: SilenceStatusJson { state: silence.state(now_ms).as_str() },
            updated_at: Millis::plain(silence.updated_at_ms),
            comment: silence.comment.clone(),
            created_by: silence.created_by.clone(),
            ends_at: Millis::plain(silence.ends_at_ms),
            matchers: silence.matchers.clone(),
            starts_at: Millis::plain(silence.starts_at_ms),
        }
    }
}
