//! A page: neighbouring series with their blocks. The head (labels and block table) and the values
//! lie side by side in `data`, each with its own checksum in the index, so that questions about
//! labels never read values.

use super::index::PageEntry;
use crate::{
    bytes::{Malformed, Reader, put_field, put_varint, put_zigzag},
    codec::Effort,
};
use disk::ReadFile;
use model::LabelsRef;
use std::{cell::RefCell, io, ops::Range};

/// A page is closed when its values reach this size or it has this many series.
pub(super) const VALUES_BYTES: usize = 24 << 10;
pub(super) const SERIES_MAX: usize = 128;
/// Longest head when decompressed: label sets have at most 256 labels of twice 64 KiB, and a page
/// is closed after the series that makes its head pass [`HEAD_BYTES_CLOSE`].
const HEAD_BYTES_MAX: usize = 64 << 20;
pub(super) const HEAD_BYTES_CLOSE: usize = 1 << 20;
/// zstd levels of heads.
const LEVEL_QUICK: i32 = 1;
const LEVEL_THOROUGH: i32 = 6;

/// Why bytes of `data` could not be used.
pub(super) enum ReadError {
    Io(io::Error),
    Bad(&'static str),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Bad("ends early"),
            _ if disk::is_lost(&error) => ReadError::Bad("cannot be read from the disk"),
            _ => ReadError::Io(error),
        }
    }
}

impl From<Malformed> for ReadError {
    fn from(_: Malformed) -> Self {
        ReadError::Bad("does not decode")
    }
}

/// Reads bytes and checks them.
pub(super) fn read_checked(
    data: &ReadFile,
    offset: u64,
    length: u32,
    crc: u32,
) -> Result<Vec<u8>, ReadError> {
    let end = offset.checked_add(u64::from(length));
    if end.is_none_or(|end| end > data.len()) {
        return Err(ReadError::Bad("ends early"));
    }
    let mut bytes = vec![0; length as usize];
    data.read_exact_at(&mut bytes, offset)?;
    if crc32c::crc32c(&bytes) == crc { Ok(bytes) } else { Err(ReadError::Bad("checksum does not match")) }
}

/// Where a block is: its timestamps and its values.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) column: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// A decoded page.
pub(crate) struct Page {
    head: Vec<u8>,
    series: Vec<(Range<u32>, Range<u32>)>,
    blocks: Vec<Block>,
    entry: PageEntry,
    number: usize,
}

impl Page {
    /// Page `number` of a part.
    pub(super) fn read(data: &ReadFile, number: usize, entry: &PageEntry) -> Result<Page, ReadError> {
        let compressed = read_checked(data, entry.offset, entry.head_bytes, entry.head_crc)?;
        let mut reader = Reader::new(&compressed);
        let length = reader.count(HEAD_BYTES_MAX)?;
        let head = decompress(reader.rest(), length)?;
        let mut page = Page {
            head: Vec::new(),
            series: Vec::with_capacity(entry.series as usize),
            blocks: Vec::new(),
            entry: *entry,
            number,
        };
        page.parse(&head)?;
        page.head = head;
        Ok(page)
    }

    fn parse(&mut self, head: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(head);
        let (mut column, mut offset) = (0i64, 0u32);
        for _ in 0..self.entry.series {
            let labels = reader.field()?;
            let labels_end = (head.len() - reader.rest().len()) as u32;
            let first_block = self.blocks.len() as u32;
            for _ in 0..reader.count(head.len())? {
                column = column.wrapping_add(reader.zigzag()?);
                let length = u32::try_from(reader.varint()?).map_err(|_| Malformed)?;
                let block = Block { column: u32::try_from(column).map_err(|_| Malformed)?, offset, length };
                offset = offset.checked_add(length).ok_or(Malformed)?;
                self.blocks.push(block);
            }
            let labels_start = labels_end - labels.len() as u32;
            self.series.push((labels_start..labels_end, first_block..self.blocks.len() as u32));
        }
        if offset != self.entry.values_bytes { Err(Malformed) } else { Ok(()) }
    }

    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Memory it may take.
    pub(super) fn bytes(&self) -> usize {
        self.head.len() + self.series.len() * 16 + self.blocks.len() * 12
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The number of the series at a place among all of the part.
    pub(super) fn ordinal(&self, place: usize) -> u32 {
        self.entry.first_ordinal + place as u32
    }

    pub(crate) fn labels(&self, place: usize) -> LabelsRef<'_> {
        let range = &self.series[place].0;
        LabelsRef::from_trusted_bytes(&self.head[range.start as usize..range.end as usize])
    }

    pub(super) fn blocks(&self, place: usize) -> &[Block] {
        let range = &self.series[place].1;
        &self.blocks[range.start as usize..range.end as usize]
    }

    /// The values of all its blocks.
    pub(super) fn read_values(&self, data: &ReadFile) -> Result<Vec<u8>, ReadError> {
        let offset = self.entry.offset + u64::from(self.entry.head_bytes);
        read_checked(data, offset, self.entry.values_bytes, self.entry.values_crc)
    }
}

impl Block {
    /// Its bytes among the values of its page, whose length `parse` has checked.
    pub(super) fn values_of<'v>(&self, page: &'v [u8]) -> &'v [u8] {
        &page[self.offset as usize..(self.offset + self.length) as usize]
    }
}

thread_local! {
    /// Making one costs more than a page.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(bytes: &[u8], length: usize) -> Result<Vec<u8>, ReadError> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(bytes, length).map_err(|_| Malformed.into())
    })
}

/// Collects a page.
pub(super) struct PageBuilder {
    compressor: zstd::bulk::Compressor<'static>,
    head: Vec<u8>,
    values: Vec<u8>,
    pub(super) series: u32,
    previous_column: i64,
}

impl PageBuilder {
    pub(super) fn new(effort: Effort) -> io::Result<Self> {
        let level = match effort {
            Effort::Quick => LEVEL_QUICK,
            Effort::Thorough => LEVEL_THOROUGH,
        };
        Ok(PageBuilder {
            compressor: zstd::bulk::Compressor::new(level)?,
            head: Vec::new(),
            values: Vec::new(),
            series: 0,
            previous_column: 0,
        })
    }

    pub(super) fn begin_series(&mut self, labels: LabelsRef<'_>, block_count: usize) {
        put_field(&mut self.head, labels.as_bytes());
        put_varint(&mut self.head, block_count as u64);
        self.series += 1;
    }

    /// Adds a block whose values `encode` appends.
    pub(super) fn add_block(&mut self, column: u32, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.values.len();
        encode(&mut self.values);
        put_zigzag(&mut self.head, i64::from(column) - self.previous_column);
        self.previous_column = i64::from(column);
        put_varint(&mut self.head, (self.values.len() - before) as u64);
    }

    pub(super) fn is_full(&self) -> bool {
        self.values.len() >= VALUES_BYTES
            || self.series as usize >= SERIES_MAX
            || self.head.len() >= HEAD_BYTES_CLOSE
    }

    /// Appends the page to `out`, which begins at `offset` of the file, and starts anew.
    pub(super) fn finish(
        &mut self,
        out: &mut Vec<u8>,
        offset: u64,
        first_ordinal: u32,
    ) -> io::Result<PageEntry> {
        let start = out.len();
        put_varint(out, self.head.len() as u64);
        out.extend_from_slice(&self.compressor.compress(&self.head)?);
        let head_end = out.len();
        out.extend_from_slice(&self.values);
        let entry = PageEntry {
            first_ordinal,
            series: self.series,
            offset: offset + start as u64,
            head_bytes: (head_end - start) as u32,
            values_bytes: self.values.len() as u32,
            head_crc: crc32c::crc32c(&out[start..head_end]),
            values_crc: crc32c::crc32c(&self.values),
        };
        self.head.clear();
        self.values.clear();
        (self.series, self.previous_column) = (0, 0);
        Ok(entry)
    }
}
