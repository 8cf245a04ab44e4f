//! Reads rules, routes, silences and scaling policies again: all of them are taken, or none. On an
//! error the revision before stays in force and every problem is told.

use crate::{
    app::{App, AppState},
    empty_folders::warn_of_empty_folders,
};
use daemon::Shutdown;

/// What was wrong, one problem a line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ReloadError(String);

/// Reads all files, and puts them into force when all of them are good. It goes on to its end when
/// who asked does not wait for it: rule groups that were stopped would not be started again.
///
/// # Errors
/// Every problem found.
pub(crate) async fn reload(app: &AppState) -> Result<(), ReloadError> {
    let app = app.clone();
    match tokio::spawn(async move { reload_to_the_end(&app).await }).await {
        Ok(outcome) => outcome,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

async fn reload_to_the_end(app: &App) -> Result<(), ReloadError> {
    let mut problems = Vec::new();
    let mut alerting = None;
    if let Some(running) = app.alerting() {
        match running.read().await {
            Ok(revision) => alerting = Some((running, revision)),
            Err(found) => problems.push(found.to_string()),
        }
    }
    let mut scaling = None;
    if let Some(running) = app.scaling() {
        match running.read().await {
            Ok(policies) => scaling = Some((running, policies)),
            Err(found) => problems.push(found.to_string()),
        }
    }
    if problems.is_empty() {
        if let Some((running, revision)) = alerting
            && let Err(found) = running.take(revision).await
        {
            return refused(found.to_string());
        }
        if let Some((running, policies)) = scaling {
            running.take(policies).await;
        }
        warn_of_empty_folders(&app.config);
        tracing::info!("rules, routes, silences and policies were read again");
        return Ok(());
    }
    refused(problems.join("\n"))
}

fn refused(problems: String) -> Result<(), ReloadError> {
    let error = ReloadError(problems);
    tracing::error!(%error, "the files were not taken; what was in force stays in force");
    Err(error)
}

/// Reloads at each SIGHUP until `shutdown`.
///
/// # Errors
/// When the signal cannot be listened for.
pub(crate) fn on_hangup(app: AppState, shutdown: Shutdown) -> std::io::Result<()> {
    let mut hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                () = shutdown.wait() => return,
            }
            // Told in the log; there is nobody else to tell.
            if reload(&app).await.is_err() {
                continue;
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    #[tokio::test]
    async fn reload_is_asked_for_by_post_or_put() {
        let app = App::for_tests();
        for (method, status) in [("POST", 200), ("PUT", 200), ("GET", 405)] {
            let request = Request::builder().method(method).uri("/-/reload").body(Body::empty()).unwrap();
            let response = crate::api::open_service(&app).oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{method}");
        }
    }
}
