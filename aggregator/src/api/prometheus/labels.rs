//! `GET` and `POST /api/v1/labels`: names of labels.

use super::{
    answer::{ApiError, ENVELOPE_BYTES, Success},
    params::Params,
};
use crate::{api::json_text::push_json_strings, app::AppState, query};
use axum::extract::State;
use store::Texts;

pub(super) async fn labels(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let limit = params.limit()?;
    let range = params.range()?;
    let selectors = params.selectors();
    let metrics = app.metrics.clone();
    query::list(&app, selectors.are_simple(), move |context| {
        Ok(list(&*metrics.label_names(&selectors.parse()?, range, context)?, limit))
    })
    .await?
}

/// A list of texts, cut at `limit`.
pub(super) fn list(texts: &Texts, limit: usize) -> Success {
    let mut data = String::with_capacity(texts.bytes() + ENVELOPE_BYTES);
    push_json_strings(&mut data, texts.iter().take(limit));
    Success::new(data).truncated(texts.len() > limit)
}
