//! `/loki/api/v1/drilldown-limits`: what Grafana's log drilldown may ask for.

use axum::Json;
use serde_json::{Value, json};

pub(super) async fn limits() -> Json<Value> {
    Json(json!({
        "limits": {
            "discover_log_levels": true,
            "discover_service_name": ["service", "app", "application", "app_name", "name", "app_kubernetes_io_name",
                "container", "container_name", "k8s_container_name", "component", "workload", "job", "k8s_job_name"],
            "log_level_fields": ["level", "LEVEL", "Level", "severity", "SEVERITY", "Severity", "lvl", "LVL", "Lvl"],
            "max_entries_limit_per_query": 5000,
            "max_line_size_truncate": false,
            "max_query_bytes_read": "0B",
            "max_query_length": "0s",
            "max_query_lookback": "0s",
            "max_query_range": "0s",
            "max_query_series": 0,
            "metric_aggregation_enabled": false,
            "otlp_config": {},
            "pattern_persistence_enabled": false,
            "query_timeout": "1m",
            "retention_period": "0s",
            "volume_enabled": true,
            "volume_max_series": 1000
        },
        "pattern_ingester_enabled": false,
        "version": "3.5.0"
    }))
}
