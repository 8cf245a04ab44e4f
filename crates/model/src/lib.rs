//! The nouns of Bellwether: what is measured, what is logged, how it is named and asked for.
//!
//! Values only: no I/O, no async, no clock. Every other crate speaks in these types.
//!
//! * [`Labels`] name a series or a stream; [`LabelsRef`] is the borrowed form that batches carry.
//! * [`Matcher`] selects them, with Go's regular-expression dialect ([`go_regex`]).
//! * [`MetricBatch`] and [`LogBatch`] are what receivers decode into and stores append from.
//! * [`Samples`] is a column of one series, what stores decode into and engines read.
//! * [`Histogram`] is a native histogram as a value.
//! * [`shorten_example`] bounds what is shown of something refused.
//! * [`quote`] writes text as Go quotes it, wherever it is shown or is part of a key.
//! * [`RelabelStep`] decides which series go on and under which labels.

mod batch;
mod example;
pub mod go_regex;
mod histogram;
mod labels;
mod matcher;
mod number;
mod quote;
mod relabel;
mod samples;
mod time;

pub use batch::{
    BatchId, Exemplar, LABEL_BYTES_MAX, LABELS_MAX, LabelError, LogBatch, LogEntryRef, Metadata, MetricBatch,
    MetricKind, SampleRef, SeriesView, StreamView,
};
pub use example::{EXAMPLE_BYTES_MAX, shorten_example};
pub use histogram::{Buckets, CUSTOM_BUCKETS_SCHEMA, Histogram, HistogramError, ResetHint, Span};
pub use labels::{Labels, LabelsBuilder, LabelsRef, is_legacy_label_name, is_legacy_metric_name};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use number::{format_decimal, format_float, parse_float, push_float, push_integer};
pub use quote::{quote, quote_bytes, quote_char};
pub use relabel::{RelabelAction, RelabelError, RelabelSpec, RelabelStep, relabel};
pub use samples::{Samples, VectorSample};
pub use time::{TimeRange, duration_to_string, parse_duration_ms};

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A sample's value: a float or a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An IEEE 754 double; every bit pattern is legal.
    Float(f64),
    /// A native histogram, shared because vectors copy values freely.
    Histogram(std::sync::Arc<Histogram>),
}

impl Value {
    /// The float, or NaN for a histogram.
    pub fn as_float(&self) -> f64 {
        match self {
            Value::Float(value) => *value,
            Value::Histogram(_) => f64::NAN,
        }
    }

    /// Whether both are the same to the last bit, NaN payloads and zero signs included.
    pub fn same_bits(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Histogram(a), Value::Histogram(b)) => a.same_bits(b),
            _ => false,
        }
    }
}

/// The staleness marker: the NaN that says "this series ends here" (Prometheus
/// `model/value/value.go`, remote write 1.0 specification).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a float.
pub const STALE_NAN: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether `value` is the staleness marker, bit for bit.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}
