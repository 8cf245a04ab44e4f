//! Pairs of label name and value, each kept once, with the series that have it.

use super::Pair;
use crate::{
    bytes::Reader,
    columns::reserve_one,
    postings::Postings,
    slabs::{Slabs, Slices},
};
use hashbrown::{HashMap, HashTable};
use xxhash_rust::xxh3::xxh3_64;

/// See the module.
#[derive(Default)]
pub(super) struct Pairs {
    bytes: Slices<u8>,
    entries: Slabs<Entry>,
    by_bytes: HashTable<u32>,
    names: HashMap<Vec<u8>, Name>,
}

struct Entry {
    place: u32,
    length: u32,
    name: u32,
    postings: Postings,
}

struct Name {
    number: u32,
    pairs: Vec<u32>,
}

impl Pairs {
    pub(super) fn has_room(&self) -> bool {
        self.bytes.has_room()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of a pair, new or known, which `series` has.
    pub(super) fn intern(&mut self, pair: Pair<'_>, series: u32) -> u32 {
        if let Some(number) = self.find(pair.bytes) {
            self.entries[number].postings.push(series);
            return number;
        }
        let number = self.entries.len() as u32;
        let name_count = self.names.len() as u32;
        let name =
            self.names.entry_ref(pair.name).or_insert_with(|| Name { number: name_count, pairs: Vec::new() });
        reserve_one(&mut name.pairs);
        name.pairs.push(number);
        self.entries.push(Entry {
            place: self.bytes.push(pair.bytes),
            length: pair.bytes.len() as u32,
            name: name.number,
            postings: Postings::One(series),
        });
        let (bytes, entries) = (&self.bytes, &self.entries);
        let hash_of = |&number: &u32| xxh3_64(bytes_of(bytes, &entries[number]));
        self.by_bytes.insert_unique(xxh3_64(pair.bytes), number, hash_of);
        number
    }

    pub(super) fn find(&self, pair: &[u8]) -> Option<u32> {
        self.by_bytes.find(xxh3_64(pair), |&number| self.bytes(number) == pair).copied()
    }

    #[inline]
    pub(super) fn bytes(&self, pair: u32) -> &[u8] {
        bytes_of(&self.bytes, &self.entries[pair])
    }

    /// The name; as [`Pairs::value`].
    pub(super) fn name_text(&self, pair: u32) -> &str {
        let name = Reader::new(self.bytes(pair)).field().unwrap_or(&[]);
        std::str::from_utf8(name).unwrap_or("")
    }

    /// The value; label bytes are UTF-8 since they were checked when they came.
    pub(super) fn value(&self, pair: u32) -> &str {
        let mut reader = Reader::new(self.bytes(pair));
        let value = reader.field().and_then(|_| reader.field()).unwrap_or(&[]);
        std::str::from_utf8(value).unwrap_or("")
    }

    /// Number of the pair's name.
    pub(super) fn name(&self, pair: u32) -> u32 {
        self.entries[pair].name
    }

    pub(super) fn postings(&self, pair: u32) -> &Postings {
        &self.entries[pair].postings
    }

    /// Every name and its pairs.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &[u32])> {
        // Label bytes are UTF-8 since they were checked when they came.
        let text = |name| std::str::from_utf8(name).unwrap_or("");
        self.names.iter().map(move |(bytes, name)| (text(bytes.as_slice()), name.pairs.as_slice()))
    }

    /// Number of a name and its pairs.
    pub(super) fn with_name(&self, name: &str) -> Option<(u32, &[u32])> {
        self.names.get(name.as_bytes()).map(|name| (name.number, name.pairs.as_slice()))
    }
}

#[inline]
fn bytes_of<'a>(bytes: &'a Slices<u8>, entry: &Entry) -> &'a [u8] {
    &bytes.from(entry.place)[..entry.length as usize]
}
