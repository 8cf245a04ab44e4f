//! `POST /api/v2/silences`: creates a silence, or changes the one of the given id.

use super::{alerting, check_body, refusal::Refusal};
use crate::app::AppState;
use alerting::{Silence, SilenceMatcher, timestamp};
use axum::{Json, body::Bytes, extract::State, http::HeaderMap};
use serde::{Deserialize, Serialize, de::IgnoredAny};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedSilence {
    id: Option<String>,
    matchers: Option<Vec<PostedMatcher>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
    /// Of silences in files. Other fields mean nothing, as in Alertmanager; without this one a silence
    /// would mute all the time.
    schedule: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct SilenceId {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

pub(super) async fn post_silences(
    State(app): State<AppState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<SilenceId>, Refusal> {
    check_body("silence", &headers, &body)?;
    let posted: PostedSilence = serde_json::from_slice(&body).map_err(|error| {
        Refusal::malformed(format!("parsing silence body from \"\" failed, because {error}"))
    })?;
    let silence_id = alerting(&app)?.set_silence(read(posted)?).await?;
    Ok(Json(SilenceId { silence_id }))
}

/// The silence, or what is missing first in Alertmanager's order of asking.
fn read(posted: PostedSilence) -> Result<Silence, Refusal> {
    let time = |name: &str, text: String| {
        timestamp::parse(&text).map_err(|error| Refusal::malformed(format!("{name}: {error}")))
    };
    if posted.schedule.is_some() {
        return Err(Refusal::bad("a silence with a `schedule` belongs in a file of `alerting.silences`"));
    }
    let comment = required("comment", posted.comment)?;
    let created_by = required("createdBy", posted.created_by)?;
    let ends_at = required("endsAt", posted.ends_at)?;
    let matchers = required("matchers", posted.matchers)?;
    if matchers.is_empty() {
        return Err(Refusal::too_few("matchers"));
    }
    let matchers = matchers.into_iter().enumerate().map(|(at, matcher)| read_matcher(at, matcher));
    let matchers = matchers.collect::<Result<_, _>>()?;
    let starts_at = required("startsAt", posted.starts_at)?;
    Ok(Silence {
        id: posted.id.unwrap_or_default(),
        matchers,
        starts_at_ms: time("startsAt", starts_at)?.unwrap_or(0),
        ends_at_ms: time("endsAt", ends_at)?.ok_or_else(|| Refusal::bad("invalid zero endsAt"))?,
        updated_at_ms: 0,
        created_by,
        comment,
        dormant: false,
    })
}

fn read_matcher(at: usize, matcher: PostedMatcher) -> Result<SilenceMatcher, Refusal> {
    let named = |field: &str| format!("matchers.{at}.{field}");
    let is_regex = required(&named("isRegex"), matcher.is_regex)?;
    let name = required(&named("name"), matcher.name)?;
    let value = required(&named("value"), matcher.value)?;
    Ok(SilenceMatcher { name, value, is_regex, is_equal: matcher.is_equal.unwrap_or(true) })
}

fn required<T>(field: &str, given: Option<T>) -> Result<T, Refusal> {
    given.ok_or_else(|| Refusal::required(field))
}
