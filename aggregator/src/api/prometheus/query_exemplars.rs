//! `GET` and `POST /api/v1/query_exemplars`: exemplars of the series that a query selects.

use super::{
    answer::{ApiError, Success},
    encode::plain_seconds,
    params::Params,
};
use crate::{
    api::json_text::{push_labels, push_list},
    app::AppState,
    query,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::{Exemplar, format_float};
use store::ExemplarSeries;

pub(super) async fn exemplars(State(app): State<AppState>, params: Params) -> Result<Response, ApiError> {
    let range = params.range()?;
    let (parse_options, _) = params.options(&app)?;
    let (query, metrics) = (params.get("query").to_owned(), app.metrics.clone());
    let found = query::run(&app, None, move |context| {
        let expr = promql::parse(&query, &parse_options)?;
        let selectors: Vec<_> = expr.selectors().iter().map(|selector| selector.matchers.clone()).collect();
        if selectors.is_empty() {
            return Ok(None);
        }
        Ok::<_, ApiError>(Some(metrics.exemplars(&selectors, range, context)?))
    });
    let Some(found) = found.await?? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let mut data = String::new();
    push_list(&mut data, &found, push_exemplars);
    Ok(Success::new(data).into_response())
}

fn push_exemplars(out: &mut String, series: &ExemplarSeries) {
    out.push_str("{\"seriesLabels\":");
    push_labels(out, &series.labels);
    out.push_str(",\"exemplars\":");
    push_list(out, &series.exemplars, push_exemplar);
    out.push('}');
}

fn push_exemplar(out: &mut String, exemplar: &Exemplar) {
    out.push_str("{\"labels\":");
    push_labels(out, &exemplar.labels);
    let (value, time) = (format_float(exemplar.value), plain_seconds(exemplar.timestamp_ms));
    out.push_str(&format!(",\"value\":\"{value}\",\"timestamp\":{time}}}"));
}
