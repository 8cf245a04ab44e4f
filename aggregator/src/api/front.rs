//! What stands before all routes: other sites are refused, other ways of writing a path are taken for
//! the one that there is, and a handler that panics costs an answer, not a connection.
//!
//! One function around the router: as layers of it, each would be put on the heap for each request.

use super::address;
use crate::same_origin::Home;
use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use daemon::http::Answering;
use futures_util::FutureExt;
use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, sync::Arc};
use tower::ServiceExt;

struct Front {
    home: Home,
    routes: Router,
}

/// Puts the front before `routes`.
pub(super) fn before(routes: Router, home: Home) -> impl Answering {
    let front = Arc::new(Front { home, routes });
    tower::service_fn(move |request| answer(front.clone(), request))
}

async fn answer(front: Arc<Front>, mut request: Request) -> Result<Response, Infallible> {
    if let Some(refusal) = front.home.refusal(&request) {
        return Ok(refusal);
    }
    address::take_slash_away(&mut request);
    let routed = async { front.routes.clone().oneshot(request).await };
    AssertUnwindSafe(routed).catch_unwind().await.unwrap_or_else(|panic| Ok(broken(panic.as_ref())))
}

fn broken(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a request was not answered: its handler panicked");
    (StatusCode::INTERNAL_SERVER_ERROR, "something broke while this was answered; see the log\n")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, routing::get};

    #[tokio::test]
    async fn a_handler_that_panics_costs_an_answer() {
        let panics = get(async || -> &str { panic!("out of {}", "luck") });
        let service = before(Router::new().route("/", panics).route("/well", get("well")), Home::default());
        for (path, status) in [("/", 500), ("/well", 200)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            assert_eq!(service.clone().oneshot(request).await.unwrap().status().as_u16(), status);
        }
    }
}
