//! `/loki/api/v1/drilldown-limits`: what Grafana's log drilldown may ask for.

use crate::app::AppState;
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub(super) async fn limits(State(app): State<AppState>) -> Json<Value> {
    let query = &app.config.query;
    let longest = model::duration_to_string(i64::try_from(query.log_range_max.0).unwrap_or(i64::MAX));
    let timeout = model::duration_to_string(i64::try_from(query.timeout.0).unwrap_or(i64::MAX));
    Json(json!({
        "limits": {
            "discover_log_levels": true,
            "discover_service_name": ["service", "app", "application", "app_name", "name", "app_kubernetes_io_name",
                "container", "container_name", "k8s_container_name", "component", "workload", "job", "k8s_job_name"],
            "log_level_fields": ["level", "LEVEL", "Level", "severity", "SEVERITY", "Severity", "lvl", "LVL", "Lvl"],
            "max_entries_limit_per_query": query.log_lines_max,
            "max_line_size_truncate": false,
            "max_query_bytes_read": "0B",
            "max_query_length": longest,
            "max_query_lookback": "0s",
            "max_query_range": "0s",
            "max_query_series": 0,
            "metric_aggregation_enabled": false,
            "otlp_config": {},
            "pattern_persistence_enabled": false,
            "query_timeout": timeout,
            "retention_period": "0s",
            "volume_enabled": true,
            "volume_max_series": 1000
        },
        "pattern_ingester_enabled": true,
        "version": "3.5.0"
    }))
}
