//! Pages, their values, timestamp columns and short lists of label values, shared by all parts of a
//! store; beside them decoded values, for panels and rules that ask the same series again and again.
//!
//! Two generations approximate least-recently-used without a list: what is used moves to the young
//! one; when that is full it becomes the old one, and what stayed in the old one is dropped.
//! Bound: twice [`GENERATION_BYTES`] and twice [`FLOATS_GENERATION_BYTES`], and one entry each beyond.

use super::{TextList, page::Page};
use crate::listing::Listed;
use hashbrown::HashMap;
use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes of one generation.
const GENERATION_BYTES: usize = 12 << 20;
/// Bytes of one generation of decoded values.
pub(crate) const FLOATS_GENERATION_BYTES: usize = 6 << 20;
/// What an entry takes beside its bytes.
const ENTRY_BYTES: usize = 96;

#[derive(Clone)]
pub(super) enum Cached {
    Page(Arc<Page>),
    /// Those of a page, as they are on disk.
    Values(Arc<Vec<u8>>),
    Column(Arc<[i64]>),
    Floats(Arc<Floats>),
    Texts(Arc<Texts>),
}

/// What a part has of [`Listed`].
pub(super) struct Texts {
    /// The label whose values these are; `None` where they are the labels' names.
    pub(super) label: Option<String>,
    /// `None` when they are too many to be kept.
    pub(super) all: Option<Arc<TextList>>,
}

impl Texts {
    /// Whether these are what is listed.
    pub(super) fn are(&self, listed: Listed<'_>) -> bool {
        match listed {
            Listed::Names => self.label.is_none(),
            Listed::Values(name) => self.label.as_deref() == Some(name),
        }
    }
}

/// Values of a block, from the one at `first` on.
pub(super) struct Floats {
    pub(super) first: usize,
    pub(super) values: Vec<f64>,
}

impl Floats {
    /// The places of the block that are here.
    pub(super) fn places(&self) -> Range<usize> {
        self.first..self.first + self.values.len()
    }

    /// Those at these places of the block, if they are all here.
    pub(super) fn get(&self, wanted: Range<usize>) -> Option<&[f64]> {
        self.values.get(wanted.start.checked_sub(self.first)?..wanted.end.checked_sub(self.first)?)
    }
}

/// What of a part is cached, by its number there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Page(usize),
    Values(usize),
    Column(u32),
    /// Of the block that begins at an offset of a page's values.
    Floats(usize, u32),
    /// By a hash of what is listed.
    Texts(u64),
}

type Key = (u64, Item);

/// See the module.
pub(crate) struct Cache {
    read: Mutex<State>,
    floats: Mutex<State>,
}

struct State {
    generation_bytes: usize,
    young: HashMap<Key, (Cached, usize)>,
    old: HashMap<Key, (Cached, usize)>,
    young_bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            read: Mutex::new(State::new(GENERATION_BYTES)),
            floats: Mutex::new(State::new(FLOATS_GENERATION_BYTES)),
        }
    }
}

impl Cache {
    fn state(&self, item: Item) -> MutexGuard<'_, State> {
        let state = if matches!(item, Item::Floats(..)) { &self.floats } else { &self.read };
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: Key) -> Option<Cached> {
        let mut state = self.state(key.1);
        if let Some((found, _)) = state.young.get(&key) {
            return Some(found.clone());
        }
        let (found, bytes) = state.old.remove(&key)?;
        state.insert(key, found.clone(), bytes);
        Some(found)
    }

    pub(super) fn put(&self, key: Key, value: Cached, bytes: usize) {
        self.state(key.1).insert(key, value, bytes + ENTRY_BYTES);
    }

    /// Drops everything, as after a merge that leaves most of it without a part.
    pub(crate) fn clear(&self) {
        for state in [&self.read, &self.floats] {
            state.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

impl State {
    fn new(generation_bytes: usize) -> Self {
        State { generation_bytes, young: HashMap::new(), old: HashMap::new(), young_bytes: 0 }
    }

    fn clear(&mut self) {
        *self = State::new(self.generation_bytes);
    }

    fn insert(&mut self, key: Key, value: Cached, bytes: usize) {
        let before = self.young.insert(key, (value, bytes));
        self.young_bytes = self.young_bytes + bytes - before.map_or(0, |(_, bytes)| bytes);
        if self.young_bytes > self.generation_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_grows_counts_with_what_it_takes() {
        let cache = Cache::default();
        for values in [256, 2_048] {
            for page in 0..2_800 {
                let floats = Floats { first: 0, values: vec![0.0; values] };
                cache.put((1, Item::Floats(page, 0)), Cached::Floats(Arc::new(floats)), values * 8);
            }
        }
        let state = cache.state(Item::Floats(0, 0));
        let bytes_of = |cached: &Cached| match cached {
            Cached::Floats(floats) => size_of_val(floats.values.as_slice()),
            _ => 0,
        };
        let held: usize = state.young.values().chain(state.old.values()).map(|(it, _)| bytes_of(it)).sum();
        assert!(held > FLOATS_GENERATION_BYTES / 2, "{held} bytes held");
        assert!(held <= 2 * (FLOATS_GENERATION_BYTES + 2_048 * 8), "{held} bytes held");
    }
}
