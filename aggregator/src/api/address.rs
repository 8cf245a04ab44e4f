//! Requests whose path is another way of writing one that there is: below the path of
//! `alerting.external_url`, which a proxy may or may not take away, or with a slash at the end, as
//! Alertmanager takes it.

use crate::external_url::ExternalUrl;
use axum::{
    Router,
    extract::{Request, State},
    http::{Uri, uri::PathAndQuery},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
};
use std::sync::Arc;

/// `routes`, and them again below the path of the external URL. A path that could be either is that of a route.
pub(super) fn with_other_addresses(routes: Router, external_url: Option<&ExternalUrl>) -> Router {
    let prefix: Arc<str> = external_url.map(ExternalUrl::path).unwrap_or_default().into();
    let below_prefix = Router::new()
        .fallback_service(routes.clone())
        .layer(middleware::from_fn_with_state(prefix, take_prefix_away));
    routes.fallback_service(below_prefix)
}

async fn take_prefix_away(State(prefix): State<Arc<str>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !prefix.is_empty() && path == &*prefix {
        // The page asks for its files relative to where it is.
        return Redirect::permanent(&format!("{prefix}/")).into_response();
    }
    if let Some(below) = path.strip_prefix(&*prefix).filter(|below| below.starts_with('/')) {
        let uri = with_path(request.uri(), below);
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

/// Takes the slash away from the end of a path that ends with one there alone.
pub(super) fn take_slash_away(request: &mut Request) {
    if let Some(path) = without_slash(request.uri().path()) {
        let uri = with_path(request.uri(), path);
        *request.uri_mut() = uri;
    }
}

/// A path of Alertmanager's API that ends with a slash, without it.
fn without_slash(path: &str) -> Option<&str> {
    let short = path.strip_suffix('/')?;
    short.contains("/api/v2/").then_some(short)
}

fn with_path(uri: &Uri, path: &str) -> Uri {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(format!("{path}{query}")).ok();
    Uri::from_parts(parts).expect("a part of a path is a path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::StatusCode, routing::get};
    use tower::ServiceExt;

    async fn ask(external_url: &str, address: &str) -> (u16, String) {
        let echo = get(async |uri: Uri| uri.to_string());
        let routes = Router::new().route("/", echo.clone()).route("/api/v2/alerts", echo.clone());
        let routes = routes.route("/metrics", echo);
        let external_url = external_url.parse().unwrap();
        let router = with_other_addresses(routes, Some(&external_url));
        let mut request = Request::get(address).body(Body::empty()).unwrap();
        take_slash_away(&mut request);
        let answer = router.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_path_may_begin_with_that_of_the_external_url_and_end_with_a_slash() {
        for (address, expected) in [
            ("/bw/api/v2/alerts?filter=a%3Db", "/api/v2/alerts?filter=a%3Db"),
            ("/bw/", "/"),
            ("/", "/"),
            ("/metrics", "/metrics"),
            ("/bw/metrics", "/metrics"),
            ("/bw/api/v2/alerts/", "/api/v2/alerts"),
            ("/api/v2/alerts/?a=b/", "/api/v2/alerts?a=b/"),
        ] {
            assert_eq!(ask("https://h/bw/", address).await, (200, expected.to_owned()), "{address}");
        }
        for address in ["/bwx/metrics", "/bw/bw/metrics", "/metrics/"] {
            assert_eq!(ask("https://h/bw", address).await.0, 404, "{address}");
        }
        assert_eq!(ask("https://h/bw", "/bw").await.0, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(ask("https://h/api", "/api/v2/alerts").await.0, 200, "a proxy that takes it away");
        assert_eq!(ask("https://h", "/bw/metrics").await.0, 404);
    }
}
