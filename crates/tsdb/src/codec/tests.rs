use super::{
    Effort, histograms, integers,
    values::{self, Scratch},
};
use crate::bytes::Reader;
use model::{Buckets, Histogram, ResetHint, STALE_NAN, Samples, Span, Value};
use proptest::prelude::*;
use std::{ops::Range, sync::Arc};

fn round_trip_integers(column: &[i64]) -> usize {
    let mut longest = 0;
    for effort in [Effort::Quick, Effort::Thorough] {
        let mut bytes = Vec::new();
        integers::encode_field(&mut bytes, column, effort);
        let mut decoded = vec![7];
        let mut reader = Reader::new(&bytes);
        integers::decode_field(&mut reader, column.len(), &mut decoded).unwrap();
        assert!(reader.rest().is_empty());
        assert_eq!(&decoded[1..], column);
        longest = longest.max(bytes.len());
    }
    longest
}

fn round_trip(samples: &Samples) -> usize {
    let mut longest = 0;
    for effort in [Effort::Quick, Effort::Thorough] {
        let mut bytes = Vec::new();
        values::encode(&mut bytes, samples, 0..samples.len(), effort);
        check_stretch(&bytes, samples, 0..samples.len());
        for wanted in parts_of(samples.len()) {
            check_stretch(&bytes, samples, wanted);
        }
        longest = longest.max(bytes.len());
    }
    longest
}

fn encoded(samples: &Samples) -> Vec<u8> {
    let mut bytes = Vec::new();
    values::encode(&mut bytes, samples, 0..samples.len(), Effort::Thorough);
    bytes
}

/// What is wanted of a block is what was written, to the bit.
fn check_stretch(bytes: &[u8], samples: &Samples, wanted: Range<usize>) {
    let times = samples.timestamps_ms[wanted.clone()].to_vec();
    let mut part = Samples { timestamps_ms: times, ..Samples::default() };
    values::decode(bytes, samples.len(), wanted.clone(), &mut Scratch::default(), &mut part).unwrap();
    assert_eq!(part.values.len(), wanted.len());
    for (place, i) in wanted.enumerate() {
        assert!(part.value(place).same_bits(&samples.value(i)), "value {i} of {samples:?}");
        assert_eq!(part.start_ms(place), samples.start_ms(i));
    }
}

/// Some stretches of a block.
fn parts_of(count: usize) -> Vec<Range<usize>> {
    let all = [0..count / 2 + 1, count / 3..count, count / 2..count / 2 + 1, 0..1, count.max(1) - 1..count];
    let at_pages = [0..256, 256..257, 255..513, 300..400, 512..count];
    all.into_iter().chain(at_pages).filter(|range| range.start < range.end && range.end <= count).collect()
}

fn floats(values: &[f64]) -> Samples {
    let mut samples = Samples::default();
    for (i, value) in values.iter().enumerate() {
        samples.push(i as i64, 0, &Value::Float(*value));
    }
    samples
}

#[test]
fn the_common_shapes_are_small() {
    let regular: Vec<i64> = (0..240).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    assert!(round_trip_integers(&regular) <= 11);
    assert!(round_trip(&floats(&[42.5; 240])) <= 5);
    let hundredths: Vec<f64> = (0..240).map(|i| (57_678 + i * 3 + i % 2) as f64 / 100.0).collect();
    assert!(round_trip(&floats(&hundredths)) < 100);
    let pages: Vec<f64> = (0..240).map(|i| f64::from((i * 7919) % 64 * 4096)).collect();
    assert!(round_trip(&floats(&pages)) < 240);
    let mut ended: Vec<f64> = (0..100).map(f64::from).collect();
    ended.push(STALE_NAN);
    assert!(round_trip(&floats(&ended)) < 40);
}

/// Blocks as the first version of parts has them, by hand: `pco` in its standalone format.
#[test]
fn blocks_without_pages_are_read() {
    let count = 1_116;
    let roots = floats(&(0..count).map(|i| f64::from(i * 7919 % 1013).sqrt()).collect::<Vec<_>>());
    let compressed = pco::standalone::simple_compress(&roots.values, &pco::ChunkConfig::default()).unwrap();
    let as_floats = [&[3], compressed.as_slice()].concat();

    let whole: Vec<i64> = (0..i64::from(count)).map(|i| i * 7919 % 1013).collect();
    let wholes = floats(&whole.iter().map(|value| *value as f64).collect::<Vec<_>>());
    let compressed = pco::standalone::simple_compress(&whole, &pco::ChunkConfig::default()).unwrap();
    // Exponent, exceptions, base, divisor, and the column's tag.
    let as_decimals = [&[1, 0, 0, 0, 1, 5], compressed.as_slice()].concat();

    for (bytes, samples) in [(as_floats, roots), (as_decimals, wholes)] {
        check_stretch(&bytes, &samples, 0..samples.len());
        for wanted in parts_of(samples.len()) {
            check_stretch(&bytes, &samples, wanted);
        }
    }
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        prop_oneof![
            Just(f64::NAN),
            Just(STALE_NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(-0.0),
            Just(0.0),
            Just(f64::MIN_POSITIVE / 2.0),
            Just(f64::MAX),
            Just(9_007_199_254_740_993.0),
        ],
        (-1000i64..1000).prop_map(|m| m as f64),
        (any::<i32>(), 0i32..18).prop_map(|(m, e)| f64::from(m) / 10f64.powi(e)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers_round_trip(column in prop::collection::vec(prop_oneof![any::<i64>(), -500i64..500], 0..300)) {
        round_trip_integers(&column);
    }

    #[test]
    fn smooth_integers_round_trip(first in any::<i64>(), steps in prop::collection::vec(-9i64..2000, 1..900)) {
        let column: Vec<i64> = steps
            .iter()
            .scan(first, |value, step| { *value = value.wrapping_add(*step); Some(*value) })
            .collect();
        round_trip_integers(&column);
    }

    #[test]
    fn every_float_bit_is_kept(column in prop::collection::vec(any_float(), 1..200)) {
        round_trip(&floats(&column));
    }

    #[test]
    fn any_stretch_of_a_long_column_is_read_alone(
        mantissas in prop::collection::vec(any::<u32>(), 40..1200),
        is_decimal in any::<bool>(),
        at in any::<prop::sample::Index>(),
        length in 1usize..600,
    ) {
        let value = |mantissa: u32| if is_decimal { f64::from(mantissa) } else { f64::from(mantissa).sqrt() };
        let samples = floats(&mantissas.iter().map(|mantissa| value(*mantissa)).collect::<Vec<_>>());
        let start = at.index(samples.len());
        let wanted = start..samples.len().min(start + length);
        round_trip(&samples);
        check_stretch(&encoded(&samples), &samples, wanted);
    }

    #[test]
    fn decimals_with_odd_ones_among_them_round_trip(
        digits in prop::collection::vec(-100_000i64..100_000, 40..300),
        exponent in 0i32..10,
        odd in any_float(),
        at in 0usize..40,
        starts in prop::collection::vec(prop_oneof![Just(0i64), Just(1_700_000_000_000), any::<i64>()], 40..300),
    ) {
        let mut values: Vec<f64> = digits.iter().map(|m| *m as f64 / 10f64.powi(exponent)).collect();
        values[at] = odd;
        let mut samples = Samples::default();
        for (i, value) in values.iter().enumerate() {
            samples.push(i as i64, starts.get(i).copied().unwrap_or(0), &Value::Float(*value));
        }
        round_trip(&samples);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 1usize..300) {
        let mut samples = Samples::default();
        values::decode(&bytes, count, count / 3..count, &mut Scratch::default(), &mut samples).ok();
        integers::decode(&mut Reader::new(&bytes), count, &mut Vec::new()).ok();
        histograms::take(&mut Reader::new(&bytes)).ok();
    }
}

#[test]
fn histograms_keep_every_field() {
    let side = |offset, counts: &[f64]| Buckets {
        spans: vec![Span { offset, length: counts.len() as u32 }],
        counts: counts.to_vec(),
    };
    let mut samples = Samples::default();
    for i in 0..50u32 {
        let histogram = Histogram {
            schema: if i % 2 == 0 { 3 } else { -53 },
            is_integer: i % 3 == 0,
            reset_hint: [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge]
                [i as usize % 4],
            zero_threshold: 1e-128,
            zero_count: f64::from(i),
            count: f64::from(i * 100),
            sum: if i == 7 { STALE_NAN } else { -0.25 * f64::from(i) },
            positive: side(-3, &[1.0, f64::from(i), 0.5]),
            negative: side(9, &[f64::from(i); 4]),
            custom_values: vec![0.1, 7.25],
        };
        samples.push(i64::from(i), i64::from(i % 2), &Value::Histogram(Arc::new(histogram)));
    }
    assert!(round_trip(&samples) < 50 * 60);
}
