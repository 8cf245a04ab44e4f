//! The runbooks of the shipped alerts, so that the link in a notification leads somewhere even on
//! a network without a way out.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use include_dir::{Dir, include_dir};

static RUNBOOKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../docs/runbooks");

/// `GET /runbooks/{alert}`: the alert's name in lower case.
pub(crate) async fn runbook(Path(alert): Path<String>) -> Response {
    match RUNBOOKS.get_file(format!("{alert}.md")) {
        Some(file) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], file.contents()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such runbook\n").into_response(),
    }
}
