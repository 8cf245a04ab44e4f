//! Floats as integers with a common decimal exponent, where that is exact.
//!
//! Most measurements are decimal numbers of few digits: counts, bytes, hundredths of seconds. As
//! floats their mantissas look random; as integers they are small and change by little.

/// 10^k, all exact as floats.
const POWERS: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];
/// Integers up to here are exact as floats, so that scaling back is a correctly rounded division.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

/// A column as `mantissas[i] / 10^exponent`, but for the exceptions.
#[derive(Debug, Default)]
pub(crate) struct Decimals {
    pub(crate) exponent: u8,
    pub(crate) mantissas: Vec<i64>,
    /// Index and value of what does not scale: NaN, ±Inf, −0, staleness markers. The mantissa
    /// there repeats the one before.
    pub(crate) exceptions: Vec<(u32, f64)>,
}

/// The column as decimals; `None` when more than an eighth of it does not scale.
pub(crate) fn scale(values: &[f64]) -> Option<Decimals> {
    let exponent = common_exponent(values)?;
    let exceptions_max = values.len() / 8 + 1;
    let mut decimals =
        Decimals { exponent, mantissas: Vec::with_capacity(values.len()), exceptions: Vec::new() };
    for (i, &value) in values.iter().enumerate() {
        match mantissa_of(value, exponent) {
            Some(mantissa) => decimals.mantissas.push(mantissa),
            None if decimals.exceptions.len() >= exceptions_max => return None,
            None => {
                let previous = decimals.mantissas.last().copied().unwrap_or(0);
                decimals.exceptions.push((i as u32, value));
                decimals.mantissas.push(previous);
            }
        }
    }
    Some(decimals)
}

/// The smallest exponent at which all but some values are integers.
fn common_exponent(values: &[f64]) -> Option<u8> {
    let mut exponent = 0;
    let mut failures_left = values.len() / 8 + 1;
    for &value in values {
        if mantissa_of(value, exponent).is_some() {
            continue;
        }
        let larger = (exponent + 1..POWERS.len() as u8).find(|&e| mantissa_of(value, e).is_some());
        match larger {
            Some(larger) => exponent = larger,
            None if failures_left == 0 => return None,
            None => failures_left -= 1,
        }
    }
    Some(exponent)
}

#[inline]
fn mantissa_of(value: f64, exponent: u8) -> Option<i64> {
    let scaled = (value * POWERS[usize::from(exponent)]).round_ties_even();
    if scaled.is_nan() || scaled.abs() > MANTISSA_MAX {
        return None;
    }
    let mantissa = scaled as i64;
    (unscale(mantissa, exponent).to_bits() == value.to_bits()).then_some(mantissa)
}

/// The float that a mantissa stands for.
#[inline]
pub(crate) fn unscale(mantissa: i64, exponent: u8) -> f64 {
    if exponent == 0 { mantissa as f64 } else { mantissa as f64 / POWERS[usize::from(exponent)] }
}

/// Appends the floats that mantissas stand for.
pub(crate) fn unscale_all(mantissas: impl ExactSizeIterator<Item = i64>, exponent: u8, into: &mut Vec<f64>) {
    let start = into.len();
    into.extend(mantissas.map(|mantissa| mantissa as f64));
    if exponent != 0 {
        // By itself, since several are divided in one go.
        let power = POWERS[usize::from(exponent)];
        into[start..].iter_mut().for_each(|value| *value /= power);
    }
}

/// Whether `exponent` is one that [`scale`] yields.
pub(crate) fn is_exponent(exponent: u8) -> bool {
    usize::from(exponent) < POWERS.len()
}

/// Largest number that divides all differences of `values`; 1 when they are all equal.
pub(crate) fn common_divisor(values: &[i64]) -> u64 {
    let Some(&first) = values.first() else { return 1 };
    let mut divisor = 0u64;
    for &value in values {
        divisor = gcd(divisor, value.abs_diff(first));
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
