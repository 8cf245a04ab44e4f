//! What stands around all routes: other sites are refused, other ways of writing a path are taken for
//! the one that there is, answers are compressed for who takes that, and a handler that panics costs an
//! answer, not a connection.
//!
//! One function around the router: as layers of it, each would be put on the heap for each request.

use super::address;
use crate::same_origin::Home;
use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use daemon::http::Answering;
use futures_util::FutureExt;
use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, sync::Arc};
use tower::{Layer, ServiceExt};
use tower_http::compression::{Compression, CompressionLayer};

/// Largest body of a request that only asks (queries, silences); receivers have their own bound.
const BODY_BYTES_MAX: usize = 4 << 20;

struct Front {
    home: Home,
    routes: Router,
    /// The same, with answers compressed.
    compressed: Compression<Router>,
}

/// Puts the front before `routes`.
pub(super) fn before(routes: Router, home: Home) -> impl Answering {
    let front = Arc::new(Front { home, compressed: CompressionLayer::new().layer(routes.clone()), routes });
    tower::service_fn(move |request| front.clone().answer(request))
}

impl Front {
    async fn answer(self: Arc<Self>, mut request: Request) -> Result<Response, Infallible> {
        if let Some(refusal) = self.home.refusal(&request) {
            return Ok(refusal);
        }
        address::take_slash_away(&mut request);
        DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
        let routed = AssertUnwindSafe(self.route(request)).catch_unwind().await;
        routed.unwrap_or_else(|panic| Ok(broken(panic.as_ref())))
    }

    async fn route(&self, request: Request) -> Result<Response, Infallible> {
        if takes_compressed(request.headers()) {
            return Ok(self.compressed.clone().oneshot(request).await?.map(Body::new));
        }
        self.routes.clone().oneshot(request).await
    }
}

/// Whether a form is named that answers can have. Who names none gets them as they are, also when that is
/// forbidden: a status that says so would come after the request was done.
fn takes_compressed(headers: &HeaderMap) -> bool {
    let given = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|accepted| {
        let (name, weight) = accepted.split_once(';').unwrap_or((accepted, ""));
        let is_forbidden = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        ["gzip", "x-gzip", "deflate"].iter().any(|known| name.trim().eq_ignore_ascii_case(known))
            && !is_forbidden
    })
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
    use axum::routing::get;

    #[tokio::test]
    async fn a_handler_that_panics_costs_an_answer() {
        let panics = get(async || -> &str { panic!("out of {}", "luck") });
        let service = before(Router::new().route("/", panics).route("/well", get("well")), Home::default());
        for (path, status) in [("/", 500), ("/well", 200)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            assert_eq!(service.clone().oneshot(request).await.unwrap().status().as_u16(), status);
        }
    }

    #[tokio::test]
    async fn answers_are_compressed_for_who_takes_that() {
        let routes = Router::new().route("/", get(async || "a".repeat(1000)));
        let service = before(routes, Home::default());
        for (accepted, encoding) in [
            ("identity", None),
            ("gzip, deflate", Some("gzip")),
            ("deflate;q=0.5", Some("deflate")),
            ("br", None),
            ("gzip;q=0, identity", None),
            ("zstd, *;q=0", None),
        ] {
            let request = Request::get("/").header(header::ACCEPT_ENCODING, accepted);
            let answer = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{accepted}");
            let found = answer.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(found, encoding, "{accepted}");
            let bytes = axum::body::to_bytes(answer.into_body(), 2000).await.unwrap().len();
            assert_eq!(bytes == 1000, encoding.is_none(), "{accepted}: {bytes} bytes");
        }
    }
}
