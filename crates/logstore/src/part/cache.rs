//! Dictionaries of parts kept in plain form, because a plain text is searched a hundred times
//! faster than a compressed dictionary, and sections of their chunks. One cache for all parts; the
//! least recently used go first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What a cache entry belongs to: a part, and which of its dictionaries or sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    pub(crate) part: u64,
    pub(crate) kind: u8,
    /// Of things of this kind.
    pub(crate) number: u64,
}

struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
    used: u64,
}

struct State<T> {
    entries: HashMap<CacheKey, Entry<T>>,
    bytes: usize,
    clock: u64,
}

/// See the module.
pub(crate) struct Cache<T> {
    bytes_max: usize,
    state: Mutex<State<T>>,
}

impl<T> Cache<T> {
    /// A cache of values that together have at most `bytes_max`, as their makers count them; a
    /// larger value is not kept.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Cache { bytes_max, state: Mutex::new(State { entries: HashMap::new(), bytes: 0, clock: 0 }) }
    }

    /// Most bytes it keeps.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The value, made when it is not here. Two callers may make it at once; one is kept.
    pub(crate) fn get_or_make<E>(
        &self,
        key: CacheKey,
        make: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        let (value, bytes) = make()?;
        let value = Arc::new(value);
        if bytes <= self.bytes_max {
            self.insert(key, value.clone(), bytes);
        }
        Ok(value)
    }

    /// The value if it is here.
    pub(crate) fn get(&self, key: CacheKey) -> Option<Arc<T>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        let entry = state.entries.get_mut(&key)?;
        entry.used = clock;
        Some(entry.value.clone())
    }

    fn insert(&self, key: CacheKey, value: Arc<T>, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let used = state.clock;
        if let Some(old) = state.entries.insert(key, Entry { value, bytes, used }) {
            state.bytes -= old.bytes;
        }
        state.bytes += bytes;
        while state.bytes > self.bytes_max {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            let Some(oldest) = oldest.and_then(|key| state.entries.remove(&key)) else { return };
            state.bytes -= oldest.bytes;
        }
    }

    /// Drops what belongs to a part.
    pub(crate) fn forget(&self, part: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let doomed: Vec<CacheKey> = state.entries.keys().filter(|key| key.part == part).copied().collect();
        for key in doomed {
            if let Some(entry) = state.entries.remove(&key) {
                state.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::<u32>::new(10);
        let key = |part| CacheKey { part, kind: 0, number: 0 };
        let get = |part, bytes| *cache.get_or_make(key(part), || Ok::<_, ()>((part as u32, bytes))).unwrap();
        get(1, 4);
        get(2, 4);
        get(1, 4);
        get(3, 4);
        let has = |part| cache.get(key(part)).is_some();
        assert!(has(1) && !has(2) && has(3));
        get(4, 11);
        assert!(!has(4) && has(1), "too large to keep");
        cache.forget(1);
        assert!(!has(1));
    }
}
