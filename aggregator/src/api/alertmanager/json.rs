//! The shapes of answers.

use alerting::{AlertView, Silence, SilenceMatcher, timestamp};
use model::Labels;
use serde::Serialize;
use std::collections::BTreeMap;

/// A receiver by name.
#[derive(Serialize)]
pub(crate) struct ReceiverJson {
    pub(super) name: String,
}

/// An alert with its state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertJson {
    annotations: BTreeMap<String, String>,
    ends_at: String,
    fingerprint: String,
    receivers: Vec<ReceiverJson>,
    starts_at: String,
    status: StatusJson,
    updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    generator_url: String,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson {
    inhibited_by: Vec<String>,
    muted_by: Vec<String>,
    silenced_by: Vec<String>,
    state: &'static str,
}

/// A label set as an object.
pub(super) fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl From<&AlertView> for AlertJson {
    fn from(view: &AlertView) -> Self {
        let alert = &view.alert;
        AlertJson {
            annotations: pairs(&alert.annotations),
            ends_at: timestamp::millis(alert.ends_at_ms),
            fingerprint: alert.fingerprint().to_string(),
            receivers: view.receivers.iter().map(|name| ReceiverJson { name: name.clone() }).collect(),
            starts_at: timestamp::millis(alert.starts_at_ms),
            status: StatusJson {
                inhibited_by: view.status.inhibited_by.iter().map(ToString::to_string).collect(),
                muted_by: view.status.muted_by.clone(),
                silenced_by: view.status.silenced_by.clone(),
                state: view.status.state(),
            },
            updated_at: timestamp::millis(alert.updated_at_ms),
            generator_url: alert.generator_url.clone(),
            labels: pairs(&alert.labels),
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
