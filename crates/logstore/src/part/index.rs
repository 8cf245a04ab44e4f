//! Builds the index of a part while its chunks are written.
//!
//! One tantivy document per chunk, with three fields:
//! * `w`: every letter run of the chunk's lines;
//! * `n`: short ids (tokens with a digit);
//! * `m`: `name=value` pairs of structured metadata that occur in several chunks.
//!
//! Longer ids, and pairs of one chunk only, go to the chunk's filter ([`super::filter`]): they are
//! nine tenths of all terms, and a filter byte each is far cheaper than a dictionary entry, to
//! build as well as to look up.
//!
//! Whether a pair has been seen in an earlier chunk is told by a fixed bitmap of hashes. A
//! collision there only sends a pair to the dictionary that could have gone to a filter. Terms
//! are told apart by 64-bit hashes within one part (2^-64 per pair).
//!
//! Bounds while building: 8 bytes per (chunk, term) pair, 16 for ids that are in two filters; the text
//! of dictionary terms; and 256 KiB of long ids for each chunk.

use super::{
    bundle,
    columns::ColumnsBuilder,
    filter::{self, ChunkFilter},
    lines::{NO_TEMPLATE, Parsed, VARIABLE},
    lookup::{PartIndex, TermKind},
    table::{
        ChunkMeta, FLAG_LONG_IDS_CUT, FLAG_LONG_IDS_PACKED, FLAG_LONG_RUN, FLAG_NO_FILTER, FLAG_WIDE_FILTER,
    },
};
use crate::tokens;
use disk::WriteFile;
use hashbrown::{HashMap, HashSet, hash_map::Entry};
use std::{hash::BuildHasherDefault, io};
use tantivy::{
    Index, SingleSegmentIndexWriter, TantivyDocument,
    directory::RamDirectory,
    schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{Token, TokenStream, Tokenizer},
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Longer runs are not indexed; their chunk is flagged instead.
pub(crate) const RUN_BYTES_MAX: usize = 256;
/// Ids up to this length go to the dictionary: status codes, octets, ports.
pub(crate) const SHORT_ID_BYTES: usize = 3;
/// Longer metadata pairs never go to the dictionary.
pub(crate) const DICTIONARY_PAIR_BYTES_MAX: usize = 128;
/// Tantivy's tables start with a size derived from this; they grow as needed.
const TANTIVY_BUDGET_BYTES: usize = 15 << 20;

pub(crate) const TOKENIZER: &str = "lines";

/// Hash of an id, in filters.
pub(crate) fn id_hash(id: &[u8]) -> u64 {
    xxh3_64(id)
}

/// Hash of a metadata pair (`name=value`), in filters.
pub(crate) fn pair_hash(pair: &[u8]) -> u64 {
    xxh3_64_with_seed(pair, 0x6d65_7461)
}

/// The fields of a part's index.
#[derive(Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) runs: Field,
    pub(crate) ids: Field,
    pub(crate) pairs: Field,
}

/// The schema, always the same.
pub(crate) fn schema() -> (Schema, Fields) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let options = TextOptions::default().set_indexing_options(indexing);
    let mut builder = Schema::builder();
    let fields = Fields {
        runs: builder.add_text_field("w", options.clone()),
        ids: builder.add_text_field("n", options.clone()),
        pairs: builder.add_text_field("m", options),
    };
    (builder.build(), fields)
}

/// Yields the lines of a text, which are the distinct terms of a chunk.
#[derive(Clone, Default)]
pub(crate) struct Lines {
    token: Token,
}

pub(crate) struct LineStream<'a> {
    rest: &'a str,
    token: &'a mut Token,
}

impl Tokenizer for Lines {
    type TokenStream<'a> = LineStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> LineStream<'a> {
        self.token.reset();
        LineStream { rest: text, token: &mut self.token }
    }
}

impl TokenStream for LineStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((line, rest)) = self.rest.split_once('\n') else { return false };
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        self.token.text.push_str(line);
        self.rest = rest;
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// Hashes are their own hashes.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only 64-bit hashes are keys");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type HashKey = BuildHasherDefault<Identity>;

/// Tells whether a hash has been seen before, with false "yes" now and then.
struct SeenBits {
    bits: Vec<u64>,
    mask: u64,
}

impl SeenBits {
    /// About 16 bits for each distinct pair that `raw_bytes` of metadata may hold.
    fn for_raw_bytes(raw_bytes: u64) -> Self {
        let bits = (raw_bytes / 4).next_power_of_two().clamp(1 << 12, 1 << 27);
        SeenBits { bits: vec![0; (bits / 64) as usize], mask: bits - 1 }
    }

    fn insert(&mut self, hash: u64) -> bool {
        let bit = hash & self.mask;
        let word = &mut self.bits[(bit / 64) as usize];
        let was_seen = *word & (1 << (bit % 64)) != 0;
        *word |= 1 << (bit % 64);
        was_seen
    }
}

/// Terms that go to the dictionary: text by hash.
#[derive(Default)]
struct Terms {
    numbers: HashMap<u64, u32, HashKey>,
    /// Every term followed by a newline, which no term contains.
    text: String,
    ends: Vec<u32>,
}

impl Terms {
    fn add(&mut self, hash: u64, term: &[u8]) -> u32 {
        match self.numbers.entry(hash) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let number = self.ends.len() as u32;
                self.text.push_str(&String::from_utf8_lossy(term));
                self.text.push('\n');
                self.ends.push(self.text.len() as u32);
                *entry.insert(number)
            }
        }
    }

    fn lines(&self, numbers: &[u32]) -> String {
        numbers.iter().map(|&number| self.line(number)).collect()
    }

    /// Bit n: a term of n bytes, fewer than 64, is here.
    fn lengths(&self) -> u64 {
        let lengths = (0..self.ends.len() as u32).map(|number| self.line(number).len() - 1);
        lengths.fold(0, |mask, length| mask | 1u64.checked_shl(length as u32).unwrap_or(0))
    }

    fn line(&self, number: u32) -> &str {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        &self.text[start..self.ends[number] as usize]
    }
}

/// What is known of one chunk's terms until the part is finished.
#[derive(Default)]
struct ChunkTerms {
    runs: Vec<u32>,
    /// Ids of the dictionary.
    ids: Vec<u32>,
    /// Hashes of the ids for the filter, and bit n for one of n bytes.
    filter_ids: Vec<u64>,
    id_lengths: u64,
    /// Keys of the second filter.
    wide_keys: Vec<u64>,
    pairs: Vec<u64>,
    /// Ids longer than that, each followed by a newline.
    long_ids: Vec<u8>,
    flags: u64,
    /// What was copied from another part, instead of all of the above.
    copied: Option<CopiedTerms>,
}

/// Terms of a chunk that is copied from another part: its dictionary terms, by their numbers here,
/// and its filter as it is. Pairs of the filter that other chunks bring into the dictionary stay in
/// the filter as well, which is asked for every chunk that the dictionary does not name.
#[derive(Default)]
pub(crate) struct CopiedTerms {
    pub(super) runs: Vec<u32>,
    pub(super) ids: Vec<u32>,
    pub(super) pairs: Vec<u32>,
    pub(super) filter: ChunkFilter,
    pub(super) flags: u64,
}

/// The finished filter of a chunk, and what to note in the chunk table.
pub(crate) struct ChunkIndex {
    pub(crate) filter: ChunkFilter,
    pub(crate) flags: u64,
}

/// What goes elsewhere of a finished index.
pub(crate) struct FinishedIndex {
    pub(crate) chunks: Vec<ChunkIndex>,
    /// Bit n: an id of n bytes is in the dictionary.
    pub(crate) id_lengths: u64,
}

/// See the module.
pub(crate) struct IndexBuilder {
    runs: Terms,
    ids: Terms,
    pairs: Terms,
    seen_pairs: SeenBits,
    chunks: Vec<ChunkTerms>,
    /// Hashes met in the current chunk, kept for its memory.
    chunk_runs: HashSet<u64, HashKey>,
    chunk_ids: HashSet<u64, HashKey>,
}

impl IndexBuilder {
    /// An index of a part with about `raw_bytes` of lines.
    pub(crate) fn new(raw_bytes: u64) -> Self {
        IndexBuilder {
            runs: Terms::default(),
            ids: Terms::default(),
            pairs: Terms::default(),
            seen_pairs: SeenBits::for_raw_bytes(raw_bytes / 4),
            chunks: Vec::new(),
            chunk_runs: HashSet::default(),
            chunk_ids: HashSet::default(),
        }
    }

    /// Adds the next chunk: templates once, and each variable.
    pub(crate) fn chunk(&mut self, parsed: &Parsed, text: &[u8], columns: &ColumnsBuilder) {
        self.chunk_runs.clear();
        self.chunk_ids.clear();
        let mut pieces = Pieces { terms: ChunkTerms::default(), index: self };
        for template in 0..parsed.templates() {
            for literal in parsed.template_text(template).split(|&byte| byte == VARIABLE) {
                tokens::for_each_run(literal, |run| pieces.run(run));
            }
        }
        for &(start, end) in parsed.variables() {
            pieces.id(&text[start as usize..end as usize]);
        }
        for row in (0..parsed.rows()).filter(|&row| parsed.template_of(row) == NO_TEMPLATE) {
            let line = &text[parsed.line_range(row)];
            tokens::for_each_run(line, |run| pieces.run(run));
            tokens::for_each_id(line, |start, end| pieces.id(&line[start..end]));
        }
        let mut terms = pieces.terms;
        self.add_pairs(columns, &mut terms);
        self.chunks.push(terms);
    }

    /// Terms of the marked chunks of a part whose `index` it is.
    pub(crate) fn terms_of(
        &mut self,
        index: &PartIndex,
        chunks: &[ChunkMeta],
        marked: &[bool],
    ) -> io::Result<Vec<Option<CopiedTerms>>> {
        let mut all: Vec<Option<CopiedTerms>> =
            marked.iter().map(|&is_marked| is_marked.then(CopiedTerms::default)).collect();
        for (chunk, terms) in chunks.iter().zip(&mut all) {
            if let Some(terms) = terms {
                terms.filter = index.filter_of(chunk)?;
                terms.flags = chunk.flags;
            }
        }
        index.for_each_posting(|kind, term, postings| {
            let (list, hash) = match kind {
                TermKind::Run => (&mut self.runs, xxh3_64(term)),
                TermKind::Id => (&mut self.ids, id_hash(term)),
                TermKind::Pair => (&mut self.pairs, pair_hash(term)),
            };
            let mut number = None;
            for &chunk in postings {
                let Some(Some(terms)) = all.get_mut(chunk as usize) else { continue };
                let number = *number.get_or_insert_with(|| list.add(hash, term));
                match kind {
                    TermKind::Run => terms.runs.push(number),
                    TermKind::Id => terms.ids.push(number),
                    TermKind::Pair => terms.pairs.push(number),
                }
            }
        })?;
        Ok(all)
    }

    /// Adds the next chunk, which is copied from another part.
    pub(crate) fn copied_chunk(&mut self, terms: CopiedTerms) {
        self.chunks.push(ChunkTerms { copied: Some(terms), ..ChunkTerms::default() });
    }

    fn add_pairs(&mut self, columns: &ColumnsBuilder, terms: &mut ChunkTerms) {
        let mut pair = Vec::new();
        columns.for_each_pair(|name, value| {
            pair.clear();
            pair.extend_from_slice(name.as_bytes());
            pair.push(b'=');
            pair.extend_from_slice(value);
            let hash = pair_hash(&pair);
            terms.pairs.push(hash);
            let fits = pair.len() <= DICTIONARY_PAIR_BYTES_MAX && !pair.contains(&b'\n');
            if fits && self.seen_pairs.insert(hash) {
                self.pairs.add(hash, &pair);
            }
        });
        terms.pairs.sort_unstable();
        terms.pairs.dedup();
    }

    /// Writes the tantivy index as a bundle into `file`.
    pub(crate) fn finish(self, file: &mut WriteFile) -> io::Result<FinishedIndex> {
        let id_lengths = self.ids.lengths();
        let (schema, fields) = schema();
        let ram = RamDirectory::create();
        let mut writer: SingleSegmentIndexWriter<TantivyDocument> = {
            let tokenizers = tantivy::tokenizer::TokenizerManager::new();
            tokenizers.register(TOKENIZER, Lines::default());
            Index::builder()
                .schema(schema)
                .tokenizers(tokenizers)
                .single_segment_index_writer(ram.clone(), TANTIVY_BUDGET_BYTES)
                .map_err(io::Error::other)?
        };
        let mut finished = Vec::with_capacity(self.chunks.len());
        for mut chunk in self.chunks {
            if let Some(copied) = chunk.copied.take() {
                let mut document = TantivyDocument::default();
                document.add_text(fields.runs, self.runs.lines(&copied.runs));
                document.add_text(fields.ids, self.ids.lines(&copied.ids));
                document.add_text(fields.pairs, self.pairs.lines(&copied.pairs));
                writer.add_document(document).map_err(io::Error::other)?;
                finished.push(ChunkIndex { filter: copied.filter, flags: copied.flags });
                continue;
            }
            let mut document = TantivyDocument::default();
            document.add_text(fields.runs, self.runs.lines(&chunk.runs));
            document.add_text(fields.ids, self.ids.lines(&chunk.ids));
            let mut keys = std::mem::take(&mut chunk.filter_ids);
            let mut pairs = String::new();
            for hash in &chunk.pairs {
                match self.pairs.numbers.get(hash) {
                    Some(&number) => pairs.push_str(self.pairs.line(number)),
                    None => keys.push(*hash),
                }
            }
            document.add_text(fields.pairs, pairs);
            writer.add_document(document).map_err(io::Error::other)?;
            finished.push(finish_chunk(keys, chunk)?);
        }
        let index = writer.finalize().map_err(io::Error::other)?;
        bundle::write(&index, &ram, file)?;
        Ok(FinishedIndex { chunks: finished, id_lengths })
    }
}

fn finish_chunk(keys: Vec<u64>, terms: ChunkTerms) -> io::Result<ChunkIndex> {
    let mut flags = terms.flags | FLAG_LONG_IDS_PACKED | FLAG_WIDE_FILTER;
    let (fuse, wide) = filter::build(keys).zip(filter::build(terms.wide_keys)).unwrap_or_else(|| {
        flags |= FLAG_NO_FILTER;
        (Vec::new(), Vec::new())
    });
    let long_ids = filter::pack_list(&terms.long_ids)?;
    Ok(ChunkIndex { filter: ChunkFilter { fuse, wide, long_ids, id_lengths: terms.id_lengths }, flags })
}

/// Takes the pieces of one chunk's lines.
struct Pieces<'a> {
    terms: ChunkTerms,
    index: &'a mut IndexBuilder,
}

impl Pieces<'_> {
    #[inline]
    fn run(&mut self, piece: &[u8]) {
        if piece.len() > RUN_BYTES_MAX {
            self.terms.flags |= FLAG_LONG_RUN;
            return;
        }
        let hash = xxh3_64(piece);
        if self.index.chunk_runs.insert(hash) {
            self.terms.runs.push(self.index.runs.add(hash, piece));
        }
    }

    #[inline]
    fn id(&mut self, piece: &[u8]) {
        let hash = id_hash(piece);
        if !self.index.chunk_ids.insert(hash) {
            return;
        }
        tokens::for_each_run(piece, |run| self.run(run));
        if piece.len() > filter::LONG_ID_BYTES {
            self.long_id(piece);
        } else if piece.len() <= SHORT_ID_BYTES {
            self.terms.ids.push(self.index.ids.add(hash, piece));
        } else {
            self.terms.filter_ids.push(hash);
            if piece.len() >= filter::WIDE_ID_BYTES_MIN {
                self.terms.wide_keys.push(filter::wide_key(hash));
            }
            self.terms.id_lengths |= 1 << piece.len();
        }
    }

    /// Long ids are listed as they are, in every chunk that has them.
    fn long_id(&mut self, piece: &[u8]) {
        if self.terms.long_ids.len() + piece.len() >= filter::LONG_IDS_BYTES_MAX {
            self.terms.flags |= FLAG_LONG_IDS_CUT;
            return;
        }
        self.terms.long_ids.extend_from_slice(piece);
        self.terms.long_ids.push(b'\n');
    }
}
