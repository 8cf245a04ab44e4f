//! What readers keep of parts in memory, each kind within its own bound, so that a scan through
//! everything does not drive out what tells where an id is.
//!
//! The least recently used goes first. While it is the only one, a question does not drive out what it
//! has used itself: one about more than fits finds what was kept of the first of it again the next
//! time, instead of nothing at all.

use super::{grams::Grams, terms::TermList};
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    /// Keys by when they were used last; no two at one time.
    by_use: BTreeMap<u64, CacheKey>,
    bytes: usize,
    clock: u64,
}

/// One question's use of a cache.
struct Turn {
    /// What is used from now on has a later time than this.
    since: u64,
    /// Bytes that it has used.
    used: Cell<usize>,
}

/// See the module.
pub(crate) struct Cache<T> {
    bytes_max: usize,
    state: Mutex<State<T>>,
}

/// What an entry takes beside its value, which counts where values are small.
const ENTRY_BYTES: usize = 128;

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
    dictionaries: Turn,
    filters: Turn,
    grams: Turn,
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
            dictionaries: self.dictionaries.turn(),
            filters: self.filters.turn(),
            grams: self.grams.turn(),
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
        self.caches.dictionaries.used(key, &self.dictionaries)
    }

    pub(crate) fn dictionary<E>(
        &self,
        key: CacheKey,
        make: impl FnOnce() -> Result<(TermList, usize), E>,
    ) -> Result<Arc<TermList>, E> {
        self.caches.dictionaries.get_or_make(key, &self.dictionaries, make)
    }

    /// A filter of a chunk.
    pub(crate) fn filter<E>(
        &self,
        key: CacheKey,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<Vec<u8>>, E> {
        let make = || {
            let filter = read()?;
            let bytes = filter.len() + ENTRY_BYTES;
            Ok((filter, bytes))
        };
        self.caches.filters.get_or_make(key, &self.filters, make)
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
        if let Some(kept) = cache.used(key, &self.grams) {
            return Ok(Some(kept));
        }
        if !cache.has_room(bytes, &self.grams) {
            return Ok(None);
        }
        cache.get_or_make(key, &self.grams, || make().map(|grams| (grams, bytes))).map(Some)
    }
}

impl<T> Cache<T> {
    /// A cache of values that together have at most `bytes_max`, as their makers count them.
    fn new(bytes_max: usize) -> Self {
        let state = State { entries: HashMap::new(), by_use: BTreeMap::new(), bytes: 0, clock: 0 };
        Cache { bytes_max, state: Mutex::new(state) }
    }

    /// Most bytes it keeps.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn of a question that begins now.
    fn turn(&self) -> Turn {
        Turn { since: self.lock().clock, used: Cell::new(0) }
    }

    /// The value, made when it is not here, and kept unless that would drive out what was used in this
    /// turn. Two callers may make it at once; one is kept.
    fn get_or_make<E>(
        &self,
        key: CacheKey,
        turn: &Turn,
        make: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        if let Some(value) = self.used(key, turn) {
            return Ok(value);
        }
        let (value, bytes) = make()?;
        if !self.has_room(bytes, turn) {
            return Ok(Arc::new(value));
        }
        turn.used.set(turn.used.get() + bytes);
        Ok(self.keep(key, value, bytes))
    }

    /// The value if it is here.
    pub(crate) fn get(&self, key: CacheKey) -> Option<Arc<T>> {
        Some(self.lock().touch(key)?.0)
    }

    /// As [`Cache::get`], in a turn.
    fn used(&self, key: CacheKey, turn: &Turn) -> Option<Arc<T>> {
        let (value, bytes, before) = self.lock().touch(key)?;
        if before <= turn.since {
            turn.used.set(turn.used.get() + bytes);
        }
        Some(value)
    }

    /// Whether so many bytes fit beside what was used in this turn.
    fn has_room(&self, bytes: usize, turn: &Turn) -> bool {
        turn.used.get().saturating_add(bytes) <= self.bytes_max
    }

    /// Keeps a value of at most [`Cache::bytes_max`] in the place of those that were used longest ago.
    pub(crate) fn keep(&self, key: CacheKey, value: T, bytes: usize) -> Arc<T> {
        let value = Arc::new(value);
        let mut state = self.lock();
        state.remove(key);
        state.clock += 1;
        let used = state.clock;
        state.by_use.insert(used, key);
        state.entries.insert(key, Entry { value: value.clone(), bytes, used });
        state.bytes += bytes;
        while state.bytes > self.bytes_max
            && let Some((_, oldest)) = state.by_use.first_key_value()
        {
            let oldest = *oldest;
            state.remove(oldest);
        }
        value
    }

    fn forget(&self, part: u64) {
        let mut state = self.lock();
        let doomed: Vec<CacheKey> = state.entries.keys().filter(|key| key.part == part).copied().collect();
        doomed.into_iter().for_each(|key| state.remove(key));
    }
}

impl<T> State<T> {
    /// The value, its bytes, and when it was used before now.
    fn touch(&mut self, key: CacheKey) -> Option<(Arc<T>, usize, u64)> {
        let entry = self.entries.get_mut(&key)?;
        self.clock += 1;
        let before = std::mem::replace(&mut entry.used, self.clock);
        self.by_use.remove(&before);
        self.by_use.insert(self.clock, key);
        Some((entry.value.clone(), entry.bytes, before))
    }

    fn remove(&mut self, key: CacheKey) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tried(Cache<u64>);

    impl Tried {
        /// Asks for a part, in a turn of its own when none is given.
        fn get(&self, part: u64, bytes: usize, turn: Option<&Turn>) {
            let own = self.0.turn();
            let made = self.0.get_or_make(key(part), turn.unwrap_or(&own), || Ok::<_, ()>((part, bytes)));
            assert_eq!(*made.unwrap(), part);
        }

        fn kept(&self) -> Vec<u64> {
            let state = self.0.state.lock().unwrap();
            let mut parts: Vec<u64> = state.entries.keys().map(|key| key.part).collect();
            assert_eq!(state.bytes, state.entries.values().map(|entry| entry.bytes).sum::<usize>());
            assert!(state.by_use.iter().all(|(used, key)| state.entries[key].used == *used));
            assert_eq!(state.by_use.len(), parts.len());
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
        tried.get(1, 4, None);
        tried.get(2, 4, None);
        tried.get(1, 4, None);
        tried.get(3, 4, None);
        assert_eq!(tried.kept(), [1, 3]);
        tried.get(4, 11, None);
        assert_eq!(tried.kept(), [1, 3], "too large to keep");
        tried.0.forget(1);
        assert_eq!(tried.kept(), [3]);
    }

    #[test]
    fn a_question_about_more_than_fits_keeps_the_first_of_it() {
        let tried = Tried(Cache::new(10));
        for _ in 0..3 {
            let turn = tried.0.turn();
            // What is used again does not count again.
            (1..=4).chain(1..=4).for_each(|part| tried.get(part, 4, Some(&turn)));
            assert_eq!(tried.kept(), [1, 2]);
        }
        let turn = tried.0.turn();
        (3..=4).for_each(|part| tried.get(part, 4, Some(&turn)));
        assert_eq!(tried.kept(), [3, 4], "another question has its turn");
    }
}
