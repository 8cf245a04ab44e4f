//! A part: an immutable folder of samples of one time window, sorted by series.
//!
//! Files are drawn in `docs/formats/tsdb.md`. Opening a part reads its `meta` only; the index is
//! loaded at first use and given back when it has been idle ([`Part::forget_idle_index`]). Pages
//! and timestamp columns are read by `pread`, checked, decoded, and kept in the store's cache.

mod cache;
mod deletions;
mod index;
mod listing;
mod matching;
mod merge;
mod meta;
mod page;
mod texts;
mod writer;

pub(crate) use cache::{Cache, FLOATS_GENERATION_BYTES};
pub(crate) use deletions::Deletions;
pub(crate) use listing::Listing;
pub(crate) use merge::{SeriesSink, merge};
pub(crate) use meta::{Meta, Origin};
pub(crate) use page::Page;
pub(crate) use texts::TextList;
pub(crate) use writer::{OrderKey, PartWriter};

use crate::{
    bytes::Malformed,
    codec::values::{self, Scratch},
    listing::{BYTES_COMPARED, Found, Listed},
    toll::pay,
};
use cache::{Cached, Floats, Item, Texts};
use disk::{Dir, ReadFile};
use index::PartIndex;
use listing::{Recent, Stretch};
use matching::Unmatched;
use model::{Labels, MatchOp, Matcher, Samples, TimeRange, Value};
use page::Block;
use roaring::RoaringBitmap;
use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use store::{QueryContext, StopReason, StoreError};

const DATA: &str = "data";
const INDEX: &str = "index";
const META: &str = "meta";
const DELETED: &str = "deleted";
/// First bytes of `data` and `index`: magic and version.
const DATA_MAGIC: &[u8; 8] = b"BWMD\x01\0\0\0";
const INDEX_MAGIC: &[u8; 8] = b"BWMI\x01\0\0\0";

/// Longest list of names or values that is kept in memory.
const TEXTS_BYTES_MAX: usize = 128 << 10;
/// Under this number the cache has the texts that were read last, of whichever part.
const LAST_PART: u64 = u64::MAX;

/// Series of a bitmap that are gone through in a step, and what a key of the dictionary takes.
const SERIES_A_STEP: usize = 4096;
const KEY_BYTES: usize = 64;

/// Why a part could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("part `{part}`: {what}")]
    Damaged { part: String, what: String },
    #[error("part `{part}` has version {version}, newer than this program")]
    NewerVersion { part: String, version: u32 },
    #[error(transparent)]
    Stopped(#[from] StopReason),
}

/// Folder name of a part.
pub(crate) fn name_of(id: u64) -> String {
    format!("part-{id:016x}")
}

/// The id in a folder name.
pub(crate) fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("part-")?;
    if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// The id in a folder name, or in that of a part that was set aside.
pub(crate) fn id_kept_in(name: &str) -> Option<u64> {
    id_of(name.split_once('.').map_or(name, |(name, _)| name))
}

/// A name under which to set this part aside, which no other one has.
pub(crate) fn free_damaged_name(parts: &Dir, id: u64) -> io::Result<String> {
    let taken = parts.list()?;
    let numbered = (2..).map(|number| format!("{}.{number}.damaged", name_of(id)));
    let mut names = std::iter::once(format!("{}.damaged", name_of(id))).chain(numbered);
    names.find(|name| !taken.contains(name)).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}

/// See the module. A change of its deletions makes a new `Part` over the same files.
#[derive(Clone)]
pub(crate) struct Part {
    files: Arc<Files>,
    deletions: Arc<Deletions>,
}

struct Files {
    meta: Meta,
    dir: Dir,
    data: ReadFile,
    index_file: ReadFile,
    index: Mutex<Option<Arc<PartIndex>>>,
    /// Whether the index was used since the last look at idleness.
    is_index_used: AtomicBool,
    /// Whether something in it was found unreadable.
    is_damaged: AtomicBool,
    /// Whether its index was, without which nothing can be found in it.
    is_lost: AtomicBool,
    cache: Arc<Cache>,
}

impl Part {
    /// Opens the part with this id in the folder of parts.
    pub(crate) fn open(parts: &Dir, id: u64, cache: Arc<Cache>) -> Result<Part, PartError> {
        let dir = parts.sub(&name_of(id))?;
        let meta = Meta::read(&dir, id)?;
        let deletions = Deletions::read(&dir, id)?;
        let data = dir.open(DATA)?;
        if data.len() != meta.data_bytes {
            return Err(damaged(id, format!("`data` has {} bytes, not {}", data.len(), meta.data_bytes)));
        }
        // Read at first use, when the part may have been dropped already.
        let index_file = dir.open(INDEX)?;
        let files = Files {
            meta,
            dir,
            data,
            index_file,
            index: Mutex::new(None),
            is_index_used: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            cache,
        };
        Ok(Part { files: Arc::new(files), deletions: Arc::new(deletions) })
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.files.meta
    }

    pub(crate) fn id(&self) -> u64 {
        self.files.meta.id
    }

    pub(crate) fn time_range(&self) -> TimeRange {
        self.files.meta.time_range
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.files.is_damaged.load(Relaxed)
    }

    /// Whether it is of no use any more and should be set aside.
    pub(crate) fn is_lost(&self) -> bool {
        self.files.is_lost.load(Relaxed)
    }

    pub(crate) fn mark_damaged(&self) {
        self.files.is_damaged.store(true, Relaxed);
    }

    /// Whether deletions hide some of its samples.
    pub(crate) fn has_deletions(&self) -> bool {
        !self.deletions.is_empty()
    }

    /// Durably hides the samples of `series` in the closed `range`.
    pub(crate) fn with_deletion(&self, series: RoaringBitmap, range: TimeRange) -> Result<Part, PartError> {
        let deletions = self.deletions.with(series, range);
        deletions.write(&self.files.dir)?;
        Ok(Part { files: self.files.clone(), deletions: Arc::new(deletions) })
    }

    /// Gives the index back when nothing has used it since the last call.
    pub(crate) fn forget_idle_index(&self) {
        if !self.files.is_index_used.swap(false, Relaxed) {
            *self.files.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Charges the index when it has to be read, or while somebody reads it.
    pub(crate) fn pay_for_index(&self, payer: Option<&QueryContext>) -> Result<(), StopReason> {
        let is_there = self.files.index.try_lock().is_ok_and(|slot| slot.is_some());
        if is_there { Ok(()) } else { pay(payer, self.files.index_file.len()) }
    }

    /// Steps of a [`Toll`](crate::toll::Toll) to find what any of `selectors` matches.
    pub(crate) fn steps_to_match(&self, selectors: &[Vec<Matcher>]) -> usize {
        let bitmap = 1 + self.files.meta.series as usize / SERIES_A_STEP;
        let dictionary = self.files.index_file.len() as usize / KEY_BYTES;
        let is_exact = |matcher: &Matcher| matcher.op() == MatchOp::Equal && !matcher.matches_empty();
        let steps = |matcher: &Matcher| if is_exact(matcher) { bitmap } else { bitmap + dictionary };
        bitmap + selectors.iter().flatten().map(steps).sum::<usize>()
    }

    fn index(&self) -> Result<Arc<PartIndex>, PartError> {
        self.files.is_index_used.store(true, Relaxed);
        let mut slot = self.files.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*slot {
            return Ok(index.clone());
        }
        let index = PartIndex::read(&self.files.index_file, self.id()).map_err(|error| self.lost(error))?;
        let index = Arc::new(index);
        *slot = Some(index.clone());
        Ok(index)
    }

    /// What a failure to read the index means.
    fn lost(&self, error: PartError) -> PartError {
        let error = match error {
            PartError::Io(error) if disk::is_lost(&error) => damaged(self.id(), format!("`index`: {error}")),
            other => other,
        };
        if matches!(error, PartError::Damaged { .. }) {
            self.mark_damaged();
            self.files.is_lost.store(true, Relaxed);
        }
        error
    }

    fn page_at(
        &self,
        index: &PartIndex,
        number: usize,
        payer: Option<&QueryContext>,
    ) -> Result<Arc<Page>, PartError> {
        let key = (self.id(), Item::Page(number));
        if let Some(Cached::Page(page)) = self.files.cache.get(key) {
            return Ok(page);
        }
        let entry = &index.pages[number];
        pay(payer, u64::from(entry.head_bytes))?;
        let page = Page::read(&self.files.data, number, entry);
        let page = page.map_err(|error| self.damage("page", number, error))?;
        let page = Arc::new(page);
        self.files.cache.put(key, Cached::Page(page.clone()), page.bytes());
        Ok(page)
    }

    /// The values of a page, without a trace in the cache when they are read in `passing`.
    fn values(&self, page: &Page, passing: bool) -> Result<Arc<Vec<u8>>, PartError> {
        let key = (self.id(), Item::Values(page.number()));
        if let Some(Cached::Values(values)) = self.files.cache.get(key) {
            return Ok(values);
        }
        let values = page.read_values(&self.files.data);
        let values = values.map_err(|error| self.damage("values of page", page.number(), error))?;
        let values = Arc::new(values);
        if !passing {
            self.files.cache.put(key, Cached::Values(values.clone()), values.len());
        }
        Ok(values)
    }

    fn column(
        &self,
        index: &PartIndex,
        number: u32,
        payer: Option<&QueryContext>,
    ) -> Result<Arc<[i64]>, PartError> {
        let key = (self.id(), Item::Column(number));
        if let Some(Cached::Column(column)) = self.files.cache.get(key) {
            return Ok(column);
        }
        let entry = index
            .columns
            .get(number as usize)
            .ok_or_else(|| self.damage("column", number as usize, Malformed))?;
        pay(payer, u64::from(entry.bytes))?;
        let column: Arc<[i64]> = entry
            .read(&self.files.data)
            .map_err(|error| self.damage("column", number as usize, error))?
            .into();
        self.files.cache.put(key, Cached::Column(column.clone()), column.len() * 8);
        Ok(column)
    }

    fn damage(&self, what: &str, number: usize, error: impl Into<page::ReadError>) -> PartError {
        match error.into() {
            page::ReadError::Io(error) => PartError::Io(error),
            page::ReadError::Bad(reason) => {
                self.mark_damaged();
                damaged(self.id(), format!("{what} {number}: {reason}"))
            }
        }
    }

    /// Series that all of `matchers` match.
    pub(crate) fn matching(
        &self,
        matchers: &[Matcher],
        context: &QueryContext,
    ) -> Result<RoaringBitmap, PartError> {
        let index = self.index()?;
        let series = self.files.meta.series as u32;
        matching::matching(&index, series, matchers, context).map_err(|unmatched| match unmatched {
            Unmatched::Malformed => self.bad_postings(),
            Unmatched::Stopped(reason) => PartError::Stopped(reason),
        })
    }

    /// Whether each of its series has a sample in the closed range.
    pub(crate) fn is_within(&self, range: TimeRange) -> bool {
        let own = self.time_range();
        self.deletions.is_empty() && range.contains(own.start) && range.contains(own.end)
    }

    /// Adds all names, or values of a name.
    pub(crate) fn list_all(&self, listed: Listed<'_>, found: &mut Found<'_>) -> Result<(), StoreError> {
        self.pay_for_index(found.toll.payer())?;
        let bad = |Malformed| StoreError::from(self.bad_postings());
        matching::for_each_key(&*self.index()?, listed, bad, |text, _| {
            found.add_live(text)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// All names, or values of a name, ascending; `None` when they are too many to be kept.
    pub(crate) fn texts(
        &self,
        listed: Listed<'_>,
        found: &mut Found<'_>,
    ) -> Result<Option<Arc<TextList>>, StoreError> {
        let label = match listed {
            Listed::Names => None,
            Listed::Values(name) => Some(name),
        };
        let hash = label.map_or(0, |name| xxhash_rust::xxh3::xxh3_64(name.as_bytes()));
        let kept = |part: u64| match self.files.cache.get((part, Item::Texts(hash))) {
            Some(Cached::Texts(texts)) if texts.are(listed) => Some(texts),
            _ => None,
        };
        if let Some(texts) = kept(self.id()) {
            return Ok(texts.all.clone());
        }
        self.pay_for_index(found.toll.payer())?;
        let bad = |Malformed| StoreError::from(self.bad_postings());
        let mut all = TextList::default();
        let is_whole = matching::for_each_key(&*self.index()?, listed, bad, |text, offset| {
            found.toll.walk(1 + text.len() / BYTES_COMPARED)?;
            all.push(text, offset);
            Ok::<_, StoreError>(if all.bytes() > TEXTS_BYTES_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        let all = is_whole.then(|| {
            let mut all = if label.is_none() { all.in_order() } else { all };
            all.shrink();
            if let Some(last) = kept(LAST_PART).as_ref().and_then(|last| last.all.as_ref()) {
                all.share(last);
            }
            Arc::new(all)
        });
        let bytes = label.map_or(0, str::len) + all.as_ref().map_or(0, |all| all.bytes());
        let texts = Cached::Texts(Arc::new(Texts { label: label.map(str::to_owned), all: all.clone() }));
        self.files.cache.put((LAST_PART, Item::Texts(hash)), texts.clone(), bytes);
        self.files.cache.put((self.id(), Item::Texts(hash)), texts, bytes);
        Ok(all)
    }

    /// As [`Part::list`] of all series, of a value whose series are at a place. Whether it was added.
    pub(crate) fn list_value(
        &self,
        (value, series_at): (&str, u64),
        found: &mut Found<'_>,
        is_live: &mut dyn FnMut(u32) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        found.toll.walk(self.steps_to_match(&[]))?;
        let postings = matching::postings_at(&*self.index()?, series_at);
        let series = postings.map_err(|Malformed| self.bad_postings())?;
        found.add(value, series.into_iter(), is_live)
    }

    /// Adds names, or values of a name, that a series has which passes `is_live`, of all series or
    /// only `among` some. Gives up, and answers false, when there are more values than those.
    pub(crate) fn list(
        &self,
        listed: Listed<'_>,
        among: Option<&RoaringBitmap>,
        found: &mut Found<'_>,
        is_live: &mut dyn FnMut(u32) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let index = self.index()?;
        let bad = |Malformed| StoreError::from(self.bad_postings());
        let mut left = among.map_or(u64::MAX, RoaringBitmap::len);
        let is_whole = matching::for_each_key(&index, listed, bad, |text, offset| {
            if left == 0 {
                return Ok(ControlFlow::Break(()));
            }
            left -= 1;
            found.toll.walk(1)?;
            if !found.has(text) {
                found.toll.walk(self.steps_to_match(&[]))?;
                let mut series = matching::postings_at(&index, offset).map_err(bad)?;
                if let Some(among) = among {
                    series &= among;
                }
                found.add(text, series.into_iter(), &mut *is_live)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(is_whole)
    }

    fn bad_postings(&self) -> PartError {
        damaged(self.id(), "postings do not decode".to_owned())
    }

    /// The series with exactly these labels.
    pub(crate) fn find(&self, labels: &Labels) -> Result<Option<u32>, PartError> {
        let index = self.index()?;
        let candidates = matching::with_pairs(&index, labels).map_err(|Malformed| self.bad_postings())?;
        for ordinal in candidates {
            let (page, place) = self.place(&index, ordinal)?;
            if page.labels(place).as_bytes() == labels.as_bytes() {
                return Ok(Some(ordinal));
            }
        }
        Ok(None)
    }

    fn place(&self, index: &PartIndex, ordinal: u32) -> Result<(Arc<Page>, usize), PartError> {
        let number = index.page_of(ordinal);
        let page = self.page_at(index, number, None)?;
        let place = (ordinal - index.pages[number].first_ordinal) as usize;
        if place >= page.len() {
            return Err(self.damage("page", number, Malformed));
        }
        Ok((page, place))
    }

    /// Newest sample of a series, deleted ones included.
    pub(crate) fn newest_ms(&self, ordinal: u32) -> Result<i64, PartError> {
        let index = self.index()?;
        let (page, place) = self.place(&index, ordinal)?;
        let ends = page.blocks(place).iter().filter_map(|block| index.columns.get(block.column as usize));
        Ok(ends.map(|column| column.range.end).max().unwrap_or(i64::MIN))
    }

    /// The value at exactly this time.
    pub(crate) fn value_at(&self, ordinal: u32, timestamp_ms: i64) -> Result<Option<Value>, PartError> {
        let mut found = Samples::default();
        self.listing()?.read(ordinal, TimeRange::new(timestamp_ms, timestamp_ms), &mut found)?;
        Ok((!found.is_empty()).then(|| found.value(0)))
    }

    /// Appends the samples of the series at a place of a page in the closed range, ascending, and
    /// returns the bytes that were decoded. Blocks that do not overlap the range are not touched.
    fn read_placed(
        &self,
        index: &PartIndex,
        (page, place): (&Page, usize),
        range: TimeRange,
        recent: &mut Recent,
        into: &mut Samples,
    ) -> Result<u64, PartError> {
        let ordinal = page.ordinal(place);
        let deleted = self.deletions.of(ordinal);
        let mut bytes = 0;
        for block in page.blocks(place) {
            let is_wanted =
                index.columns.get(block.column as usize).is_none_or(|entry| entry.range.overlaps(&range));
            if !is_wanted {
                continue;
            }
            let stretch = recent.column(self, index, block.column, range, None)?;
            if stretch.wanted.is_empty() {
                continue;
            }
            bytes += u64::from(block.length) + stretch.times.len() as u64;
            let read = match deleted.is_empty() && recent.keeps_floats {
                true => self.read_kept(page, block, &stretch, recent, into)?,
                false => {
                    let values = recent.values(self, page)?;
                    read_block(&stretch, block.values_of(&values), &deleted, &mut recent.scratch, into)
                }
            };
            read.map_err(|error| self.damage("block of series", ordinal as usize, error))?;
        }
        Ok(bytes)
    }

    /// As [`read_block`] of a block without deletions, whose values are kept when they are floats.
    fn read_kept(
        &self,
        page: &Page,
        block: &Block,
        stretch: &Stretch,
        recent: &mut Recent,
        into: &mut Samples,
    ) -> Result<Result<(), Malformed>, PartError> {
        let Stretch { times, wanted } = stretch;
        let key = (self.id(), Item::Floats(page.number(), block.offset));
        // Another panel may have asked for other samples of the block: both are to find theirs.
        let mut kept = wanted.clone();
        if let Some(Cached::Floats(floats)) = self.files.cache.get(key) {
            if let Some(found) = floats.get(wanted.clone()) {
                push_floats(&times[wanted.clone()], found, into);
                return Ok(Ok(()));
            }
            let known = floats.places();
            kept = kept.start.min(known.start)..kept.end.max(known.end);
        }
        let page_values = recent.values(self, page)?;
        let bytes = block.values_of(&page_values);
        if !values::is_coded_floats(bytes) {
            return Ok(read_block(stretch, bytes, &[], &mut recent.scratch, into));
        }
        let decoded = values::decoded_with(&kept, times.len());
        let mut samples = Samples::default();
        samples.values.reserve_exact(decoded.len());
        if let Err(malformed) =
            values::decode(bytes, times.len(), decoded.clone(), &mut recent.scratch, &mut samples)
        {
            return Ok(Err(malformed));
        }
        let floats = Floats { first: decoded.start, values: samples.values };
        let Some(found) = floats.get(wanted.clone()) else { return Ok(Err(Malformed)) };
        push_floats(&times[wanted.clone()], found, into);
        let kept_bytes = size_of_val(floats.values.as_slice());
        self.files.cache.put(key, Cached::Floats(Arc::new(floats)), kept_bytes);
        Ok(Ok(()))
    }

    /// Samples of a series in the closed range, about.
    pub(crate) fn samples_in(&self, range: TimeRange) -> f64 {
        let Meta { time_range: own, series, samples, .. } = self.meta();
        let length = |range: TimeRange| range.end.saturating_sub(range.start).max(0) as f64 + 1.0;
        let shared = TimeRange::new(own.start.max(range.start), own.end.min(range.end));
        *samples as f64 / (*series).max(1) as f64 * length(shared) / length(*own)
    }
}

/// Appends floats that are not known to have begun at some time.
fn push_floats(times: &[i64], floats: &[f64], into: &mut Samples) {
    into.timestamps_ms.extend_from_slice(times);
    into.values.extend_from_slice(floats);
    if !into.starts_ms.is_empty() {
        into.starts_ms.resize(into.values.len(), 0);
    }
}

/// Appends the wanted samples of one block that are not deleted.
fn read_block(
    Stretch { times, wanted }: &Stretch,
    values: &[u8],
    deleted: &[TimeRange],
    scratch: &mut Scratch,
    into: &mut Samples,
) -> Result<(), Malformed> {
    if deleted.is_empty() {
        into.timestamps_ms.extend_from_slice(&times[wanted.clone()]);
        return values::decode(values, times.len(), wanted.clone(), scratch, into);
    }
    let mut all = Samples { timestamps_ms: times[wanted.clone()].to_vec(), ..Samples::default() };
    values::decode(values, times.len(), wanted.clone(), scratch, &mut all)?;
    for (i, &at) in all.timestamps_ms.iter().enumerate() {
        if !deleted.iter().any(|range| range.contains(at)) {
            into.push(at, all.start_ms(i), &all.value(i));
        }
    }
    Ok(())
}

fn damaged(id: u64, what: String) -> PartError {
    PartError::Damaged { part: name_of(id), what }
}
