//! Reads one chunk, section by section and only what is asked for.

use super::{
    Part,
    cache::CacheKey,
    columns::{Column, REST_NAME, decode_lengths, decode_times},
    lines::{EncodedLines, FrameHead, ReadyLines},
    section::{SectionBytes, SectionCache},
    table::{ChunkMeta, FrameMeta, Section},
};
use crate::bytes::{Damaged, decompress, put_bytes, recycle, with_scratch};
use hashbrown::HashMap;
use model::LabelsRef;
use std::io;

/// Sections of frames that are kept.
const KIND_HEAD: u8 = 0;
const KIND_CODES: u8 = 1;

/// Why a chunk could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// See the module.
pub(crate) struct ChunkReader<'a> {
    part: &'a Part,
    chunk: usize,
    pub(crate) meta: &'a ChunkMeta,
    /// Where heads and codes of frames are kept.
    kept: Option<&'a SectionCache>,
}

/// The lines of one frame.
pub(crate) struct Frame {
    pub(crate) text: Vec<u8>,
    /// Where each line ends.
    pub(crate) ends: Vec<u32>,
    /// The chunk's row that is its first.
    pub(crate) first_row: usize,
}

impl Frame {
    pub(crate) fn line(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }

    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }
}

/// The metadata of a chunk's rows, decoded.
pub(crate) struct MetadataColumns {
    /// Ascending by name.
    columns: Vec<(String, Column)>,
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(part: &'a Part, chunk: usize) -> Self {
        ChunkReader { part, chunk, meta: &part.table.chunks[chunk], kept: None }
    }

    /// As [`ChunkReader::new`], with a place for what others may ask for too.
    pub(crate) fn keeping(part: &'a Part, chunk: usize, kept: &'a SectionCache) -> Self {
        ChunkReader { kept: Some(kept), ..ChunkReader::new(part, chunk) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.meta.rows() as usize
    }

    fn section(&self, offset: u64, section: &Section) -> Result<Vec<u8>, ReadError> {
        with_scratch(section.disk_bytes() as usize, |stored| {
            self.read_at(offset, stored)?;
            Ok(decompress(checked(stored, offset)?, section.raw_bytes as usize)?)
        })
    }

    /// A section of frame `frame` from where it is kept, or as [`ChunkReader::section`].
    fn kept_section(
        &self,
        (kind, frame): (u8, usize),
        offset: u64,
        section: &Section,
    ) -> Result<SectionBytes, ReadError> {
        let read = || self.section(offset, section);
        let Some(kept) = self.kept else { return Ok(SectionBytes::Own(read()?)) };
        let number = (self.chunk as u64) << 32 | frame as u64;
        kept.get_or_read(CacheKey { part: self.part.id.id, kind, number }, read)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.part.data.read_exact_at(into, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damaged::new(format!("section at {offset} is cut off")).into(),
            _ if disk::is_lost(&error) => Damaged::new(format!("section at {offset}: {error}")).into(),
            _ => ReadError::Io(error),
        })
    }

    /// The chunk as it is stored, after a look at every checksum.
    pub(crate) fn stored(&self) -> Result<Vec<u8>, ReadError> {
        let meta = self.meta;
        let frames = meta.frames.iter().flat_map(|frame| [&frame.head, &frame.codes, &frame.dense]);
        let columns = meta.columns.iter().map(|column| &column.section);
        let sections: Vec<&Section> =
            [&meta.times, &meta.lengths].into_iter().chain(columns).chain(frames).collect();
        let bytes = sections.iter().map(|section| section.disk_bytes()).sum::<u64>();
        let mut stored = vec![0; bytes as usize];
        self.read_at(meta.offset, &mut stored)?;
        let mut rest = stored.as_slice();
        for section in sections {
            let (one, tail) = rest.split_at(section.disk_bytes() as usize);
            checked(one, meta.offset)?;
            rest = tail;
        }
        Ok(stored)
    }

    /// Every row's time.
    pub(crate) fn times(&self) -> Result<Vec<i64>, ReadError> {
        let bytes = self.section(self.meta.offset, &self.meta.times)?;
        let times = decode_times(&bytes, &self.meta.runs)?;
        recycle(bytes);
        Ok(times)
    }

    fn lengths_at(&self) -> u64 {
        self.meta.offset + self.meta.times.disk_bytes()
    }

    fn columns_at(&self) -> u64 {
        self.lengths_at() + self.meta.lengths.disk_bytes()
    }

    fn frames_at(&self) -> u64 {
        self.columns_at() + self.meta.columns.iter().map(|column| column.section.disk_bytes()).sum::<u64>()
    }

    /// Every line's bytes.
    pub(crate) fn lengths(&self) -> Result<Vec<u32>, ReadError> {
        let bytes = self.section(self.lengths_at(), &self.meta.lengths)?;
        let lengths = decode_lengths(&bytes, self.rows())?;
        recycle(bytes);
        Ok(lengths)
    }

    /// One column of metadata; `None` when no row has it.
    pub(crate) fn column(&self, name: &str) -> Result<Option<Column>, ReadError> {
        let mut at = self.columns_at();
        for column in &self.meta.columns {
            if self.part.table.names[column.name as usize] == name {
                let bytes = self.section(at, &column.section)?;
                return Ok(Some(Column::decode(&bytes, self.rows())?));
            }
            at += column.section.disk_bytes();
        }
        Ok(None)
    }

    /// Whether some rows' metadata lie in the shared column.
    pub(crate) fn has_rest(&self) -> bool {
        self.meta.columns.iter().any(|column| self.part.table.names[column.name as usize] == REST_NAME)
    }

    /// All columns of metadata.
    pub(crate) fn metadata(&self) -> Result<MetadataColumns, ReadError> {
        self.metadata_named(None)
    }

    /// The columns of metadata that have one of these names, and the shared one; all for `None`.
    pub(crate) fn metadata_named(&self, names: Option<&[String]>) -> Result<MetadataColumns, ReadError> {
        let is_wanted = |name: &String| name == REST_NAME || names.is_none_or(|names| names.contains(name));
        let mut at = self.columns_at();
        let mut columns = Vec::new();
        for column in &self.meta.columns {
            let name = &self.part.table.names[column.name as usize];
            // Nobody asks for anything when no name is given, so the shared column is not read.
            if is_wanted(name) && names.is_none_or(|names| !names.is_empty()) {
                let bytes = self.section(at, &column.section)?;
                columns.push((name.clone(), Column::decode(&bytes, self.rows())?));
            }
            at += column.section.disk_bytes();
        }
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(MetadataColumns { columns })
    }

    /// The first rows of all frames, and the number of rows as the last.
    pub(crate) fn frame_starts(&self) -> Vec<usize> {
        let mut starts = vec![0];
        for frame in &self.meta.frames {
            starts.push(starts[starts.len() - 1] + frame.rows as usize);
        }
        starts
    }

    /// Frame `index` as far as a text can be looked for without knowing which row is which.
    pub(crate) fn head(&self, index: usize) -> Result<FrameHead, ReadError> {
        let (at, section) = (self.frame_at(index), &self.meta.frames[index].head);
        Ok(FrameHead::open(self.kept_section((KIND_HEAD, index), at, section)?)?)
    }

    /// Adds the codes of frame `index` to its head: which row is which.
    pub(crate) fn coded(&self, index: usize, head: FrameHead) -> Result<EncodedLines, ReadError> {
        let meta = &self.meta.frames[index];
        let at = self.frame_at(index) + meta.head.disk_bytes();
        let codes = self.kept_section((KIND_CODES, index), at, &meta.codes)?;
        Ok(head.coded(codes, meta.rows as usize, meta.dense.raw_bytes as usize)?)
    }

    /// Adds the rest of frame `index`, so that its lines can be read.
    pub(crate) fn ready(&self, index: usize, lines: EncodedLines) -> Result<ReadyLines, ReadError> {
        let meta = &self.meta.frames[index];
        let at = self.frame_at(index) + meta.head.disk_bytes() + meta.codes.disk_bytes();
        Ok(lines.ready(self.section(at, &meta.dense)?)?)
    }

    fn frame_at(&self, index: usize) -> u64 {
        let before = &self.meta.frames[..index];
        self.frames_at() + before.iter().map(FrameMeta::disk_bytes).sum::<u64>()
    }

    /// All lines of frame `index`, whose first row is `first_row`.
    pub(crate) fn frame(&self, index: usize, first_row: usize) -> Result<Frame, ReadError> {
        let lines = self.ready(index, self.coded(index, self.head(index)?)?)?;
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(lines.rows()));
        for row in 0..lines.rows() {
            lines.put(row, &mut text);
            ends.push(text.len() as u32);
        }
        if text.len() != self.meta.frames[index].bytes as usize {
            return Err(Damaged::new("frame decodes to another length").into());
        }
        Ok(Frame { text, ends, first_row })
    }
}

/// A section without its checksum, which fits.
fn checked(stored: &[u8], offset: u64) -> Result<&[u8], Damaged> {
    let Some((bytes, crc)) = stored.split_last_chunk::<4>() else {
        return Err(Damaged::new("section is too short"));
    };
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*crc) {
        return Err(Damaged::new(format!("section at {offset} fails its checksum")));
    }
    Ok(bytes)
}

impl MetadataColumns {
    /// Writes a row's metadata in canonical form.
    pub(crate) fn put(&self, row: usize, out: &mut Vec<u8>) {
        out.clear();
        let has_rest = self
            .columns
            .first()
            .is_some_and(|(name, column)| name == REST_NAME && !column.get(row).is_empty());
        if has_rest {
            return self.put_with_rest(row, out);
        }
        for (name, column) in &self.columns {
            let value = column.get(row);
            if !value.is_empty() {
                put_bytes(out, name.as_bytes());
                put_bytes(out, value);
            }
        }
    }

    /// Whether all rows have the same metadata.
    pub(crate) fn is_same_for_all(&self) -> bool {
        self.columns.iter().all(|(_, column)| matches!(column, Column::Constant(_)))
    }

    /// Those of the chunk's rows `first_row + found[..]` that have the same metadata, together.
    pub(crate) fn grouped(&self, first_row: usize, found: &[u32]) -> Vec<Vec<u32>> {
        if let [(_, Column::Codes { values, codes })] = self.columns.as_slice()
            && values.len() <= 256
        {
            let mut groups = vec![Vec::new(); values.len()];
            found.iter().for_each(|&row| groups[usize::from(codes[first_row + row as usize])].push(row));
            groups.retain(|group| !group.is_empty());
            return groups;
        }
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut set = Vec::new();
        for &row in found {
            self.put(first_row + row as usize, &mut set);
            let group = match known.get(&set) {
                Some(&group) => group,
                None => {
                    groups.push(Vec::new());
                    known.insert(set.clone(), groups.len() - 1);
                    groups.len() - 1
                }
            };
            groups[group].push(row);
        }
        groups
    }

    /// One name's values for all rows, wherever they lie.
    pub(crate) fn gather(&self, name: &str, rows: usize) -> Column {
        let (mut ends, mut text, mut set) = (Vec::with_capacity(rows), Vec::new(), Vec::new());
        for row in 0..rows {
            self.put(row, &mut set);
            let value = LabelsRef::from_trusted_bytes(&set).get(name).unwrap_or("");
            text.extend_from_slice(value.as_bytes());
            ends.push(text.len());
        }
        Column::Strings { ends, text }
    }

    fn put_with_rest(&self, row: usize, out: &mut Vec<u8>) {
        let own = self.columns.iter().skip(1).map(|(name, column)| (name.as_str(), column.get(row)));
        let mut pairs: Vec<(&str, &[u8])> = own.filter(|(_, value)| !value.is_empty()).collect();
        let rest = LabelsRef::from_trusted_bytes(self.columns[0].1.get(row));
        pairs.extend(rest.iter().map(|(name, value)| (name, value.as_bytes())));
        pairs.sort_unstable();
        for (name, value) in pairs {
            put_bytes(out, name.as_bytes());
            put_bytes(out, value);
        }
    }
}
