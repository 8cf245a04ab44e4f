//! What a query wants of samples that were downsampled.

/// One value of all the samples of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Samples as they were written, one for a bucket at least: what rates, differences and instant
    /// selectors need.
    #[default]
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their sum.
    Sum,
    /// How many there were.
    Count,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Aggregate; 5] =
        [Aggregate::Last, Aggregate::Min, Aggregate::Max, Aggregate::Sum, Aggregate::Count];

    /// Its name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Aggregate::Last => "last",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Sum => "sum",
            Aggregate::Count => "count",
        }
    }
}
