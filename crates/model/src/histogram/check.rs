//! What makes a histogram well-formed, and when two of them are the same.

use super::{Buckets, Histogram, Span};

/// Finest and coarsest exponential resolution of the specification.
const SCHEMAS: std::ops::RangeInclusive<i8> = -4..=8;

/// How a histogram breaks its own invariants.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum HistogramError {
    #[error("unknown schema {0}")]
    UnknownSchema(i8),
    #[error("span {0} starts before the previous one ends")]
    OverlappingSpans(usize),
    #[error("spans name {named} buckets but {counted} are given")]
    BucketCount { named: u64, counted: usize },
    #[error("bucket {index} has the negative count {count}")]
    NegativeCount { index: usize, count: f64 },
    #[error("buckets hold {in_buckets} observations but the count says {count}")]
    CountMismatch { in_buckets: f64, count: f64 },
    #[error("custom bounds are not finite and ascending")]
    BadCustomBounds,
    #[error("custom bounds and exponential buckets exclude each other")]
    MixedBuckets,
    #[error("{named} buckets are more than {bounds} custom bounds allow")]
    TooFewBounds { named: i64, bounds: usize },
}

impl Histogram {
    /// Checks the invariants that a store relies on.
    ///
    /// # Errors
    /// The first invariant that is broken.
    pub fn validate(&self) -> Result<(), HistogramError> {
        if self.has_custom_buckets() {
            self.check_custom()?;
        } else if !SCHEMAS.contains(&self.schema) {
            return Err(HistogramError::UnknownSchema(self.schema));
        } else if !self.custom_values.is_empty() {
            return Err(HistogramError::MixedBuckets);
        }
        let in_buckets = self.zero_count + check_side(&self.positive)? + check_side(&self.negative)?;
        if self.zero_count < 0.0 || self.count < 0.0 {
            return Err(HistogramError::NegativeCount { index: 0, count: self.zero_count.min(self.count) });
        }
        // Only whole numbers add up exactly. Observations of NaN are counted but are in no bucket.
        let adds_up = if self.sum.is_nan() { in_buckets <= self.count } else { in_buckets == self.count };
        if self.is_integer && !self.is_stale() && !adds_up {
            return Err(HistogramError::CountMismatch { in_buckets, count: self.count });
        }
        Ok(())
    }

    fn check_custom(&self) -> Result<(), HistogramError> {
        let has_negative = !self.negative.spans.is_empty() || !self.negative.counts.is_empty();
        if has_negative || self.zero_count != 0.0 || self.zero_threshold != 0.0 {
            return Err(HistogramError::MixedBuckets);
        }
        let ascending = self.custom_values.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || self.custom_values.iter().any(|bound| !bound.is_finite()) {
            return Err(HistogramError::BadCustomBounds);
        }
        let reach = |span: &Span| i64::from(span.offset) + i64::from(span.length);
        let named: i64 = self.positive.spans.iter().map(reach).sum();
        if named > self.custom_values.len() as i64 + 1 || self.positive.spans.iter().any(|s| s.offset < 0) {
            return Err(HistogramError::TooFewBounds { named, bounds: self.custom_values.len() });
        }
        Ok(())
    }

    /// Whether both are the same to the last bit, NaN payloads and zero signs included.
    pub fn same_bits(&self, other: &Histogram) -> bool {
        let numbers = |h: &Histogram| [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits);
        (self.schema, self.is_integer, self.reset_hint) == (other.schema, other.is_integer, other.reset_hint)
            && numbers(self) == numbers(other)
            && same_side(&self.positive, &other.positive)
            && same_side(&self.negative, &other.negative)
            && same_floats(&self.custom_values, &other.custom_values)
    }
}

/// Checks one side's buckets and returns the observations in them.
fn check_side(side: &Buckets) -> Result<f64, HistogramError> {
    if let Some(index) = side.spans.iter().skip(1).position(|span| span.offset < 0) {
        return Err(HistogramError::OverlappingSpans(index + 1));
    }
    let named: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
    if named != side.counts.len() as u64 {
        return Err(HistogramError::BucketCount { named, counted: side.counts.len() });
    }
    match side.counts.iter().position(|count| *count < 0.0) {
        Some(index) => Err(HistogramError::NegativeCount { index, count: side.counts[index] }),
        None => Ok(side.counts.iter().sum()),
    }
}

fn same_side(a: &Buckets, b: &Buckets) -> bool {
    a.spans == b.spans && same_floats(&a.counts, &b.counts)
}

fn same_floats(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Histogram {
        let side = |counts: &[f64]| Buckets {
            spans: vec![Span { offset: 1, length: counts.len() as u32 }],
            counts: counts.to_vec(),
        };
        Histogram {
            schema: 3,
            is_integer: true,
            zero_count: 1.0,
            count: 7.0,
            sum: 9.5,
            positive: side(&[2.0, 0.0, 1.0]),
            negative: side(&[3.0]),
            ..Histogram::default()
        }
    }

    #[test]
    fn broken_histograms_are_told_apart() {
        type Break = fn(&mut Histogram);
        type Expected = fn(&HistogramError) -> bool;
        let cases: [(Break, Expected); 7] = [
            (|h| h.schema = 9, |e| matches!(e, HistogramError::UnknownSchema(9))),
            (|h| h.positive.counts.truncate(1), |e| matches!(e, HistogramError::BucketCount { .. })),
            (|h| h.negative.counts[0] = -3.0, |e| matches!(e, HistogramError::NegativeCount { .. })),
            (|h| h.count = 8.0, |e| matches!(e, HistogramError::CountMismatch { .. })),
            (|h| h.custom_values = vec![1.0], |e| matches!(e, HistogramError::MixedBuckets)),
            (
                |h| {
                    h.positive.spans = vec![Span { offset: 1, length: 2 }, Span { offset: -1, length: 1 }];
                },
                |e| matches!(e, HistogramError::OverlappingSpans(1)),
            ),
            (|h| h.zero_count = -1.0, |e| matches!(e, HistogramError::NegativeCount { .. })),
        ];
        assert_eq!(sample().validate(), Ok(()));
        for (i, (break_it, expected)) in cases.into_iter().enumerate() {
            let mut histogram = sample();
            break_it(&mut histogram);
            let error = histogram.validate().expect_err("the histogram is broken");
            assert!(expected(&error), "case {i}: {error}");
        }
    }

    #[test]
    fn a_sum_of_nan_allows_uncounted_observations_and_markers_pass() {
        assert_eq!(Histogram { sum: f64::NAN, count: 8.0, ..sample() }.validate(), Ok(()));
        assert!(Histogram { sum: f64::NAN, count: 6.0, ..sample() }.validate().is_err());
        assert_eq!(Histogram { sum: crate::STALE_NAN, ..Histogram::default() }.validate(), Ok(()));
    }

    #[test]
    fn custom_bounds_are_checked() {
        let custom = |bounds: &[f64], length: u32| Histogram {
            schema: super::super::CUSTOM_BUCKETS_SCHEMA,
            custom_values: bounds.to_vec(),
            count: f64::from(length),
            positive: Buckets { spans: vec![Span { offset: 0, length }], counts: vec![1.0; length as usize] },
            ..Histogram::default()
        };
        assert_eq!(custom(&[1.0, 2.0], 3).validate(), Ok(()));
        assert!(matches!(custom(&[1.0, 2.0], 4).validate(), Err(HistogramError::TooFewBounds { .. })));
        assert_eq!(custom(&[2.0, 1.0], 1).validate(), Err(HistogramError::BadCustomBounds));
        assert_eq!(custom(&[1.0, f64::INFINITY], 1).validate(), Err(HistogramError::BadCustomBounds));
    }

    #[test]
    fn sameness_is_of_bits() {
        let marker = Histogram { sum: crate::STALE_NAN, ..sample() };
        assert!(marker.same_bits(&marker.clone()));
        assert!(!marker.same_bits(&sample()));
        assert!(!Histogram { sum: 0.0, ..sample() }.same_bits(&Histogram { sum: -0.0, ..sample() }));
    }
}
