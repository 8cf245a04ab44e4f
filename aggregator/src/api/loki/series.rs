//! `/loki/api/v1/series`: label sets of streams.

use super::{
    answer,
    params::{Asked, HOUR_NS, without_place},
    refusal::Refusal,
};
use crate::app::AppState;
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

pub(super) async fn series(State(app): State<AppState>, asked: Asked) -> Result<Response, Refusal> {
    let range = asked.range(HOUR_NS)?;
    let texts: Vec<String> = asked.all(&["match", "match[]"]).map(str::to_owned).collect();
    let parsed = crate::query::run(&app, None, move |_| {
        texts.iter().map(|text| logql::parse_matchers(text)).collect::<Result<Vec<_>, _>>()
    });
    let mut selectors = parsed.await?.map_err(without_place)?;
    // `{}` among the selectors selects everything.
    if selectors.iter().any(Vec::is_empty) {
        selectors.clear();
    }
    let logs = app.logs.clone();
    // Written where it is found, straight into its text: there may be a million.
    let body = crate::query::run(&app, None, move |context| {
        logs.streams(&selectors, range, context).map(|streams| answer::label_sets(&streams))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.await??).into_response())
}
