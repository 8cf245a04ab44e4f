//! Kahan–Neumaier summation: a running compensation keeps what rounding loses.

/// Adds `value` to `sum` with its compensation; returns both anew.
pub(crate) fn add(value: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + value;
    let compensation = if total.is_infinite() {
        0.0
    } else if sum.abs() >= value.abs() {
        compensation + ((sum - total) + value)
    } else {
        compensation + ((value - total) + sum)
    };
    (total, compensation)
}

/// The sum of all values.
pub(crate) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut total, mut compensation) = (0.0, 0.0);
    for value in values {
        (total, compensation) = add(value, total, compensation);
    }
    if total.is_infinite() { total } else { total + compensation }
}

/// A mean that falls back to computing incrementally when the sum would overflow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: f64,
    value: f64,
    compensation: f64,
    is_incremental: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.is_incremental {
            let (total, compensation) = add(value, self.value, self.compensation);
            if self.count == 1.0 || !total.is_infinite() {
                (self.value, self.compensation) = (total, compensation);
                return;
            }
            self.is_incremental = true;
            self.value /= self.count - 1.0;
            self.compensation /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        (self.value, self.compensation) =
            add(value / self.count, share * self.value, share * self.compensation);
    }

    pub(crate) fn get(&self) -> f64 {
        if self.is_incremental {
            return self.value + self.compensation;
        }
        self.value / self.count + self.compensation / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_survive_large_ones() {
        assert_eq!(sum([1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum([f64::INFINITY, 1.0]), f64::INFINITY);
    }

    #[test]
    fn means_do_not_overflow() {
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX, f64::MAX].into_iter().for_each(|value| mean.add(value));
        assert!((mean.get() / f64::MAX - 1.0).abs() < 1e-15);
        let mut infinite = Mean::default();
        [f64::INFINITY, 1.0].into_iter().for_each(|value| infinite.add(value));
        assert_eq!(infinite.get(), f64::INFINITY);
    }
}
