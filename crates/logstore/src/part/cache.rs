//! What readers keep of parts in memory, each kind within its own bound, so that a scan through
//! everything does not drive out what tells where an id is.
//!
//! The least recently used goes first. What one question has used stays until it is answered: a
//! question about more than fits finds what was kept of the first of it again the next time, instead
//! of nothing at all.

use super::{grams::Grams, terms::TermList};
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

/// Shares of the whole, in sixteenths.
const DICTIONARIES_SHARE: usize = 4;
const FILTERS_SHARE: usize = 3;
const GRAMS_SHARE: usize = 2;
const SECTIONS_SHARE: usize = 7;

/// The caches of a store.
pub(crate) struct Caches {
    /// In plain form, because a plain text is searched a hundred times faster than a compressed
    /// dictionary.
    dictionaries: Cache<TermList>,
    /// Of chunks.
    filters: Cache<Vec<u8>>,
    /// Of all lists of long ids of a part.
    grams: Cache<Grams>,
    /// Of chunks.
    pub(crate) sections: Cache<Box<[u8]>>,
}

/// The caches of dictionaries and filters as one question uses them.
pub(crate) struct Question<'a> {
    caches: &'a Caches,
    dictionaries_since: u64,
    filters_since: u64,
    grams_since: u64,
}

impl Caches {
    /// Caches of at most so many bytes together.
    pub(crate) fn new(bytes_max: usize) -> Caches {
        let share = |sixteenths: usize| bytes_max / 16 * sixteenths;
        Caches {
            dictionaries: Cache::new(share(DICTIONARIES_SHARE)),
            filters: Cache::new(share(FILTERS_SHARE)),
            grams: Cache::new(share(GRAMS_SHARE)),
            sections: Cache::new(share(SECTIONS_SHARE)),
        }
    }

    /// A question that begins now.
    pub(crate) fn question(&self) -> Question<'_> {
        Question {
            caches: self,
            dictionaries_since: self.dictionaries.clock(),
            filters_since: self.filters.clock(),
            grams_since: self.grams.clock(),
        }
    }

    /// Drops what belongs to a part.
    pub(crate) fn forget(&self, part: u64) {
        self.dictionaries.forget(part);
        self.filters.forget(part);
        self.grams.forget(part);
        self.sections.forget(part);
    }
}

impl Question<'_> {
    /// A dictionary, if it is here.
    pub(crate) fn dictionary_if_kept(&self, key: CacheKey) -> Option<Arc<TermList>> {
        self.caches.dictionaries.get(key)
    }

    pub(crate) fn dictionary<E>(
        &self,
        key: CacheKey,
        make: impl FnOnce() -> Result<(TermList, usize), E>,
    ) -> Result<Arc<TermList>, E> {
        self.caches.dictionaries.get_or_make(key, self.dictionaries_since, make)
    }

    /// A filter of a chunk.
    pub(crate) fn filter<E>(
        &self,
        key: CacheKey,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<Vec<u8>>, E> {
        let make = || {
            let filter = read()?;
            let bytes = filter.len();
            Ok((filter, bytes))
        };
        self.caches.filters.get_or_make(key, self.filters_since, make)
    }

    /// What the lists of long ids of a part may have, which takes `bytes`; `None` when there is no room
    /// for it, because to make it takes longer than to read the lists.
    pub(crate) fn grams<E>(
        &self,
        part: u64,
        bytes: usize,
        make: impl FnOnce() -> Result<Grams, E>,
    ) -> Result<Option<Arc<Grams>>, E> {
        let (cache, key) = (&self.caches.grams, CacheKey { part, kind: 0, number: 0 });
        if let Some(kept) = cache.get(key) {
            return Ok(Some(kept));
        }
        if !cache.has_room(bytes, self.grams_since) {
            return Ok(None);
        }
        cache.get_or_make(key, self.grams_since, || make().map(|grams| (grams, bytes))).map(Some)
    }
}

impl<T> Cache<T> {
    /// A cache of values that together have at most `bytes_max`, as their makers count them.
    fn new(bytes_max: usize) -> Self {
        Cache { bytes_max, state: Mutex::new(State { entries: HashMap::new(), bytes: 0, clock: 0 }) }
    }

    /// Most bytes it keeps.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// What is used from now on has a later time than this.
    fn clock(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clock
    }

    /// The value, made when it is not here, and kept unless that would drive out what was used after
    /// `since`. Two callers may make it at once; one is kept.
    pub(crate) fn get_or_make<E>(
        &self,
        key: CacheKey,
        since: u64,
        make: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        let (value, bytes) = make()?;
        let value = Arc::new(value);
        if self.has_room(bytes, since) {
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

    /// Whether so many bytes fit beside what was used after `since`.
    fn has_room(&self, bytes: usize, since: u64) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.saturating_add(state.bytes) <= self.bytes_max {
            return true;
        }
        let is_needed = |entry: &&Entry<T>| entry.used > since;
        let needed: usize = state.entries.values().filter(is_needed).map(|entry| entry.bytes).sum();
        bytes.saturating_add(needed) <= self.bytes_max
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

    fn forget(&self, part: u64) {
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

    struct Tried(Cache<u64>);

    impl Tried {
        fn get(&self, part: u64, bytes: usize, since: u64) {
            let made = self.0.get_or_make(key(part), since, || Ok::<_, ()>((part, bytes)));
            assert_eq!(*made.unwrap(), part);
        }

        fn kept(&self) -> Vec<u64> {
            let state = self.0.state.lock().unwrap();
            let mut parts: Vec<u64> = state.entries.keys().map(|key| key.part).collect();
            assert_eq!(state.bytes, state.entries.values().map(|entry| entry.bytes).sum::<usize>());
            parts.sort_unstable();
            parts
        }
    }

    fn key(part: u64) -> CacheKey {
        CacheKey { part, kind: 0, number: 0 }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let tried = Tried(Cache::new(10));
        tried.get(1, 4, u64::MAX);
        tried.get(2, 4, u64::MAX);
        tried.get(1, 4, u64::MAX);
        tried.get(3, 4, u64::MAX);
        assert_eq!(tried.kept(), [1, 3]);
        tried.get(4, 11, u64::MAX);
        assert_eq!(tried.kept(), [1, 3], "too large to keep");
        tried.0.forget(1);
        assert_eq!(tried.kept(), [3]);
    }

    #[test]
    fn a_question_about_more_than_fits_keeps_the_first_of_it() {
        let tried = Tried(Cache::new(10));
        for _ in 0..3 {
            let since = tried.0.clock();
            (1..=4).for_each(|part| tried.get(part, 4, since));
            assert_eq!(tried.kept(), [1, 2]);
        }
        let since = tried.0.clock();
        (3..=4).for_each(|part| tried.get(part, 4, since));
        assert_eq!(tried.kept(), [3, 4], "another question has its turn");
    }
}
