//! Sections of chunks in plain form: what is asked for once is mostly asked for again, by the next
//! refresh of a dashboard.
//!
//! Bounds: those of the cache, beyond which a scan keeps nothing more, so that a scan through
//! everything finds what it has kept of the first of it again the next time.

use super::{
    cache::{CacheKey, Caches},
    reader::ReadError,
};
use crate::bytes::recycle;
use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The bytes of a section.
pub(crate) enum SectionBytes {
    Own(Vec<u8>),
    Kept(Arc<Box<[u8]>>),
}

impl Deref for SectionBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            SectionBytes::Own(bytes) => bytes,
            SectionBytes::Kept(bytes) => bytes,
        }
    }
}

/// What was read goes back to where the next section takes it from.
impl Drop for SectionBytes {
    fn drop(&mut self) {
        if let SectionBytes::Own(bytes) = self {
            recycle(std::mem::take(bytes));
        }
    }
}

/// The cache as one scan uses it.
pub(crate) struct SectionCache {
    caches: Arc<Caches>,
    /// Bytes that the scan has found, kept, or would have kept.
    used: AtomicUsize,
}

impl SectionCache {
    pub(crate) fn new(caches: Arc<Caches>) -> SectionCache {
        SectionCache { caches, used: AtomicUsize::new(0) }
    }

    pub(super) fn get_or_read(
        &self,
        key: CacheKey,
        read: impl FnOnce() -> Result<Vec<u8>, ReadError>,
    ) -> Result<SectionBytes, ReadError> {
        let cache = &self.caches.sections;
        if let Some(kept) = cache.get(key) {
            self.used.fetch_add(kept.len(), Relaxed);
            return Ok(SectionBytes::Kept(kept));
        }
        let bytes = read()?;
        let length = bytes.len();
        if self.used.fetch_add(length, Relaxed).saturating_add(length) > cache.bytes_max() {
            return Ok(SectionBytes::Own(bytes));
        }
        let plain = Box::from(bytes.as_slice());
        recycle(bytes);
        Ok(SectionBytes::Kept(cache.keep(key, plain, length)))
    }
}
