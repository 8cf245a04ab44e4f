//! The messages of OTLP 1.x as far as they are read, for [`super::json`].

use super::json::{JsonField, Kind, Message};

const fn field(name: &'static str, number: u32, kind: Kind) -> JsonField {
    JsonField { name, number, kind }
}

const TEMPORALITY: Kind = Kind::Enum(&[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
]);

pub(super) static LOGS_REQUEST: Message =
    Message { fields: &[field("resourceLogs", 1, Kind::Message(&RESOURCE_LOGS))] };

static RESOURCE_LOGS: Message = Message {
    fields: &[
        field("resource", 1, Kind::Message(&RESOURCE)),
        field("scopeLogs", 2, Kind::Message(&SCOPE_LOGS)),
    ],
};

static RESOURCE: Message = Message { fields: &[field("attributes", 1, Kind::Message(&KEY_VALUE))] };

static SCOPE_LOGS: Message = Message {
    fields: &[field("scope", 1, Kind::Message(&SCOPE)), field("logRecords", 2, Kind::Message(&LOG_RECORD))],
};

static SCOPE: Message = Message {
    fields: &[
        field("name", 1, Kind::Text),
        field("version", 2, Kind::Text),
        field("attributes", 3, Kind::Message(&KEY_VALUE)),
    ],
};

static LOG_RECORD: Message = Message {
    fields: &[
        field("timeUnixNano", 1, Kind::Fixed64),
        field("severityNumber", 2, Kind::Enum(&SEVERITIES)),
        field("severityText", 3, Kind::Text),
        field("body", 5, Kind::Message(&ANY_VALUE)),
        field("attributes", 6, Kind::Message(&KEY_VALUE)),
        field("flags", 8, Kind::Fixed32),
        field("traceId", 9, Kind::Hex),
        field("spanId", 10, Kind::Hex),
        field("observedTimeUnixNano", 11, Kind::Fixed64),
    ],
};

static SEVERITIES: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

static KEY_VALUE: Message =
    Message { fields: &[field("key", 1, Kind::Text), field("value", 2, Kind::Message(&ANY_VALUE))] };

static ANY_VALUE: Message = Message {
    fields: &[
        field("stringValue", 1, Kind::Text),
        field("boolValue", 2, Kind::Bool),
        field("intValue", 3, Kind::Varint),
        field("doubleValue", 4, Kind::Double),
        field("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        field("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
        field("bytesValue", 7, Kind::Base64),
    ],
};

static ARRAY_VALUE: Message = Message { fields: &[field("values", 1, Kind::Message(&ANY_VALUE))] };

static KEY_VALUE_LIST: Message = Message { fields: &[field("values", 1, Kind::Message(&KEY_VALUE))] };

pub(super) static METRICS_REQUEST: Message =
    Message { fields: &[field("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))] };

static RESOURCE_METRICS: Message = Message {
    fields: &[
        field("resource", 1, Kind::Message(&RESOURCE)),
        field("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
    ],
};

static SCOPE_METRICS: Message = Message { fields: &[field("metrics", 2, Kind::Message(&METRIC))] };

static METRIC: Message = Message {
    fields: &[
        field("name", 1, Kind::Text),
        field("description", 2, Kind::Text),
        field("unit", 3, Kind::Text),
        field("gauge", 5, Kind::Message(&GAUGE)),
        field("sum", 7, Kind::Message(&SUM)),
        field("histogram", 9, Kind::Message(&HISTOGRAM)),
        field("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        field("summary", 11, Kind::Message(&SUMMARY)),
    ],
};

static GAUGE: Message = Message { fields: &[field("dataPoints", 1, Kind::Message(&NUMBER_POINT))] };

static SUM: Message = Message {
    fields: &[
        field("dataPoints", 1, Kind::Message(&NUMBER_POINT)),
        field("aggregationTemporality", 2, TEMPORALITY),
        field("isMonotonic", 3, Kind::Bool),
    ],
};

static HISTOGRAM: Message = Message {
    fields: &[
        field("dataPoints", 1, Kind::Message(&HISTOGRAM_POINT)),
        field("aggregationTemporality", 2, TEMPORALITY),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    fields: &[
        field("dataPoints", 1, Kind::Message(&EXPONENTIAL_POINT)),
        field("aggregationTemporality", 2, TEMPORALITY),
    ],
};

static SUMMARY: Message = Message { fields: &[field("dataPoints", 1, Kind::Message(&SUMMARY_POINT))] };

static NUMBER_POINT: Message = Message {
    fields: &[
        field("startTimeUnixNano", 2, Kind::Fixed64),
        field("timeUnixNano", 3, Kind::Fixed64),
        field("asDouble", 4, Kind::Double),
        field("exemplars", 5, Kind::Message(&EXEMPLAR)),
        field("asInt", 6, Kind::Fixed64),
        field("attributes", 7, Kind::Message(&KEY_VALUE)),
        field("flags", 8, Kind::Varint),
    ],
};

static HISTOGRAM_POINT: Message = Message {
    fields: &[
        field("startTimeUnixNano", 2, Kind::Fixed64),
        field("timeUnixNano", 3, Kind::Fixed64),
        field("count", 4, Kind::Fixed64),
        field("sum", 5, Kind::Double),
        field("bucketCounts", 6, Kind::Fixed64),
        field("explicitBounds", 7, Kind::Double),
        field("exemplars", 8, Kind::Message(&EXEMPLAR)),
        field("attributes", 9, Kind::Message(&KEY_VALUE)),
        field("flags", 10, Kind::Varint),
    ],
};

static EXPONENTIAL_POINT: Message = Message {
    fields: &[
        field("attributes", 1, Kind::Message(&KEY_VALUE)),
        field("startTimeUnixNano", 2, Kind::Fixed64),
        field("timeUnixNano", 3, Kind::Fixed64),
        field("count", 4, Kind::Fixed64),
        field("sum", 5, Kind::Double),
        field("scale", 6, Kind::Zigzag),
        field("zeroCount", 7, Kind::Fixed64),
        field("positive", 8, Kind::Message(&EXPONENTIAL_BUCKETS)),
        field("negative", 9, Kind::Message(&EXPONENTIAL_BUCKETS)),
        field("flags", 10, Kind::Varint),
        field("exemplars", 11, Kind::Message(&EXEMPLAR)),
        field("zeroThreshold", 14, Kind::Double),
    ],
};

static EXPONENTIAL_BUCKETS: Message =
    Message { fields: &[field("offset", 1, Kind::Zigzag), field("bucketCounts", 2, Kind::Varint)] };

static SUMMARY_POINT: Message = Message {
    fields: &[
        field("startTimeUnixNano", 2, Kind::Fixed64),
        field("timeUnixNano", 3, Kind::Fixed64),
        field("count", 4, Kind::Fixed64),
        field("sum", 5, Kind::Double),
        field("quantileValues", 6, Kind::Message(&QUANTILE)),
        field("attributes", 7, Kind::Message(&KEY_VALUE)),
        field("flags", 8, Kind::Varint),
    ],
};

static QUANTILE: Message =
    Message { fields: &[field("quantile", 1, Kind::Double), field("value", 2, Kind::Double)] };

static EXEMPLAR: Message = Message {
    fields: &[
        field("timeUnixNano", 2, Kind::Fixed64),
        field("asDouble", 3, Kind::Double),
        field("spanId", 4, Kind::Hex),
        field("traceId", 5, Kind::Hex),
        field("asInt", 6, Kind::Fixed64),
        field("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
    ],
};
