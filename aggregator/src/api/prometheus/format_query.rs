//! `GET` and `POST /api/v1/format_query`: a query in its canonical form.

use super::{
    answer::{ApiError, Success},
    params::Params,
};
use crate::{api::json_text::push_json_string, app::AppState};
use axum::extract::State;

pub(super) async fn format_query(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let (parse_options, _) = params.options(&app)?;
    let expr = promql::parse(params.get("query"), &parse_options)?;
    let mut data = String::new();
    push_json_string(&mut data, &expr.pretty());
    Ok(Success::new(data))
}
