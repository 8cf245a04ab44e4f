//! Recent rows in memory: searched by scan, deduplicated by hash, written to parts by a flush.
//!
//! Rows are kept in order of arrival in blocks of up to [`BLOCK_BYTES`] of text. A full block, or
//! the open one when somebody reads, is sealed: it gets its rows' order by stream and time and
//! never changes again, so a snapshot is a list of shared blocks and costs no copy.
//!
//! Invariant: no two rows of one memory are exact copies. Bounds: the owner flushes by
//! [`Memory::bytes`]; a row's overhead beside its text is about 40 bytes.

use crate::stream::{Stream, row_hash};
use hashbrown::HashTable;
use model::{LabelsRef, LogEntryRef};
use std::{collections::HashMap, ops::Range, sync::Arc};

/// Text of a block when it is sealed; a single longer row makes a longer block.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
/// Rough bytes a row occupies beside its text: its entry, its place in the order and in the table.
const ROW_OVERHEAD_BYTES: usize = 40;

/// One row's place in its block's text: the line, then the metadata.
#[derive(Clone, Copy, Debug)]
struct RowEntry {
    timestamp_ns: i64,
    /// Index into the memory's streams.
    stream: u32,
    text_start: u32,
    line_bytes: u32,
    metadata_bytes: u32,
}

/// A row, borrowed from its block.
#[derive(Clone, Copy)]
pub(crate) struct MemoryRow<'a> {
    pub(crate) stream: u32,
    pub(crate) timestamp_ns: i64,
    pub(crate) line: &'a [u8],
    pub(crate) metadata: &'a [u8],
}

/// Rows in order of arrival; once sealed, also their order by (stream, time, arrival).
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    rows: Vec<RowEntry>,
    text: Vec<u8>,
    order: Vec<u32>,
}

impl Block {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    fn at(&self, index: usize) -> MemoryRow<'_> {
        let row = &self.rows[index];
        let start = row.text_start as usize;
        let middle = start + row.line_bytes as usize;
        MemoryRow {
            stream: row.stream,
            timestamp_ns: row.timestamp_ns,
            line: &self.text[start..middle],
            metadata: &self.text[middle..middle + row.metadata_bytes as usize],
        }
    }

    /// The row at a position of the sealed order.
    pub(crate) fn ordered(&self, position: usize) -> MemoryRow<'_> {
        self.at(self.order[position] as usize)
    }

    /// The stretches of the sealed order that hold one stream each.
    pub(crate) fn runs(&self) -> Vec<(u32, Range<usize>)> {
        let mut runs: Vec<(u32, Range<usize>)> = Vec::new();
        for (position, &index) in self.order.iter().enumerate() {
            let stream = self.rows[index as usize].stream;
            match runs.last_mut() {
                Some((last, range)) if *last == stream => range.end = position + 1,
                _ => runs.push((stream, position..position + 1)),
            }
        }
        runs
    }

    /// The part of a run whose times lie in `start..end`.
    pub(crate) fn narrow(&self, run: &Range<usize>, start_ns: i64, end_ns: i64) -> Range<usize> {
        let order = &self.order[run.clone()];
        let time = |index: &u32| self.rows[*index as usize].timestamp_ns;
        let first = order.partition_point(|index| time(index) < start_ns);
        let last = order.partition_point(|index| time(index) < end_ns);
        run.start + first..run.start + last.max(first)
    }

    fn push(&mut self, stream: u32, entry: &LogEntryRef<'_>) {
        if self.text.capacity() == 0 {
            // At once, because growing copies; what a short block leaves over is given back.
            self.text.reserve_exact(BLOCK_BYTES);
        }
        let text_start = self.text.len() as u32;
        self.text.extend_from_slice(entry.line.as_bytes());
        self.text.extend_from_slice(entry.metadata.as_bytes());
        self.rows.push(RowEntry {
            timestamp_ns: entry.timestamp_ns,
            stream,
            text_start,
            line_bytes: entry.line.len() as u32,
            metadata_bytes: entry.metadata.as_bytes().len() as u32,
        });
    }

    /// Takes over all rows of a block that follows in arrival.
    fn extend(&mut self, next: &Block) {
        let shift = self.text.len() as u32;
        self.text.extend_from_slice(&next.text);
        self.rows.extend(next.rows.iter().map(|row| RowEntry { text_start: row.text_start + shift, ..*row }));
    }

    fn seal(&mut self) {
        self.rows.shrink_to_fit();
        if self.text.len() < self.text.capacity() / 4 * 3 {
            self.text.shrink_to_fit();
        }
        self.order = (0..self.rows.len() as u32).collect();
        self.order.sort_by_key(|&index| {
            let row = &self.rows[index as usize];
            (row.stream, row.timestamp_ns)
        });
    }
}

/// A block and the number of its first row.
#[derive(Clone, Debug)]
struct Sealed {
    first_row: u32,
    block: Arc<Block>,
}

/// What can be read of a memory at one moment.
#[derive(Clone, Debug)]
pub(crate) struct MemorySnapshot {
    pub(crate) blocks: Vec<Arc<Block>>,
    /// By the index that rows carry.
    pub(crate) streams: Arc<[Arc<Stream>]>,
}

/// An entry of the table of rows: half of the row's hash, and its number.
#[derive(Clone, Copy, Debug)]
struct Seen {
    hash: u32,
    row: u32,
}

impl Seen {
    /// The table's own hash, spread anew because it looks at the highest bits.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sealed: Vec<Sealed>,
    open: Block,
    rows: u32,
    streams: Vec<Arc<Stream>>,
    shared_streams: Option<Arc<[Arc<Stream>]>>,
    stream_index: HashMap<u64, u32>,
    seen: HashTable<Seen>,
    bytes: usize,
    line_bytes: u64,
    /// When the oldest row arrived.
    since_ns: Option<i64>,
    /// Time of the newest row.
    newest_ns: Option<i64>,
}

impl Memory {
    /// An empty memory that will hold about as many rows as this one.
    pub(crate) fn successor(&self) -> Memory {
        Memory { seen: HashTable::with_capacity(self.seen.len()), ..Memory::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Rows held.
    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.rows)
    }

    /// Bytes of lines held.
    pub(crate) fn line_bytes(&self) -> u64 {
        self.line_bytes
    }

    /// Bytes occupied, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest row arrived.
    pub(crate) fn since_ns(&self) -> Option<i64> {
        self.since_ns
    }

    /// Time of the newest row.
    pub(crate) fn newest_ns(&self) -> Option<i64> {
        self.newest_ns
    }

    /// Blocks, the open one included.
    pub(crate) fn blocks(&self) -> u64 {
        self.sealed.len() as u64 + u64::from(self.open.len() > 0)
    }

    /// Whether the very same row, of this [`row_hash`], is held.
    pub(crate) fn contains(&self, stream: &Stream, hash: u64, entry: &LogEntryRef<'_>) -> bool {
        let hash = hash as u32;
        let mut same_hash = self.seen.iter_hash(Seen::spread(hash)).filter(|seen| seen.hash == hash);
        // Most rows are new: the stream's number is asked for only when a hash is met again.
        let Some(first) = same_hash.next() else { return false };
        let Some(&index) = self.stream_index.get(&stream.number) else { return false };
        std::iter::once(first).chain(same_hash).any(|seen| self.is_row(seen.row, index, entry))
    }

    fn is_row(&self, number: u32, stream: u32, entry: &LogEntryRef<'_>) -> bool {
        let row = self.row(number);
        row.stream == stream
            && row.timestamp_ns == entry.timestamp_ns
            && row.line == entry.line.as_bytes()
            && row.metadata == entry.metadata.as_bytes()
    }

    fn row(&self, number: u32) -> MemoryRow<'_> {
        let open_first = self.rows - self.open.len() as u32;
        if number >= open_first {
            return self.open.at((number - open_first) as usize);
        }
        let block = self.sealed.partition_point(|sealed| sealed.first_row <= number) - 1;
        let sealed = &self.sealed[block];
        sealed.block.at((number - sealed.first_row) as usize)
    }

    /// Adds a row of this [`row_hash`]; the caller has seen that it is new.
    pub(crate) fn insert(&mut self, stream: &Arc<Stream>, hash: u64, entry: &LogEntryRef<'_>, now_ns: i64) {
        let row_bytes = entry.line.len() + entry.metadata.as_bytes().len();
        if self.open.len() > 0 && self.open.text_bytes() + row_bytes > BLOCK_BYTES {
            self.seal_open();
        }
        let index = self.index_of(stream);
        let hash = hash as u32;
        self.open.push(index, entry);
        let seen = Seen { hash, row: self.rows };
        self.seen.insert_unique(Seen::spread(hash), seen, |seen| Seen::spread(seen.hash));
        self.rows += 1;
        self.bytes += row_bytes + ROW_OVERHEAD_BYTES;
        self.line_bytes += entry.line.len() as u64;
        self.since_ns.get_or_insert(now_ns);
        self.newest_ns = self.newest_ns.max(Some(entry.timestamp_ns));
    }

    fn index_of(&mut self, stream: &Arc<Stream>) -> u32 {
        if let Some(&index) = self.stream_index.get(&stream.number) {
            return index;
        }
        let index = self.streams.len() as u32;
        self.stream_index.insert(stream.number, index);
        self.streams.push(stream.clone());
        self.shared_streams = None;
        self.bytes += stream.labels.as_bytes().len() + ROW_OVERHEAD_BYTES;
        index
    }

    /// Seals the open block, and joins small blocks (made by frequent readers) with their
    /// neighbours of like size, so that a row is copied a logarithmic number of times.
    fn seal_open(&mut self) {
        if self.open.len() == 0 {
            return;
        }
        let mut block = std::mem::take(&mut self.open);
        let mut first_row = self.rows - block.len() as u32;
        while let Some(last) = self.sealed.last()
            && last.block.text_bytes() <= 2 * block.text_bytes()
            && last.block.text_bytes() + block.text_bytes() <= BLOCK_BYTES
        {
            let mut joined = Block::clone(&last.block);
            joined.extend(&block);
            (block, first_row) = (joined, last.first_row);
            self.sealed.pop();
        }
        block.seal();
        self.sealed.push(Sealed { first_row, block: Arc::new(block) });
    }

    /// Everything held now.
    pub(crate) fn snapshot(&mut self) -> MemorySnapshot {
        self.seal_open();
        let streams = self.shared_streams.get_or_insert_with(|| self.streams.as_slice().into()).clone();
        MemorySnapshot { blocks: self.sealed.iter().map(|sealed| sealed.block.clone()).collect(), streams }
    }
}

/// [`row_hash`] of an entry.
pub(crate) fn hash_of(stream: &Stream, entry: &LogEntryRef<'_>) -> u64 {
    row_hash(stream.hash, entry.timestamp_ns, entry.line.as_bytes(), entry.metadata.as_bytes())
}

/// The metadata of a row as labels.
pub(crate) fn metadata_of<'a>(row: &MemoryRow<'a>) -> LabelsRef<'a> {
    LabelsRef::from_trusted_bytes(row.metadata)
}
