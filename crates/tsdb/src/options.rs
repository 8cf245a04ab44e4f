//! Settings of a store.

use crate::TierAges;
use store::AgeLimits;

/// How a store is kept.
#[derive(Clone, Copy, Debug)]
pub struct TsdbOptions {
    /// Which ages of samples are taken and kept.
    pub limits: AgeLimits,
    /// What is kept of samples, downsampled, once they are older than `limits` allow. When any is
    /// wanted, samples are dropped a whole part at a time and shown until then.
    pub tiers: TierAges,
    /// When parts take more than this, the oldest are dropped. `None` for no bound.
    pub size_bytes_max: Option<u64>,
    /// Most series in memory; samples of further ones are refused.
    pub series_max: usize,
    /// Samples in memory are sealed when they take more than this, however many series there are.
    pub head_bytes_min: u64,
    /// … and more than this for each series, so that many series do not mean many small parts.
    pub head_bytes_per_series: u64,
    /// Batches are turned away as busy when samples in memory take this much more than the size at
    /// which they are sealed.
    pub head_bytes_slack: u64,
    /// Samples stay in memory no longer than this.
    pub head_age_max_ms: i64,
    /// Size at which a segment of the write-ahead log is followed by a new one.
    pub wal_segment_bytes: u64,
}

impl Default for TsdbOptions {
    fn default() -> Self {
        TsdbOptions {
            limits: AgeLimits::default(),
            tiers: TierAges::default(),
            size_bytes_max: None,
            series_max: 20_000_000,
            head_bytes_min: 8 << 20,
            head_bytes_per_series: 64,
            head_bytes_slack: 256 << 20,
            head_age_max_ms: 2 * 3_600_000,
            wal_segment_bytes: 32 << 20,
        }
    }
}
