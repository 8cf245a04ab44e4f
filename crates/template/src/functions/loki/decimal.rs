//! Decimal arithmetic, as sprig's `addf` and its kin do it: 0.1 and 0.2 make 0.3.
//!
//! Whatever does not fit 128 bits is `None`, and its caller takes floats instead.

/// Digits behind the point of a quotient.
const QUOTIENT_DIGITS: i32 = 16;

/// `mantissa × 10^exponent`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    /// The shortest decimal that reads back as this float.
    pub(super) fn of(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let behind_point = digits.split_once('.').map_or(0, |(_, behind)| behind.len() as i32);
        Some(Decimal { mantissa: digits.replace('.', "").parse().ok()?, exponent: exponent - behind_point })
    }

    pub(super) fn value(self) -> Option<f64> {
        format!("{}e{}", self.mantissa, self.exponent).parse().ok()
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let mantissa = self.scaled_to(exponent)?.checked_add(other.scaled_to(exponent)?)?;
        Some(Decimal { mantissa, exponent })
    }

    pub(super) fn sub(self, other: Self) -> Option<Self> {
        self.add(Decimal { mantissa: other.mantissa.checked_neg()?, ..other })
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        Some(Decimal {
            mantissa: self.mantissa.checked_mul(other.mantissa)?,
            exponent: self.exponent.checked_add(other.exponent)?,
        })
    }

    /// Rounded to [`QUOTIENT_DIGITS`], halves away from zero.
    pub(super) fn div(self, other: Self) -> Option<Self> {
        let shift = self.exponent - other.exponent + QUOTIENT_DIGITS;
        let power = 10i128.checked_pow(shift.unsigned_abs())?;
        let (numerator, denominator) = if shift >= 0 {
            (self.mantissa.checked_mul(power)?, other.mantissa)
        } else {
            (self.mantissa, other.mantissa.checked_mul(power)?)
        };
        let quotient = numerator.checked_div(denominator)?;
        let rest = numerator.checked_rem(denominator)?;
        let rounds = rest.unsigned_abs().checked_mul(2)? >= denominator.unsigned_abs();
        let away = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
        let mantissa = if rounds { quotient.checked_add(away)? } else { quotient };
        Some(Decimal { mantissa, exponent: -QUOTIENT_DIGITS })
    }

    fn scaled_to(self, exponent: i32) -> Option<i128> {
        self.mantissa.checked_mul(10i128.checked_pow((self.exponent - exponent).unsigned_abs())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_quotients_are_decimal() {
        let of = |value| Decimal::of(value).unwrap();
        let value = |result: Option<Decimal>| result.and_then(Decimal::value);
        assert_eq!(value(of(0.1).add(of(0.2))), Some(0.3));
        assert_eq!(value(of(0.3).sub(of(0.1))), Some(0.2));
        assert_eq!(value(of(1.1).mul(of(1.1))), Some(1.21));
        assert_eq!(value(of(2.0).div(of(3.0))), Some(0.6666666666666667));
        assert_eq!(value(of(-1.0).div(of(8.0))), Some(-0.125));
        assert_eq!(value(of(7.0).div(of(2.0))), Some(3.5));
        assert_eq!(of(1.0).div(of(0.0)), None);
        assert_eq!(of(1e300).add(of(1e-300)), None);
        assert_eq!(Decimal::of(f64::NAN), None);
        for value in [0.0, -2.5, 1e22, 123_456.789, 5e-324, f64::MAX] {
            assert_eq!(of(value).value(), Some(value));
        }
    }
}
