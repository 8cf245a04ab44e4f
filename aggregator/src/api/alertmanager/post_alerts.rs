//! `POST /api/v2/alerts`: takes alerts. They are durable when this answers.

use super::{alerting, check_body, refusal::Refusal, uri::is_request_uri};
use crate::{api::background, app::AppState};
use alerting::{PostedAlert, timestamp};
use axum::{body::Bytes, extract::State, http::HeaderMap};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Largest body. A sender that does not cut its alerts into batches sends thousands at once.
pub(super) const BODY_BYTES_MAX: usize = 32 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedJson {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
}

pub(super) async fn post_alerts(
    State(app): State<AppState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(), Refusal> {
    check_body("alerts", &headers, &body)?;
    let alerts = background::run(move || read_all(&body)).await?;
    let refused = alerting(&app)?.post(alerts).await?;
    if refused.is_empty() {
        return Ok(());
    }
    let reasons: Vec<_> = refused.iter().map(ToString::to_string).collect();
    Err(Refusal::bad(reasons.join("; ")))
}

fn read_all(body: &[u8]) -> Result<Vec<PostedAlert>, Refusal> {
    let posted: Vec<PostedJson> = serde_json::from_slice(body).map_err(|error| {
        Refusal::malformed(format!("parsing alerts body from \"\" failed, because {error}"))
    })?;
    posted.into_iter().enumerate().map(|(index, alert)| read(index, alert)).collect()
}

fn read(index: usize, alert: PostedJson) -> Result<PostedAlert, Refusal> {
    let time = |name: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => timestamp::parse_written(&text)
            .map_err(|error| Refusal::malformed(format!("{index}.{name}: {error}"))),
    };
    let generator_url = alert.generator_url.unwrap_or_default();
    if !generator_url.is_empty() && !is_request_uri(&generator_url) {
        return Err(Refusal::wrong_type(&format!("{index}.generatorURL"), "body", "uri", &generator_url));
    }
    let (starts_at_ms, starts_written) = time("startsAt", alert.starts_at)?.unzip();
    let (ends_at_ms, ends_written) = time("endsAt", alert.ends_at)?.unzip();
    let labels = alert.labels.ok_or_else(|| Refusal::required(&format!("{index}.labels")))?;
    Ok(PostedAlert {
        labels: labels.into_iter().collect(),
        annotations: alert.annotations.unwrap_or_default().into_iter().collect(),
        starts_at_ms,
        ends_at_ms,
        starts_written: starts_written.unwrap_or_default(),
        ends_written: ends_written.unwrap_or_default(),
        generator_url,
    })
}
