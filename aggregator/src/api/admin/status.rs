//! What the server has and how it is.

use crate::app::AppState;
use axum::{Json, extract::State};
use serde_json::{Value, json};

/// `GET /api/bellwether/v1/status`
pub(crate) async fn status(State(app): State<AppState>) -> Json<Value> {
    // A store may be elsewhere, so this waits where waiting is allowed.
    let worker = app.clone();
    let stats = tokio::task::spawn_blocking(move || (worker.metrics.stats(), worker.logs.stats()));
    let (metrics, logs) = stats.await.unwrap_or_default();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_ms": app.started_ms,
        "metrics": {
            "active_series": metrics.active_series,
            "appended_samples": metrics.appended_samples,
            "disk_bytes": metrics.disk_bytes,
            "wal_bytes": metrics.wal_bytes,
            "parts": metrics.parts,
            "oldest_ms": metrics.time_range.map(|range| range.start),
            "newest_ms": metrics.time_range.map(|range| range.end),
            "damage": metrics.damage,
        },
        "logs": {
            "streams": logs.streams,
            "chunks": logs.chunks,
            "entries": logs.entries,
            "bytes": logs.bytes,
            "disk_bytes": logs.disk_bytes,
            "index_bytes": logs.index_bytes,
            "wal_bytes": logs.wal_bytes,
            "parts": logs.parts,
            "damage": logs.damage,
        },
        "remote_write": app.egress().map(|egress| egress.status()),
    }))
}
