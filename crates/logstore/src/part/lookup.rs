//! Looks a condition up in a part's index: which chunks may meet it.
//!
//! Invariant: a chunk that is left out has no matching row. Whatever cannot be decided cheaply is
//! answered with "any chunk" (`None`).

use super::{
    bundle::{Bundle, BundleError},
    cache::{CacheKey, Question},
    filter::{self, ChunkFilter, LONG_ID_BYTES, WIDE_ID_BYTES_MIN},
    filter_file::FilterFile,
    grams::Grams,
    index::{DICTIONARY_PAIR_BYTES_MAX, Fields, RUN_BYTES_MAX, id_hash, pair_hash, schema},
    table::{ChunkMeta, FLAG_LONG_IDS_CUT, FLAG_LONG_RUN, FLAG_NO_FILTER, FLAG_WIDE_FILTER, Table},
    terms::{TERMS_MAX, TermList},
};
use crate::{
    bytes::Damaged,
    condition::{Condition, Needle, Piece},
    tokens,
};
use memchr::memmem;
use roaring::RoaringBitmap;
use std::{io, sync::Arc};
use tantivy::{
    DocSet, Index, InvertedIndexReader, SegmentReader, TERMINATED,
    postings::{BlockSegmentPostings, TermInfo},
    schema::{Field, IndexRecordOption},
};

/// A term in more than this share of the chunks rules out so few that its piece is taken for "any
/// chunk".
const COMMON_NUMERATOR: u64 = 9;
const COMMON_DENOMINATOR: u64 = 10;
/// Shorter pieces that may begin or end anywhere are in almost any chunk: they are looked for only
/// when nothing else is known.
const INFIX_BYTES_MIN: usize = 3;

/// The open index of a part.
pub(crate) struct PartIndex {
    part: u64,
    bundle: Bundle,
    runs: Arc<InvertedIndexReader>,
    ids: Arc<InvertedIndexReader>,
    pairs: Arc<InvertedIndexReader>,
    filters: FilterFile,
    /// Bit n: an id of n bytes is in the dictionary.
    id_lengths: u64,
    /// Chunks that the index cannot rule out by runs.
    long_runs: RoaringBitmap,
}

/// `None`: any chunk.
type Candidates = Option<RoaringBitmap>;

impl PartIndex {
    /// Opens and checks the index of part `part`, from its file and that of its filters.
    pub(crate) fn open(
        part: u64,
        (file, filters): (Arc<disk::ReadFile>, Arc<disk::ReadFile>),
        table: &Table,
    ) -> Result<PartIndex, BundleError> {
        let chunks = &table.chunks;
        let bundle = Bundle::open(file)?;
        let reader = open_segment(bundle.clone())?;
        if reader.max_doc() as usize != chunks.len() {
            return Err(Damaged::new("index and chunk table disagree").into());
        }
        let [runs, ids, pairs] = fields_of(&reader)?;
        let flagged = |(number, chunk): (usize, &ChunkMeta)| {
            (chunk.flags & FLAG_LONG_RUN != 0).then_some(number as u32)
        };
        Ok(PartIndex {
            part,
            bundle,
            runs,
            ids,
            pairs,
            filters: FilterFile::open(filters)?,
            id_lengths: table.id_lengths,
            long_runs: chunks.iter().enumerate().filter_map(flagged).collect(),
        })
    }
}

/// Opens the only segment of an index.
fn open_segment(bundle: Bundle) -> Result<SegmentReader, BundleError> {
    let index = Index::open(bundle).map_err(io::Error::other)?;
    let segments = index.searchable_segments().map_err(io::Error::other)?;
    let [segment] = segments.as_slice() else {
        return Err(Damaged::new("index does not have exactly one segment").into());
    };
    Ok(SegmentReader::open(segment).map_err(io::Error::other)?)
}

/// Runs, ids, pairs.
fn fields_of(reader: &SegmentReader) -> io::Result<[Arc<InvertedIndexReader>; 3]> {
    let Fields { runs, ids, pairs } = schema().1;
    let field = |field: Field| reader.inverted_index(field).map_err(io::Error::other);
    Ok([field(runs)?, field(ids)?, field(pairs)?])
}

/// The fields of an index.
#[derive(Clone, Copy)]
pub(crate) enum TermKind {
    Run,
    Id,
    Pair,
}

impl PartIndex {
    /// Calls `visit` with every term and the chunks that have it. The index is in memory meanwhile.
    pub(crate) fn for_each_posting(&self, mut visit: impl FnMut(TermKind, &[u8], &[u32])) -> io::Result<()> {
        let whole = open_segment(self.bundle.read_whole()?).map_err(io::Error::other)?;
        for (kind, reader) in
            [TermKind::Run, TermKind::Id, TermKind::Pair].into_iter().zip(fields_of(&whole)?)
        {
            let mut chunks = Vec::new();
            let mut postings: Option<BlockSegmentPostings> = None;
            let mut terms = reader.terms().stream()?;
            while terms.advance() {
                let info = terms.value();
                let postings = match &mut postings {
                    Some(postings) => {
                        reader.reset_block_postings_from_terminfo(info, postings)?;
                        postings
                    }
                    none => {
                        none.insert(reader.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?)
                    }
                };
                chunks.clear();
                while postings.block_len() > 0 {
                    chunks.extend_from_slice(postings.docs());
                    postings.advance();
                }
                visit(kind, terms.key(), &chunks);
            }
        }
        Ok(())
    }

    /// The filter of one chunk.
    pub(crate) fn filter_of(&self, chunk: &ChunkMeta) -> io::Result<ChunkFilter> {
        let meta = &chunk.filter;
        let (fuse, wide) = (self.filters.fuse(meta)?, self.filters.wide(meta)?);
        let long_ids = self.filters.stored_list(meta)?;
        Ok(ChunkFilter { fuse, wide, long_ids, id_lengths: meta.id_lengths })
    }
}

fn for_each_chunk(
    reader: &InvertedIndexReader,
    info: &TermInfo,
    mut visit: impl FnMut(u32),
) -> io::Result<()> {
    let mut postings = reader.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
    while postings.doc() != TERMINATED {
        visit(postings.doc());
        postings.advance();
    }
    Ok(())
}

/// Dictionaries.
const KIND_RUNS: u8 = 0;
const KIND_IDS: u8 = 1;
/// Filters.
const KIND_FUSE: u8 = 0;
const KIND_WIDE: u8 = 1;

/// An id that is looked for in filters.
struct WantedId<'a> {
    piece: &'a Piece,
    hash: u64,
    fold: bool,
    /// Whether some long id of the part may contain it.
    may_be_long: bool,
}

/// One lookup in one part.
pub(crate) struct Lookup<'a> {
    index: &'a PartIndex,
    chunks: &'a [ChunkMeta],
    question: &'a Question<'a>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(index: &'a PartIndex, chunks: &'a [ChunkMeta], question: &'a Question<'a>) -> Self {
        Lookup { index, chunks, question }
    }

    /// Chunks that may meet the condition.
    pub(crate) fn candidates(&self, condition: &Condition) -> io::Result<Candidates> {
        match condition {
            Condition::True => Ok(None),
            Condition::And(parts) => self.all(parts.iter().map(|part| move || self.candidates(part))),
            Condition::Or(parts) => {
                let mut union = RoaringBitmap::new();
                for part in parts {
                    match self.candidates(part)? {
                        None => return Ok(None),
                        Some(found) => union |= found,
                    }
                }
                Ok(Some(union))
            }
            Condition::Has(needle) => self.needle(needle),
            Condition::Pair(pair) => self.pair(pair).map(Some),
        }
    }

    fn all<F>(&self, parts: impl Iterator<Item = F>) -> io::Result<Candidates>
    where
        F: FnOnce() -> io::Result<Candidates>,
    {
        let mut meet: Candidates = None;
        for part in parts {
            let Some(found) = part()? else { continue };
            let both = match meet {
                None => found,
                Some(meet) => meet & found,
            };
            if both.is_empty() {
                return Ok(Some(both));
            }
            meet = Some(both);
        }
        Ok(meet)
    }

    /// Long pieces first: they are the rarest.
    fn needle(&self, needle: &Needle) -> io::Result<Candidates> {
        let mut pieces: Vec<&Piece> = needle.pieces.iter().collect();
        pieces.sort_by_key(|piece| (!piece.is_id, std::cmp::Reverse(piece.text.len())));
        let mut found: Candidates = None;
        for piece in pieces {
            let is_exact = piece.left && piece.right && !needle.fold;
            if found.is_some() && !is_exact && piece.text.len() < INFIX_BYTES_MIN {
                continue;
            }
            let more = if piece.is_id {
                self.id(piece, needle.fold, found.as_ref())?
            } else {
                self.run(piece, needle.fold)?
            };
            found = match (found, more) {
                (Some(found), Some(more)) => Some(found & more),
                (found, more) => found.or(more),
            };
            if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
                break;
            }
        }
        Ok(found)
    }

    fn run(&self, piece: &Piece, fold: bool) -> io::Result<Candidates> {
        if piece.text.len() > RUN_BYTES_MAX {
            return Ok(Some(self.index.long_runs.clone()));
        }
        let found = self.dictionary(&self.index.runs, KIND_RUNS, piece, fold)?;
        Ok(found.map(|found| found | &self.index.long_runs))
    }

    /// Chunks, among `within`, that may have an id.
    fn id(&self, piece: &Piece, fold: bool, within: Option<&RoaringBitmap>) -> io::Result<Candidates> {
        let Some(mut found) = self.dictionary(&self.index.ids, KIND_IDS, piece, fold)? else {
            return Ok(None);
        };
        // A whole id that is short enough for filters is in no list.
        let is_listed = fold || !(piece.left && piece.right) || piece.text.len() > LONG_ID_BYTES;
        let wanted = WantedId {
            piece,
            hash: id_hash(&piece.text),
            fold,
            may_be_long: fold || (is_listed && self.long_ids_may_have(&piece.text)?),
        };
        for number in 0..self.chunks.len() {
            let is_open =
                !found.contains(number as u32) && within.is_none_or(|within| within.contains(number as u32));
            if is_open && self.filter_may_have(number, &wanted)? {
                found.insert(number as u32);
            }
        }
        Ok(Some(found))
    }

    /// Whether an id of this chunk that is not in the dictionary may contain the piece.
    fn filter_may_have(&self, number: usize, wanted: &WantedId<'_>) -> io::Result<bool> {
        let (chunk, piece, fold) = (&self.chunks[number], wanted.piece, wanted.fold);
        if chunk.flags & FLAG_NO_FILTER != 0 {
            return Ok(true);
        }
        let length = piece.text.len();
        let is_whole = piece.left && piece.right;
        if length <= LONG_ID_BYTES {
            // A folded id has the length of the piece or, written with odd letters, a greater one.
            let shortest = if fold { length } else { length + 1 };
            let longer = chunk.filter.id_lengths >> shortest != 0;
            if (fold || !is_whole) && longer {
                return Ok(true);
            }
            let same_length = chunk.filter.id_lengths >> length & 1 != 0;
            if !fold && same_length && self.filters_may_contain(number, wanted)? {
                return Ok(true);
            }
            if is_whole && !fold {
                return Ok(false);
            }
        }
        Ok(chunk.flags & FLAG_LONG_IDS_CUT != 0
            || (wanted.may_be_long && self.long_ids_have(number, piece, fold)?))
    }

    /// Whether a chunk may have the id, which is short enough for filters, as it is.
    fn filters_may_contain(&self, number: usize, wanted: &WantedId<'_>) -> io::Result<bool> {
        let chunk = &self.chunks[number];
        if chunk.flags & FLAG_WIDE_FILTER != 0 && wanted.piece.text.len() >= WIDE_ID_BYTES_MIN {
            let key = CacheKey { part: self.index.part, kind: KIND_WIDE, number: number as u64 };
            let wide = self.question.filter(key, || self.index.filters.wide(&chunk.filter))?;
            if !filter::may_contain(&wide, filter::wide_key(wanted.hash)) {
                return Ok(false);
            }
        }
        self.fuse_may_contain(number, wanted.hash)
    }

    fn fuse_may_contain(&self, number: usize, hash: u64) -> io::Result<bool> {
        if self.chunks[number].filter.fuse_bytes == 0 {
            return Ok(false);
        }
        let key = CacheKey { part: self.index.part, kind: KIND_FUSE, number: number as u64 };
        let fuse = self.question.filter(key, || self.index.filters.fuse(&self.chunks[number].filter))?;
        Ok(filter::may_contain(&fuse, hash))
    }

    /// Whether any chunk may list a long id that contains the text.
    fn long_ids_may_have(&self, text: &[u8]) -> io::Result<bool> {
        let lists = self.chunks.iter().map(|chunk| chunk.filter.long_bytes as usize).sum();
        let grams = self.question.grams(self.index.part, Grams::bytes_for(lists), || {
            let mut grams = Grams::for_bytes(lists);
            for chunk in self.chunks.iter().filter(|chunk| chunk.filter.long_bytes > 0) {
                grams.add(&self.index.filters.list(chunk)?);
            }
            Ok::<_, io::Error>(grams)
        })?;
        Ok(grams.is_none_or(|grams| grams.may_have(text)))
    }

    fn long_ids_have(&self, number: usize, piece: &Piece, fold: bool) -> io::Result<bool> {
        let chunk = &self.chunks[number];
        if chunk.filter.long_bytes == 0 {
            return Ok(false);
        }
        let list = self.index.filters.list(chunk)?;
        if !fold {
            return Ok(memmem::find(&list, &piece.text).is_some());
        }
        let mut folded = Vec::with_capacity(list.len());
        tokens::fold(&list, &mut folded);
        Ok(memmem::find(&folded, &piece.text).is_some())
    }

    fn pair(&self, pair: &[u8]) -> io::Result<RoaringBitmap> {
        let mut found = RoaringBitmap::new();
        if pair.len() <= DICTIONARY_PAIR_BYTES_MAX
            && let Some(info) = self.index.pairs.terms().get(pair)?
        {
            self.read_postings(&self.index.pairs, &info, &mut found)?;
        }
        let hash = pair_hash(pair);
        for (number, chunk) in self.chunks.iter().enumerate() {
            if chunk.flags & FLAG_NO_FILTER != 0 || self.fuse_may_contain(number, hash)? {
                found.insert(number as u32);
            }
        }
        Ok(found)
    }

    /// Chunks of all dictionary terms that the piece may be a part of.
    fn dictionary(
        &self,
        reader: &InvertedIndexReader,
        kind: u8,
        piece: &Piece,
        fold: bool,
    ) -> io::Result<Candidates> {
        let mut found = RoaringBitmap::new();
        // Most ids are longer than any of the dictionary, which then need not be searched.
        let is_longer =
            kind == KIND_IDS && piece.text.len() < 64 && self.index.id_lengths >> piece.text.len() == 0;
        if is_longer && !fold {
            return Ok(Some(found));
        }
        let key = CacheKey { part: self.index.part, kind, number: 0 };
        if piece.left && piece.right && !fold {
            let info = match self.question.dictionary_if_kept(key) {
                Some(list) => list.find(&piece.text).map(|term| list.info(term)),
                None => reader.terms().get(&piece.text)?,
            };
            if let Some(info) = info {
                self.read_postings(reader, &info, &mut found)?;
            }
            return Ok(Some(found));
        }
        let list = self.question.dictionary(key, || TermList::load(reader))?;
        let terms = list.search(piece, fold);
        let common = self.chunks.len() as u64 * COMMON_NUMERATOR / COMMON_DENOMINATOR;
        let is_common = |&term: &usize| u64::from(list.info(term).doc_freq) > common;
        if terms.len() > TERMS_MAX || terms.iter().any(is_common) {
            return Ok(None);
        }
        for term in terms {
            self.read_postings(reader, &list.info(term), &mut found)?;
        }
        Ok(Some(found))
    }

    fn read_postings(
        &self,
        reader: &InvertedIndexReader,
        info: &TermInfo,
        found: &mut RoaringBitmap,
    ) -> io::Result<()> {
        for_each_chunk(reader, info, |chunk| {
            found.insert(chunk);
        })
    }
}
