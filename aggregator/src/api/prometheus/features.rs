//! `GET /api/v1/features`: what a client may count on, by category.
//!
//! Only what this server has or lacks is listed; clients take a missing name for "no".

use super::answer::Success;
use crate::app::AppState;
use axum::extract::State;
use serde_json::json;

pub(super) async fn features(State(app): State<AppState>) -> Success {
    let experimental = app.config.promql.experimental;
    Success::of(&json!({
        "api": {
            "admin": true,
            "exclude_alerts": true,
            "label_values_match": true,
            "lifecycle": true,
            "otlp_write_receiver": true,
            "query_stats": true,
            "query_warnings": true,
            "remote_write_receiver": true,
            "time_range_labels": true,
            "time_range_series": true,
        },
        "prometheus": { "agent_mode": false, "auto_reload_config": false },
        "promql": {
            "anchored": experimental,
            "at_modifier": true,
            "by": true,
            "bool": true,
            "duration_expr": experimental,
            "group_left": true,
            "group_right": true,
            "ignoring": true,
            "negative_offset": true,
            "offset": true,
            "on": true,
            "per_query_lookback_delta": true,
            "per_step_stats": false,
            "smoothed": experimental,
            "subqueries": true,
            "without": true,
        },
        "rules": { "keep_firing_for": true, "query_offset": true },
        "tsdb": { "exemplar_storage": true, "native_histograms": true, "out_of_order_ingestion": true },
    }))
}
