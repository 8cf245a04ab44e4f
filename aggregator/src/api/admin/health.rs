//! Liveness and readiness, for load balancers, supervisors and Kubernetes.

use crate::app::AppState;
use axum::{extract::State, http::StatusCode};

/// The process runs, and so does every part that must.
pub(crate) async fn healthy(State(app): State<AppState>) -> (StatusCode, String) {
    let alerting = app.alerting().filter(|alerting| !alerting.is_healthy()).map(|_| "alerting");
    match alerting.or(app.broken()) {
        None => (StatusCode::OK, "Bellwether is healthy.\n".to_owned()),
        Some(part) => {
            let message = format!("{part} has stopped after a panic; restart Bellwether\n");
            (StatusCode::INTERNAL_SERVER_ERROR, message)
        }
    }
}

/// Stores are open and requests can be answered.
pub(crate) async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    if app.is_ready() {
        (StatusCode::OK, "Bellwether is ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Bellwether is starting.\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    #[tokio::test]
    async fn a_part_that_panicked_makes_the_process_unhealthy() {
        let app = App::for_tests();
        let part = app.part("retention");
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(healthy(State(app.clone())).await.0, StatusCode::OK, "one that ended did not panic");
        let part = app.part("retention");
        let panicked = std::thread::spawn(move || {
            let _part = part;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        let (status, message) = healthy(State(app)).await;
        assert!(status == StatusCode::INTERNAL_SERVER_ERROR && message.contains("retention"), "{message}");
    }
}
