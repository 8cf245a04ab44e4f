//! Native histograms (Prometheus native histogram specification, sparse exponential buckets and
//! custom buckets) as values, in absolute counts.

mod check;

pub use check::HistogramError;

/// Schema number of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i8 = -53;

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Gap to the previous span, or the index of the first bucket for the first span.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// One side's buckets: `counts` has one absolute count for each bucket that the spans name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Where the buckets are.
    pub spans: Vec<Span>,
    /// Absolute observation counts, in order.
    pub counts: Vec<f64>,
}

/// Whether a histogram follows a counter reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResetHint {
    /// Must be found out by comparing.
    #[default]
    Unknown,
    /// A reset happened right before.
    Reset,
    /// No reset happened.
    NotReset,
    /// A gauge histogram, where resets have no meaning.
    Gauge,
}

/// A native histogram. Integer histograms are held as floats, exact up to 2^53 observations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Resolution −4..=8 (growth factor 2^(2^-schema)), or −53 for custom buckets.
    pub schema: i8,
    /// Whether it came as integers, so that it can be handed on as such.
    pub is_integer: bool,
    /// Counter-reset information.
    pub reset_hint: ResetHint,
    /// Width of the zero bucket: observations in `[-zero_threshold, zero_threshold]`.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations; the staleness marker's bits mark a stale histogram.
    pub sum: f64,
    /// Positive buckets.
    pub positive: Buckets,
    /// Negative buckets.
    pub negative: Buckets,
    /// Upper bounds of custom buckets, ascending, without +Inf; empty for other schemas.
    pub custom_values: Vec<f64>,
}

impl Histogram {
    /// Whether this is the staleness marker of a histogram series.
    pub fn is_stale(&self) -> bool {
        crate::is_stale(self.sum)
    }

    /// Whether the buckets have custom bounds.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }
}

impl Histogram {
    /// Memory that it takes, with its buckets.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.positive.heap_bytes()
            + self.negative.heap_bytes()
            + size_of_val(self.custom_values.as_slice())
    }
}

impl Buckets {
    fn heap_bytes(&self) -> usize {
        size_of_val(self.spans.as_slice()) + size_of_val(self.counts.as_slice())
    }

    /// Bucket index and count pairs, in order of the index. Missing counts read as 0.
    pub fn iter(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        let mut index = 0i32;
        let mut position = 0usize;
        self.spans.iter().flat_map(move |span| {
            index = index.saturating_add(span.offset);
            let first = index;
            let start = position;
            index = index.saturating_add_unsigned(span.length);
            position += span.length as usize;
            (0..span.length).map(move |i| {
                (
                    first.saturating_add_unsigned(i),
                    self.counts.get(start + i as usize).copied().unwrap_or(0.0),
                )
            })
        })
    }
}
