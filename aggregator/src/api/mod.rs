//! The way out: one folder a protocol, one file an endpoint.

mod address;
mod admin;
mod alerting;
mod alertmanager;
mod background;
mod json_text;
mod logs;
mod loki;
mod prometheus;
mod prometheus_rules;

pub(crate) use prometheus::QueryMetrics;

use crate::{
    app::{App, AppState},
    auth::{Guard, authorize},
    receive,
    same_origin::{Home, refuse_other_sites},
    ui,
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, Uri},
    middleware,
};
use std::sync::Arc;
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};

/// Largest body of a request that only asks (queries, silences); receivers have their own bound.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Characters shown of a path that is not there.
const PATH_SHOWN_MAX: usize = 200;

/// Every route. With `guard`, all but health ask for a token. None lets other sites change anything.
pub(crate) fn router(app: &AppState, guard: Option<Guard>) -> Router {
    let answers = Router::new()
        .merge(prometheus_side())
        .nest("/prometheus", prometheus_side())
        .merge(loki::routes())
        .merge(logs::routes())
        .merge(alertmanager::routes())
        .nest("/alertmanager", alertmanager::routes().merge(admin::health_routes()))
        .merge(admin::routes())
        .merge(alerting::routes())
        .merge(ui::routes())
        .layer((CompressionLayer::new(), DefaultBodyLimit::max(BODY_BYTES_MAX)));
    let all = answers.merge(receive::routes()).nest("/prometheus", receive::prometheus_routes());
    let all = all.fallback(nothing_here);
    let all: Router<AppState> = match guard {
        Some(guard) => all.layer(middleware::from_fn_with_state((guard, app.clone()), authorize)),
        None => all,
    };
    let home = Home::of(app.config.alerting.external_url.as_ref());
    let routes = all
        .layer((CatchPanicLayer::new(), middleware::from_fn_with_state(home, refuse_other_sites)))
        .with_state::<()>(app.clone());
    address::with_other_addresses(routes, app.config.alerting.external_url.as_ref())
}

/// The answer where nothing is: senders show it beside the status, which alone may mean many things.
async fn nothing_here(uri: Uri) -> (StatusCode, String) {
    let path: String = uri.path().chars().take(PATH_SHOWN_MAX).collect();
    (StatusCode::NOT_FOUND, format!("there is nothing at `{path}`\n"))
}

fn prometheus_side() -> Router<AppState> {
    prometheus::routes().merge(prometheus_rules::routes()).merge(admin::health_routes())
}

/// Every route without authentication, for tests.
#[doc(hidden)]
pub fn open_router(app: &Arc<App>) -> Router {
    router(app, None)
}
