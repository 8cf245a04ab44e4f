//! What one series message holds, counted before it is decoded.

use model::{Exemplar, Histogram, SampleRef};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) samples: usize,
    pub(super) histograms: usize,
    pub(super) exemplars: usize,
}

impl Counts {
    /// Samples and histograms.
    pub(super) fn values(&self) -> u64 {
        (self.samples + self.histograms) as u64
    }

    /// Bytes that they take in a batch, without what hangs off them: buckets and exemplar labels
    /// come from bytes of the body that are their own.
    pub(super) fn bytes(&self) -> usize {
        // The histograms are shared, each behind two counters and with its times beside it.
        const HISTOGRAM_BYTES: usize = size_of::<Histogram>() + 40;
        self.samples * size_of::<SampleRef>()
            + self.histograms * HISTOGRAM_BYTES
            + self.exemplars * (size_of::<Exemplar>() + 32)
    }
}
