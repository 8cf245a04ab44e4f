//! The `index` file: where pages and timestamp columns are, and which series have which labels.

use super::{INDEX_MAGIC, PartError, damaged, page};
use crate::{
    bytes::{Malformed, Reader, put_varint, put_zigzag},
    codec::integers,
};
use disk::ReadFile;
use model::TimeRange;

/// Separates name and value in a key of the FST; no UTF-8 text has this byte.
pub(super) const SEPARATOR: u8 = 0xff;

/// Where a page is.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageEntry {
    pub(super) first_ordinal: u32,
    pub(super) series: u32,
    pub(super) offset: u64,
    pub(super) head_bytes: u32,
    pub(super) values_bytes: u32,
    pub(super) head_crc: u32,
    pub(super) values_crc: u32,
}

/// Where a timestamp column is, and what it spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnEntry {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) crc: u32,
    pub(super) count: u32,
    pub(super) range: TimeRange,
}

impl ColumnEntry {
    pub(super) fn read(&self, data: &ReadFile) -> Result<Vec<i64>, page::ReadError> {
        let bytes = page::read_checked(data, self.offset, self.bytes, self.crc)?;
        let mut column = Vec::with_capacity(self.count as usize);
        integers::decode(&mut Reader::new(&bytes), self.count as usize, &mut column)?;
        let is_ascending = column.windows(2).all(|pair| pair[0] < pair[1]);
        if is_ascending { Ok(column) } else { Err(page::ReadError::Bad("timestamps do not ascend")) }
    }
}

/// The index in memory.
pub(super) struct PartIndex {
    pub(super) pages: Vec<PageEntry>,
    pub(super) columns: Vec<ColumnEntry>,
    /// `name 0xff value` → offset into `postings`.
    pub(super) keys: fst::Map<Vec<u8>>,
    pub(super) postings: Vec<u8>,
}

impl PartIndex {
    /// Reads the index of part `id`.
    pub(super) fn read(file: &ReadFile, id: u64) -> Result<PartIndex, PartError> {
        let bytes = file.read_all()?;
        let bad = |what: &str| damaged(id, format!("`index` {what}"));
        let mut reader = Reader::new(&bytes);
        if reader.take(INDEX_MAGIC.len()) != Ok(INDEX_MAGIC) {
            return Err(bad("does not begin as one"));
        }
        let mut sections = Vec::with_capacity(4);
        for _ in 0..4 {
            let section =
                take_section(&mut reader).ok_or_else(|| bad("has a section that fails its checksum"))?;
            sections.push(section);
        }
        let malformed = |Malformed| bad("does not decode");
        Ok(PartIndex {
            pages: take_pages(sections[0]).map_err(malformed)?,
            columns: take_columns(sections[1]).map_err(malformed)?,
            keys: fst::Map::new(sections[2].to_vec()).map_err(|_| bad("has no label dictionary"))?,
            postings: sections[3].to_vec(),
        })
    }

    /// The whole file.
    pub(super) fn encode(
        pages: &[PageEntry],
        columns: &[ColumnEntry],
        keys: &[u8],
        postings: &[u8],
    ) -> Vec<u8> {
        let mut out = INDEX_MAGIC.to_vec();
        put_section(&mut out, &encode_pages(pages));
        put_section(&mut out, &encode_columns(columns));
        put_section(&mut out, keys);
        put_section(&mut out, postings);
        out
    }

    /// The page of a series.
    pub(super) fn page_of(&self, ordinal: u32) -> usize {
        self.pages.partition_point(|page| page.first_ordinal <= ordinal).saturating_sub(1)
    }
}

fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    out.extend_from_slice(&(section.len() as u64).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(section).to_le_bytes());
    out.extend_from_slice(section);
}

fn take_section<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(reader.u64().ok()?).ok()?;
    let crc = reader.u32().ok()?;
    let section = reader.take(length).ok()?;
    (crc32c::crc32c(section) == crc).then_some(section)
}

fn encode_pages(pages: &[PageEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, pages.len() as u64);
    let mut end = 0;
    for page in pages {
        put_varint(&mut out, u64::from(page.series));
        put_varint(&mut out, page.offset - end);
        put_varint(&mut out, u64::from(page.head_bytes));
        put_varint(&mut out, u64::from(page.values_bytes));
        out.extend_from_slice(&page.head_crc.to_le_bytes());
        out.extend_from_slice(&page.values_crc.to_le_bytes());
        end = page.offset + u64::from(page.head_bytes) + u64::from(page.values_bytes);
    }
    out
}

fn take_pages(bytes: &[u8]) -> Result<Vec<PageEntry>, Malformed> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(bytes.len())?;
    let mut pages = Vec::with_capacity(count);
    let (mut first_ordinal, mut end) = (0u32, 0u64);
    for _ in 0..count {
        let series = take_u32(&mut reader)?;
        let offset = end.checked_add(reader.varint()?).ok_or(Malformed)?;
        let (head_bytes, values_bytes) = (take_u32(&mut reader)?, take_u32(&mut reader)?);
        let (head_crc, values_crc) = (reader.u32()?, reader.u32()?);
        pages.push(PageEntry {
            first_ordinal,
            series,
            offset,
            head_bytes,
            values_bytes,
            head_crc,
            values_crc,
        });
        first_ordinal = first_ordinal.checked_add(series).ok_or(Malformed)?;
        let bytes = u64::from(head_bytes) + u64::from(values_bytes);
        end = offset.checked_add(bytes).ok_or(Malformed)?;
    }
    Ok(pages)
}

fn encode_columns(columns: &[ColumnEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, columns.len() as u64);
    let (mut end, mut previous_start) = (0, 0i64);
    for column in columns {
        put_varint(&mut out, column.offset - end);
        put_varint(&mut out, u64::from(column.bytes));
        out.extend_from_slice(&column.crc.to_le_bytes());
        put_varint(&mut out, u64::from(column.count));
        put_zigzag(&mut out, column.range.start.wrapping_sub(previous_start));
        put_varint(&mut out, column.range.end.wrapping_sub(column.range.start) as u64);
        end = column.offset + u64::from(column.bytes);
        previous_start = column.range.start;
    }
    out
}

fn take_columns(bytes: &[u8]) -> Result<Vec<ColumnEntry>, Malformed> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(bytes.len())?;
    let mut columns = Vec::with_capacity(count);
    let (mut end, mut start) = (0u64, 0i64);
    for _ in 0..count {
        let offset = end.checked_add(reader.varint()?).ok_or(Malformed)?;
        let bytes = take_u32(&mut reader)?;
        let crc = reader.u32()?;
        let count = take_u32(&mut reader)?;
        start = start.wrapping_add(reader.zigzag()?);
        let range = TimeRange::new(start, start.wrapping_add(reader.varint()? as i64));
        columns.push(ColumnEntry { offset, bytes, crc, count, range });
        end = offset.checked_add(u64::from(bytes)).ok_or(Malformed)?;
    }
    Ok(columns)
}

fn take_u32(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    u32::try_from(reader.varint()?).map_err(|_| Malformed)
}
