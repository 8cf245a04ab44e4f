//! What an answer cost.

use serde_json::{Value, json};
use std::time::Instant;
use store::QueryUsage;

pub(super) fn statistics(usage: QueryUsage, started: Instant) -> Value {
    json!({
        "bytesRead": usage.bytes_read,
        "linesRead": usage.samples_read,
        "seconds": started.elapsed().as_secs_f64(),
    })
}
