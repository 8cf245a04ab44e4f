//! `GET` and `DELETE /api/v2/silence/{id}`: one silence; deleting ends it now.

use super::{alerting, json::SilenceJson, refusal::Refusal};
use crate::app::AppState;
use alerting::{SilenceChangeError, silence::SilenceError};
use axum::{
    Json,
    extract::{Path, State},
};
use daemon::clock;

pub(super) async fn get_silence(
    State(app): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<SilenceJson>, Refusal> {
    check_uuid(&id)?;
    let silence = alerting(&app)?.silence(&id).await?;
    let silence = silence.ok_or_else(Refusal::nothing_there)?;
    Ok(Json(SilenceJson::of(&silence, clock::now_ms())))
}

pub(super) async fn delete_silence(
    State(app): State<AppState>,
    Path(id): Path<String>,
) -> Result<(), Refusal> {
    check_uuid(&id)?;
    alerting(&app)?.expire_silence(&id).await.map_err(|error| match error {
        SilenceChangeError::Silence(SilenceError::NotFound) => Refusal::nothing_there(),
        // amtool shows the reason of no other status.
        other => Refusal::internal(other.to_string()),
    })
}

/// Refuses what is not `8-4-4-4-12` hexadecimal digits.
fn check_uuid(id: &str) -> Result<(), Refusal> {
    let parts: Vec<&str> = id.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    let is_uuid = lengths.eq([8, 4, 4, 4, 12]) && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if is_uuid { Ok(()) } else { Err(Refusal::wrong_type("silenceID", "path", "uuid", id)) }
}
