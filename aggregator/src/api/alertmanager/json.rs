//! The shapes of answers.

use alerting::{AlertView, Silence, SilenceMatcher, timestamp};
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

/// An alert with its state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertJson<'a> {
    annotations: LabelsJson<'a>,
    ends_at: String,
    fingerprint: String,
    receivers: Vec<ReceiverJson<'a>>,
    starts_at: String,
    status: StatusJson<'a>,
    updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    labels: LabelsJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson<'a> {
    inhibited_by: Vec<String>,
    muted_by: &'a [String],
    silenced_by: &'a [String],
    state: &'static str,
}

impl<'a> From<&'a AlertView> for AlertJson<'a> {
    fn from(view: &'a AlertView) -> Self {
        let alert = &view.alert;
        AlertJson {
            annotations: LabelsJson(&alert.annotations),
            ends_at: timestamp::millis(alert.ends_at_ms),
            fingerprint: alert.fingerprint().to_string(),
            receivers: view.receivers.iter().map(|name| ReceiverJson { name }).collect(),
            starts_at: timestamp::millis(alert.starts_at_ms),
            status: StatusJson {
                inhibited_by: view.status.inhibited_by.iter().map(ToString::to_string).collect(),
                muted_by: &view.status.muted_by,
                silenced_by: &view.status.silenced_by,
                state: view.status.state(),
            },
            updated_at: timestamp::millis(alert.updated_at_ms),
            generator_url: &alert.generator_url,
            labels: LabelsJson(&alert.labels),
        }
    }
}

/// A silence with its state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceJson {
    id: String,
    status: SilenceStatusJson,
    updated_at: String,
    comment: String,
    created_by: String,
    ends_at: String,
    matchers: Vec<SilenceMatcher>,
    starts_at: String,
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
            updated_at: timestamp::millis(silence.updated_at_ms),
            comment: silence.comment.clone(),
            created_by: silence.created_by.clone(),
            ends_at: timestamp::millis(silence.ends_at_ms),
            matchers: silence.matchers.clone(),
            starts_at: timestamp::millis(silence.starts_at_ms),
        }
    }
}
