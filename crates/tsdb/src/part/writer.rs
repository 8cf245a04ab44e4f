//! Writes a part, series by series, in order of [`OrderKey`].
//!
//! Memory: one page, one write buffer, the timestamps of the columns' directory, and the postings.

use super::{
    DATA, DATA_MAGIC, INDEX, META, Meta, Origin, PartError,
    index::{ColumnEntry, PageEntry, PartIndex, SEPARATOR},
    matching::put_postings,
    merge::SeriesSink,
    name_of,
    page::PageBuilder,
};
use crate::{
    codec::{Effort, integers, values},
    postings::Postings,
};
use disk::{Dir, TMP_SUFFIX, WriteFile};
use hashbrown::HashMap;
use model::{LabelsRef, METRIC_NAME, Samples, TimeRange};
use std::{io, ops::Range};
use xxhash_rust::xxh3::xxh3_128;

/// Most samples of a block: long enough for the codecs, short enough to decode for one value.
const BLOCK_SAMPLES: usize = 2048;
/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// Order of the series in a part: by metric name, then by canonical label bytes, so that the
/// series of one metric lie side by side. Any total order would do; this one needs no decoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrderKey<'a> {
    metric: &'a str,
    labels: &'a [u8],
}

impl<'a> OrderKey<'a> {
    pub(crate) fn new(labels: LabelsRef<'a>) -> Self {
        OrderKey { metric: labels.get(METRIC_NAME).unwrap_or(""), labels: labels.as_bytes() }
    }
}

/// See the module.
pub(crate) struct PartWriter {
    parts: Dir,
    dir: Dir,
    id: u64,
    effort: Effort,
    data: WriteFile,
    /// Bytes of `data` not written yet; the first is at `offset`.
    buffer: Vec<u8>,
    offset: u64,
    pages: Vec<PageEntry>,
    page: PageBuilder,
    columns: Vec<ColumnEntry>,
    /// Columns by a hash of their timestamps that does not collide by chance.
    column_ids: HashMap<u128, u32>,
    postings: HashMap<Box<[u8]>, Postings>,
    series: u32,
    samples: u64,
    time_range: Option<TimeRange>,
    scratch: Vec<u8>,
    is_published: bool,
}

impl PartWriter {
    /// Starts part `id` in the folder of parts.
    pub(crate) fn new(parts: &Dir, id: u64, effort: Effort) -> io::Result<Self> {
        let dir = parts.sub(&tmp_name(id))?;
        let data = dir.create(DATA)?;
        Ok(PartWriter {
            parts: parts.clone(),
            dir,
            id,
            effort,
            data,
            buffer: DATA_MAGIC.to_vec(),
            offset: 0,
            pages: Vec::new(),
            page: PageBuilder::new(effort)?,
            columns: Vec::new(),
            column_ids: HashMap::new(),
            postings: HashMap::new(),
            series: 0,
            samples: 0,
            time_range: None,
            scratch: Vec::new(),
            is_published: false,
        })
    }

    /// Adds a series after all series before it in order of [`OrderKey`]. Without samples it is left out.
    pub(crate) fn add(&mut self, labels: LabelsRef<'_>, samples: &Samples) -> io::Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let blocks = blocks_of(samples);
        self.page.begin_series(labels, blocks.len());
        for block in blocks {
            let column = self.column(&samples.timestamps_ms[block.clone()]);
            let effort = self.effort;
            self.page.add_block(column, |out| values::encode(out, samples, block, effort));
        }
        self.index(labels);
        self.series += 1;
        self.samples += samples.len() as u64;
        let range = TimeRange::new(samples.timestamps_ms[0], samples.timestamps_ms[samples.len() - 1]);
        self.time_range = Some(
            self.time_range
                .map_or(range, |all| TimeRange::new(all.start.min(range.start), all.end.max(range.end))),
        );
        if self.page.is_full() {
            self.end_page()?;
        }
        Ok(())
    }

    /// Number of the column with these timestamps, written when it is new.
    fn column(&mut self, timestamps: &[i64]) -> u32 {
        self.scratch.clear();
        for timestamp in timestamps {
            self.scratch.extend_from_slice(&timestamp.to_le_bytes());
        }
        let hash = xxh3_128(&self.scratch);
        if let Some(&column) = self.column_ids.get(&hash) {
            return column;
        }
        let start = self.buffer.len();
        integers::encode(&mut self.buffer, timestamps, self.effort);
        let number = self.columns.len() as u32;
        self.columns.push(ColumnEntry {
            offset: self.offset + start as u64,
            bytes: (self.buffer.len() - start) as u32,
            crc: crc32c::crc32c(&self.buffer[start..]),
            count: timestamps.len() as u32,
            range: TimeRange::new(timestamps[0], timestamps[timestamps.len() - 1]),
        });
        self.column_ids.insert(hash, number);
        number
    }

    fn index(&mut self, labels: LabelsRef<'_>) {
        for (name, value) in labels.iter() {
            self.scratch.clear();
            self.scratch.extend_from_slice(name.as_bytes());
            self.scratch.push(SEPARATOR);
            self.scratch.extend_from_slice(value.as_bytes());
            match self.postings.get_mut(self.scratch.as_slice()) {
                Some(postings) => postings.push(self.series),
                None => {
                    self.postings.insert(self.scratch.as_slice().into(), Postings::One(self.series));
                }
            }
        }
    }

    fn end_page(&mut self) -> io::Result<()> {
        let first_ordinal = self.series - self.page.series;
        let entry = self.page.finish(&mut self.buffer, self.offset, first_ordinal)?;
        self.pages.push(entry);
        if self.buffer.len() >= BUFFER_BYTES { self.write_buffer() } else { Ok(()) }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.data.write_all(&self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The folder of parts.
    pub(crate) fn parts(&self) -> &Dir {
        &self.parts
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.series == 0
    }

    /// Completes and publishes the part; on return it is durable.
    pub(crate) fn publish(mut self, origin: Origin) -> Result<u64, PartError> {
        if self.page.series > 0 {
            self.end_page()?;
        }
        self.write_buffer()?;
        self.data.sync()?;
        let (keys, postings) = self.label_index()?;
        let index = PartIndex::encode(&self.pages, &self.columns, &keys, &postings);
        write_synced(&self.dir, INDEX, &index)?;
        let meta = Meta {
            id: self.id,
            origin,
            time_range: self.time_range.unwrap_or(TimeRange::new(0, 0)),
            series: u64::from(self.series),
            samples: self.samples,
            data_bytes: self.offset,
            index_bytes: index.len() as u64,
        };
        write_synced(&self.dir, META, &meta.encode())?;
        self.parts.publish(&tmp_name(self.id), &name_of(self.id))?;
        self.is_published = true;
        Ok(self.id)
    }

    /// The FST of label values and the postings that it points into.
    fn label_index(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut sorted: Vec<_> = std::mem::take(&mut self.postings).into_iter().collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut postings = Vec::new();
        let mut keys = fst::MapBuilder::memory();
        for (key, ordinals) in sorted {
            keys.insert(&key, postings.len() as u64).map_err(io::Error::other)?;
            put_postings(&mut postings, ordinals)?;
        }
        Ok((keys.into_inner().map_err(io::Error::other)?, postings))
    }
}

impl SeriesSink for PartWriter {
    fn add(&mut self, labels: LabelsRef<'_>, samples: &Samples) -> io::Result<()> {
        PartWriter::add(self, labels, samples)
    }
}

impl Drop for PartWriter {
    /// Removes a part that was not published, so that failed attempts do not fill the disk. Also
    /// under its final name: a publication whose last fsync failed must not come back at the next
    /// start beside the attempt that took its place.
    fn drop(&mut self) {
        if self.is_published {
            return;
        }
        let (name, tmp) = (name_of(self.id), tmp_name(self.id));
        // Renamed first, so that a crash never leaves half a part under its own name.
        for removed in [self.parts.rename(&name, &tmp), self.parts.remove_all(&tmp)] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(name, %error, "failed to remove an unfinished part");
                }
                _ => {}
            }
        }
    }
}

fn tmp_name(id: u64) -> String {
    format!("{}{TMP_SUFFIX}", name_of(id))
}

fn write_synced(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = dir.create(name)?;
    file.write_all(bytes)?;
    file.sync()
}

/// Cuts a series into blocks of one kind of value and bounded length.
fn blocks_of(samples: &Samples) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    let mut histograms = samples.histograms.iter().map(|(i, _)| *i as usize).peekable();
    let mut kind = None;
    for i in 0..samples.len() {
        let is_histogram = histograms.next_if_eq(&i).is_some();
        if i > start && (kind != Some(is_histogram) || i - start == BLOCK_SAMPLES) {
            blocks.push(start..i);
            start = i;
        }
        kind = Some(is_histogram);
    }
    blocks.push(start..samples.len());
    blocks
}
