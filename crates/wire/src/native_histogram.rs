//! What makes a native histogram sound, and how its resolution is reduced.

use model::{Buckets, Histogram, Span};

/// Finest resolution that is stored as it comes.
const SCHEMA_MAX: i8 = 8;
/// Finer resolutions up to this one are legal on the wire and are reduced to [`SCHEMA_MAX`].
const SCHEMA_WIRE_MAX: i8 = 52;

/// Checks a histogram from the wire and brings it to a resolution that is stored.
///
/// # Errors
/// Says what is wrong, readable after "histogram".
pub(crate) fn check_and_reduce(histogram: &mut Histogram) -> Result<(), String> {
    let finer_by = match histogram.schema {
        fine if (SCHEMA_MAX + 1..=SCHEMA_WIRE_MAX).contains(&fine) => fine.abs_diff(SCHEMA_MAX),
        _ => 0,
    };
    if finer_by > 0 {
        histogram.schema = SCHEMA_MAX;
    }
    histogram.validate().map_err(|error| error.to_string())?;
    if histogram.zero_threshold.is_nan() || histogram.zero_threshold < 0.0 {
        return Err(format!("zero threshold {}", histogram.zero_threshold));
    }
    for buckets in [&mut histogram.positive, &mut histogram.negative] {
        check_indexes(buckets)?;
        if finer_by > 0 {
            *buckets = merged(buckets, u32::from(finer_by));
        }
    }
    Ok(())
}

/// Bucket indexes must fit `i32`; spans are known to ascend.
fn check_indexes(buckets: &Buckets) -> Result<(), String> {
    let last: i64 = buckets.spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
    match i32::try_from(last) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("bucket index {last} out of range")),
    }
}

/// Merges runs of 2^`by` buckets: bucket i covers (base^(i-1), base^i], so 1..=2^by become 1.
fn merged(buckets: &Buckets, by: u32) -> Buckets {
    // Shifts beyond the width of an index leave bucket 0 and 1 only.
    let by = by.min(62);
    from_indexed(buckets.iter().map(|(index, count)| (((i64::from(index) - 1) >> by) as i32 + 1, count)))
}

/// Gaps of this many empty buckets are filled rather than given a span of their own.
const GAP_FILLED_MAX: i64 = 2;

/// Buckets from ascending indexes; counts of equal indexes add up, zero counts are left out.
pub(crate) fn from_indexed(indexed: impl Iterator<Item = (i32, f64)>) -> Buckets {
    let mut out = Buckets::default();
    let mut next_index = 0i64;
    for (index, count) in indexed {
        if count == 0.0 {
            continue;
        }
        let gap = i64::from(index) - next_index;
        match (out.spans.last_mut(), out.counts.last_mut()) {
            (Some(_), Some(last)) if gap == -1 => *last += count,
            (Some(span), Some(_)) if gap <= GAP_FILLED_MAX => {
                span.length += gap as u32 + 1;
                out.counts.resize(out.counts.len() + gap as usize, 0.0);
                out.counts.push(count);
            }
            _ => {
                out.spans.push(Span { offset: gap as i32, length: 1 });
                out.counts.push(count);
            }
        }
        next_index = i64::from(index) + 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i8, spans: &[(i32, u32)], counts: &[f64]) -> Histogram {
        let spans = spans.iter().map(|&(offset, length)| Span { offset, length }).collect();
        Histogram {
            schema,
            is_integer: true,
            count: counts.iter().sum(),
            sum: 1.0,
            positive: Buckets { spans, counts: counts.to_vec() },
            ..Histogram::default()
        }
    }

    #[test]
    fn broken_histograms_say_why() {
        for (mut broken, expected) in [
            (histogram(53, &[], &[]), "unknown schema 53"),
            (histogram(-5, &[], &[]), "unknown schema -5"),
            (histogram(9, &[(0, u32::MAX)], &[1.0]), "spans name 4294967295 buckets but 1 are given"),
            (histogram(0, &[(i32::MAX, 1)], &[1.0]), "bucket index 2147483648 out of range"),
            (Histogram { zero_threshold: f64::NAN, ..histogram(0, &[], &[]) }, "zero threshold NaN"),
        ] {
            assert_eq!(check_and_reduce(&mut broken), Err(expected.to_owned()));
        }
    }

    #[test]
    fn buckets_merge_upwards() {
        let buckets = histogram(9, &[(-1, 5)], &[1.0, 2.0, 3.0, 4.0, 5.0]).positive;
        let merged: Vec<_> = merged(&buckets, 1).iter().collect();
        assert_eq!(merged, [(0, 3.0), (1, 7.0), (2, 5.0)]);
    }

    #[test]
    fn finer_schemas_are_reduced_to_eight_and_others_stay() {
        let mut fine = histogram(10, &[(1, 4), (100, 1)], &[1.0, 1.0, 1.0, 1.0, 7.0]);
        check_and_reduce(&mut fine).unwrap();
        assert_eq!(fine.schema, 8);
        assert_eq!(fine.positive.spans, [Span { offset: 1, length: 1 }, Span { offset: 25, length: 1 }]);
        assert_eq!(fine.positive.counts, [4.0, 7.0]);
        let coarse = histogram(3, &[(1, 2)], &[0.0, 1.0]);
        let mut same = coarse.clone();
        check_and_reduce(&mut same).unwrap();
        assert_eq!(same, coarse);
    }
}
