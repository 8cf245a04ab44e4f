//! Pages, their values, and timestamp columns, shared by all parts of a store.
//!
//! Two generations approximate least-recently-used without a list: what is used moves to the young
//! one; when that is full it becomes the old one, and what stayed in the old one is dropped.
//! Bound: twice [`GENERATION_BYTES`], and one entry beyond.

use super::page::Page;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of one generation.
const GENERATION_BYTES: usize = 12 << 20;
/// What an entry takes beside its bytes.
const ENTRY_BYTES: usize = 96;

#[derive(Clone)]
pub(super) enum Cached {
    Page(Arc<Page>),
    /// Those of a page, as they are on disk.
    Values(Arc<Vec<u8>>),
    Column(Arc<[i64]>),
}

/// What of a part is cached, by its number there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Page(usize),
    Values(usize),
    Column(u32),
}

type Key = (u64, Item);

/// See the module.
#[derive(Default)]
pub(crate) struct Cache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    young: HashMap<Key, (Cached, usize)>,
    old: HashMap<Key, (Cached, usize)>,
    young_bytes: usize,
}

impl Cache {
    pub(super) fn get(&self, key: Key) -> Option<Cached> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((found, _)) = state.young.get(&key) {
            return Some(found.clone());
        }
        let (found, bytes) = state.old.remove(&key)?;
        state.insert(key, found.clone(), bytes);
        Some(found)
    }

    pub(super) fn put(&self, key: Key, value: Cached, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.insert(key, value, bytes + ENTRY_BYTES);
    }

    /// Drops everything, as after a merge that leaves most of it without a part.
    pub(crate) fn clear(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}

impl State {
    fn insert(&mut self, key: Key, value: Cached, bytes: usize) {
        if self.young.insert(key, (value, bytes)).is_none() {
            self.young_bytes += bytes;
        }
        if self.young_bytes > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}
