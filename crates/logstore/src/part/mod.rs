//! Parts: immutable folders of log rows, published whole. Drawn in `docs/formats/logstore.md`.
//!
//! | file | holds |
//! |---|---|
//! | `data.bin` | chunks: columns and frames of lines |
//! | `table.bin` | streams and the chunk table |
//! | `index.bin` | tantivy's files, one document per chunk |
//! | `filters.bin` | filters of ids that only one chunk has |
//!
//! A part whose index is damaged is still served, by scanning; a damaged chunk is left out and
//! reported.

pub(crate) mod bundle;
pub(crate) mod cache;
pub(crate) mod columns;
pub(crate) mod filter;
pub(crate) mod filter_file;
pub(crate) mod grams;
pub(crate) mod index;
pub(crate) mod lines;
pub(crate) mod lookup;
pub(crate) mod reader;
pub(crate) mod section;
pub(crate) mod table;
pub(crate) mod terms;
pub(crate) mod writer;

use crate::{
    bytes::Damaged,
    condition::Condition,
    damage::Damage,
    retention::{RuleNumber, Share},
    stream::{Registry, Stream},
};
use cache::Question;
use disk::{Dir, ReadFile};
use lookup::{Lookup, PartIndex};
use model::TimeRange;
use reader::ReadError;
use roaring::RoaringBitmap;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use table::Table;

pub(crate) const DATA_FILE: &str = "data.bin";
pub(crate) const TABLE_FILE: &str = "table.bin";
pub(crate) const INDEX_FILE: &str = "index.bin";
pub(crate) const FILTER_FILE: &str = "filters.bin";
pub(crate) const DATA_MAGIC: &[u8; 8] = b"BWLDAT\0\x01";
pub(crate) const FILTER_MAGIC: &[u8; 8] = b"BWLFIL\0\x01";

/// How a part is listed in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartId {
    /// Unique for ever; a part that was merged or flushed later has a higher one.
    pub(crate) id: u64,
    /// Its rows arrived after those of parts of lower rank of the same day.
    pub(crate) rank: u64,
    /// Days since the epoch of its rows' times.
    pub(crate) day: i64,
}

impl PartId {
    /// The folder's name.
    pub(crate) fn name(&self) -> String {
        format!("part-{:016x}", self.id)
    }

    /// The id in a folder's name, if it is that of a part.
    pub(crate) fn number_of(name: &str) -> Option<u64> {
        let digits = name.strip_prefix("part-").filter(|digits| digits.len() == 16)?;
        u64::from_str_radix(digits, 16).ok()
    }
}

/// An open part.
pub(crate) struct Part {
    pub(crate) id: PartId,
    pub(crate) table: Table,
    /// By index of the table's streams.
    pub(crate) streams: Vec<Arc<Stream>>,
    pub(crate) range: TimeRange,
    /// What each rule of retention governs, ascending by rule.
    pub(crate) shares: Vec<Share>,
    pub(crate) rows: u64,
    pub(crate) line_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) index_bytes: u64,
    data: ReadFile,
    /// Opened with the part, because the folder goes when the part is merged away.
    index_file: Arc<ReadFile>,
    filter_file: Arc<ReadFile>,
    index: OnceLock<Option<PartIndex>>,
    damage: Arc<Damage>,
    /// Some chunk could not be read: the part stays as it is, for whoever can save more of it.
    is_damaged: AtomicBool,
}

impl Part {
    /// Opens the part in `dir`.
    pub(crate) fn open(
        dir: Dir,
        id: PartId,
        registry: &Registry,
        damage: &Arc<Damage>,
    ) -> Result<Part, ReadError> {
        let table = Table::decode(&dir.read(TABLE_FILE)?, TABLE_FILE)?;
        let data = dir.open(DATA_FILE)?;
        let mut magic = [0; DATA_MAGIC.len()];
        data.read_exact_at(&mut magic, 0)?;
        if magic != *DATA_MAGIC {
            return Err(Damaged::new("`data.bin` has another format or version").into());
        }
        let streams: Vec<Arc<Stream>> = table
            .streams
            .iter()
            .filter_map(|labels| registry.get_or_add(labels.as_ref(), usize::MAX))
            .collect();
        let mut shares: BTreeMap<RuleNumber, Share> = BTreeMap::new();
        for run in table.chunks.iter().flat_map(|chunk| &chunk.runs) {
            let stream = &streams[run.stream as usize];
            stream.note_in_parts(run.newest_ns);
            let empty = Share { rule: stream.rule, bytes: 0, newest_ns: i64::MIN };
            let share = shares.entry(stream.rule).or_insert(empty);
            share.bytes += run.bytes;
            share.newest_ns = share.newest_ns.max(run.newest_ns);
        }
        let (index_file, filter_file) = (Arc::new(dir.open(INDEX_FILE)?), Arc::new(dir.open(FILTER_FILE)?));
        Ok(Part {
            id,
            shares: shares.into_values().collect(),
            range: table::range_of(table.chunks.iter().flat_map(|chunk| &chunk.runs)),
            rows: table.chunks.iter().map(|chunk| chunk.rows()).sum(),
            line_bytes: table.chunks.iter().map(|chunk| chunk.line_bytes()).sum(),
            disk_bytes: dir.bytes_used()?,
            index_bytes: index_file.len() + filter_file.len(),
            table,
            streams,
            data,
            index_file,
            filter_file,
            index: OnceLock::new(),
            damage: damage.clone(),
            is_damaged: AtomicBool::new(false),
        })
    }

    /// Chunks that may meet the condition; `None` for any.
    pub(crate) fn candidates(&self, condition: &Condition, question: &Question<'_>) -> Option<RoaringBitmap> {
        if *condition == Condition::True {
            return None;
        }
        let index = self.index()?;
        let lookup = Lookup::new(index, &self.table.chunks, question);
        match lookup.candidates(condition) {
            Ok(found) => found,
            Err(error) => {
                self.damage.note(format!("index of `{}`: {error}", self.id.name()));
                None
            }
        }
    }

    /// The index, unless it is damaged.
    pub(crate) fn index(&self) -> Option<&PartIndex> {
        self.index.get_or_init(|| self.open_index()).as_ref()
    }

    fn open_index(&self) -> Option<PartIndex> {
        let open = || {
            let files = (self.index_file.clone(), self.filter_file.clone());
            PartIndex::open(self.id.id, files, &self.table)
        };
        match open() {
            Ok(index) => Some(index),
            Err(error) => {
                self.damage.note(format!("index of `{}`: {error}", self.id.name()));
                None
            }
        }
    }

    /// Whether some chunk could not be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Relaxed)
    }

    /// Notes that a chunk cannot be read.
    pub(crate) fn note_damage(&self, chunk: usize, error: &ReadError) {
        self.is_damaged.store(true, Relaxed);
        self.damage.note(format!("chunk {chunk} of `{}`: {error}", self.id.name()));
    }
}
