//! The way out: one folder a protocol, one file an endpoint.

mod address;
mod admin;
mod alerting;
mod alertmanager;
mod background;
mod front;
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
    same_origin::Home,
    ui,
};
use axum::{
    Router,
    http::{StatusCode, Uri},
    middleware,
};
use daemon::http::Answering;
use std::sync::Arc;

/// Characters shown of a path that is not there.
const PATH_SHOWN_MAX: usize = 200;

/// Every route. With `guard`, all but health ask for a token. None lets other sites change anything.
pub(crate) fn service(app: &AppState, guard: Option<Guard>) -> impl Answering {
    let answers = Router::new()
        .merge(prometheus_side())
        .nest("/prometheus", prometheus_side())
        .merge(loki::routes())
        .merge(logs::routes())
        .merge(alertmanager::routes())
        .nest("/alertmanager", alertmanager::routes().merge(admin::health_routes()))
        .merge(admin::routes())
        .merge(alerting::routes())
        .merge(ui::routes());
    let all = answers.merge(receive::routes()).nest("/prometheus", receive::prometheus_routes());
    let all = all.fallback(nothing_here);
    let all: Router<AppState> = match guard {
        Some(guard) => all.layer(middleware::from_fn_with_state((guard, app.clone()), authorize)),
        None => all,
    };
    let external_url = app.config.alerting.external_url.as_ref();
    let routes = address::with_other_addresses(all.with_state(app.clone()), external_url);
    front::before(routes, Home::of(external_url))
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
pub fn open_service(app: &Arc<App>) -> impl Answering {
    service(app, None)
}
