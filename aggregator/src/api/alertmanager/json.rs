//! The shapes of answers, but for alerts, which [`super::written`] writes.

use alerting::{Silence, SilenceMatcher, timestamp};
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

/// An instant with three digits of fraction.
struct Millis(i64);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&timestamp::millis(self.0))
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
            updated_at: Millis(silence.updated_at_ms),
            comment: silence.comment.clone(),
            created_by: silence.created_by.clone(),
            ends_at: Millis(silence.ends_at_ms),
            matchers: silence.matchers.clone(),
            starts_at: Millis(silence.starts_at_ms),
        }
    }
}
