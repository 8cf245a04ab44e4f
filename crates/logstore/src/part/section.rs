//! Sections of chunks in plain form, kept in the cache of dictionaries: what is asked for once is
//! mostly asked for again, by the next refresh of a dashboard.
//!
//! Bounds: those of the cache; and one scan keeps no more than half of it, so that a scan through
//! everything leaves the rest where it is and finds its own first half again the next time.

use super::{
    cache::{Cache, CacheKey},
    lookup::Cached,
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
    Kept(Arc<Cached>),
}

impl Deref for SectionBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            SectionBytes::Own(bytes) => bytes,
            SectionBytes::Kept(cached) => match &**cached {
                Cached::Section(bytes) => bytes,
                _ => &[],
            },
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
    cache: Arc<Cache<Cached>>,
    /// Bytes that the scan has kept, or would have.
    kept: AtomicUsize,
}

impl SectionCache {
    pub(crate) fn new(cache: Arc<Cache<Cached>>) -> SectionCache {
        SectionCache { cache, kept: AtomicUsize::new(0) }
    }

    pub(super) fn get_or_read(
        &self,
        key: CacheKey,
        read: impl FnOnce() -> Result<Vec<u8>, ReadError>,
    ) -> Result<SectionBytes, ReadError> {
        if let Some(cached) = self.cache.get(key) {
            return Ok(SectionBytes::Kept(cached));
        }
        let bytes = read()?;
        let kept = self.kept.fetch_add(bytes.len(), Relaxed).saturating_add(bytes.len());
        if kept > self.cache.bytes_max() / 2 {
            return Ok(SectionBytes::Own(bytes));
        }
        let (plain, length) = (Box::from(bytes.as_slice()), bytes.len());
        recycle(bytes);
        let make = || Ok::<_, ReadError>((Cached::Section(plain), length));
        Ok(SectionBytes::Kept(self.cache.get_or_make(key, make)?))
    }
}
