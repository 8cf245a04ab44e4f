//! `GET /api/v1/status/walreplay`: how far the write-ahead log has been read after a start.

use super::answer::Success;
use serde_json::json;

/// Stores are open before the listener answers, so whoever can ask finds the replay done.
pub(super) async fn wal_replay() -> Success {
    Success::of(&json!({ "min": 0, "max": 0, "current": 0, "state": "done" }))
}
