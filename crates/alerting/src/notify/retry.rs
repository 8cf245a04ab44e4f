//! When a failed attempt is made again: after half a second, then half as long again each time,
//! up to a minute, each spread by half so that many failures do not come back together.

use std::time::Duration;

const FIRST_MS: f64 = 500.0;
const FACTOR: f64 = 1.5;
const LONGEST_MS: f64 = 60_000.0;
const SPREAD: f64 = 0.5;

/// The wait after attempt number `attempt` (from 1). `seed` spreads deliveries apart; the same
/// seed gives the same waits.
pub(crate) fn backoff(attempt: u32, seed: u64) -> Duration {
    let exponent = attempt.saturating_sub(1).min(64);
    let base = (FIRST_MS * FACTOR.powi(exponent as i32)).min(LONGEST_MS);
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&attempt.to_le_bytes(), seed);
    let unit = hash as f64 / u64::MAX as f64;
    Duration::from_millis((base * (1.0 - SPREAD + 2.0 * SPREAD * unit)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_spread_and_are_bounded() {
        for seed in 0..50 {
            let first = backoff(1, seed).as_millis();
            assert!((250..=750).contains(&first), "{first}");
            let late = backoff(1000, seed).as_millis();
            assert!((30_000..=90_000).contains(&late), "{late}");
        }
        assert_ne!(backoff(1, 1), backoff(1, 2));
        assert_eq!(backoff(3, 7), backoff(3, 7));
    }
}
