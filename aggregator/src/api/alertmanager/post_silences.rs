//! `POST /api/v2/silences`: creates a silence, or changes the one of the given id.

use super::{alerting, refusal::Refusal};
use crate::app::AppState;
use alerting::{Silence, SilenceMatcher, timestamp};
use axum::{Json, body::Bytes, extract::State};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedSilence {
    id: Option<String>,
    matchers: Option<Vec<SilenceMatcher>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
}

#[derive(Serialize)]
pub(super) struct SilenceId {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

pub(super) async fn post_silences(
    State(app): State<AppState>,
    body: Bytes,
) -> Result<Json<SilenceId>, Refusal> {
    let posted: PostedSilence = serde_json::from_slice(&body).map_err(|error| {
        Refusal::malformed(format!("parsing silence body from \"\" failed, because {error}"))
    })?;
    let silence_id = alerting(&app)?.set_silence(read(posted)?).await?;
    Ok(Json(SilenceId { silence_id }))
}

fn read(posted: PostedSilence) -> Result<Silence, Refusal> {
    let time = |name: &str, text: Option<String>| {
        let text = text.ok_or_else(|| Refusal::required(name))?;
        let at_ms =
            timestamp::parse(&text).map_err(|error| Refusal::malformed(format!("{name}: {error}")))?;
        at_ms.ok_or_else(|| Refusal::bad(format!("invalid zero {name}")))
    };
    Ok(Silence {
        id: posted.id.unwrap_or_default(),
        matchers: posted.matchers.ok_or_else(|| Refusal::required("matchers"))?,
        starts_at_ms: time("startsAt", posted.starts_at)?,
        ends_at_ms: time("endsAt", posted.ends_at)?,
        updated_at_ms: 0,
        created_by: posted.created_by.ok_or_else(|| Refusal::required("createdBy"))?,
        comment: posted.comment.ok_or_else(|| Refusal::required("comment"))?,
        dormant: false,
    })
}
