//! Where the samples of a series are all as far apart, which windows hold which of them is arithmetic.
//!
//! After as many steps as it takes for steps and samples to meet again, a window holds samples that lie
//! just as they did, only further on. So the windows fall into a few classes; those of one class that
//! reach neither end of the series have one stretch and strides that are known.

use super::super::{Grid, window::WindowSpec};

/// Times beyond this are left to who computes with care.
const TIME_MAX: u64 = 1 << 60;
/// Windows of a class, below which there is little to gain.
const WINDOWS_MIN: usize = 4;

/// The distance of samples, and how windows move over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Regular {
    first_ms: i64,
    gap_ms: i64,
    samples: i64,
    /// Ends of the first window.
    from_ms: i64,
    to_ms: i64,
    step_ms: i64,
    /// Steps until windows lie over samples as before.
    pub(super) classes: usize,
    /// Samples that a window moves on in so many steps.
    stride: i64,
}

/// Windows that lie over the samples in the same way: steps `step`, `step + classes`, … hold the samples
/// from `first` up to `end`, from `first + stride` up to `end + stride`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) step: usize,
    pub(super) windows: usize,
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) stride: usize,
}

impl Regular {
    /// `None` where samples are not regular, or windows so unlike each other that nothing is gained.
    pub(super) fn of(times: &[i64], spec: &WindowSpec, grid: Grid) -> Option<Regular> {
        let (&[first_ms, second_ms, ..], &[.., last_ms]) = (times, times) else { return None };
        let (bounds, end) = (spec.regular_bounds(grid, 0)?, spec.regular_bounds(grid, grid.count - 1)?);
        let fits = |ms: i64| ms.unsigned_abs() < TIME_MAX;
        if ![first_ms, last_ms, bounds.from_ms, end.to_ms].into_iter().all(fits) {
            return None;
        }
        let (gap_ms, step_ms) = (second_ms - first_ms, grid.step_ms);
        let classes = gap_ms / gcd(gap_ms, step_ms);
        if classes as usize > grid.count / WINDOWS_MIN {
            return None;
        }
        // Without a way out and by bits alone, many pairs are looked at in one go.
        let later = &times[1..];
        let differing = times.iter().zip(later).fold(0, |bits, (time, next)| bits | (next - time) ^ gap_ms);
        if differing != 0 {
            return None;
        }
        Some(Regular {
            first_ms,
            gap_ms,
            samples: times.len() as i64,
            from_ms: bounds.from_ms,
            to_ms: bounds.to_ms,
            step_ms,
            classes: classes as usize,
            stride: classes * step_ms / gap_ms,
        })
    }

    /// The samples of a window, as if they went on in both directions.
    fn unbounded(&self, step: usize) -> (i64, i64) {
        let at_or_before = |ms: i64| (ms - self.first_ms).div_euclid(self.gap_ms) + 1;
        let moved_ms = self.step_ms * step as i64;
        (at_or_before(self.from_ms + moved_ms), at_or_before(self.to_ms + moved_ms))
    }

    /// The samples of a window.
    pub(super) fn window(&self, step: usize) -> (usize, usize) {
        let (first, end) = self.unbounded(step);
        let inside = |place: i64| place.clamp(0, self.samples) as usize;
        (inside(first), inside(end))
    }

    /// The windows of the class of one of the first steps that reach beyond neither end of the series, of
    /// `steps`.
    pub(super) fn class(&self, step: usize, steps: usize) -> Class {
        let (first, end) = self.unbounded(step);
        let mine = (steps - step).div_ceil(self.classes) as i64;
        // Windows before the first that begins within the series, and those up to the last that ends there.
        let ahead = ((-first).max(0) + self.stride - 1) / self.stride;
        let behind = (self.samples - end).div_euclid(self.stride) + 1;
        let windows = (behind.min(mine) - ahead).max(0) as usize;
        if windows == 0 {
            return Class { step, windows, first: 0, end: 0, stride: 0 };
        }
        Class {
            step: step + ahead as usize * self.classes,
            windows,
            first: (first + ahead * self.stride) as usize,
            end: (end + ahead * self.stride) as usize,
            stride: self.stride as usize,
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
