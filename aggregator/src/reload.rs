//! Reads rules, routes and scaling policies again. Each of alerting and scaling takes all of its
//! files or none; on an error the revision before stays in force and every problem is told.

use crate::app::{App, AppState};
use daemon::Shutdown;

/// What was wrong, one problem a line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ReloadError(String);

/// Reloads both.
///
/// # Errors
/// Every problem found.
pub(crate) async fn reload(app: &App) -> Result<(), ReloadError> {
    let mut problems = Vec::new();
    if let Some(alerting) = app.alerting()
        && let Err(found) = alerting.reload().await
    {
        problems.push(found.to_string());
    }
    if let Some(scaling) = app.scaling()
        && let Err(found) = scaling.reload().await
    {
        problems.push(found.to_string());
    }
    if problems.is_empty() {
        tracing::info!("rules, routes and policies were read again");
        return Ok(());
    }
    let error = ReloadError(problems.join("\n"));
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
