//! One segment file: its header and the seal around each record.

use super::search::Checksums;
use crate::{Dir, WriteFile};
use std::io;

pub(super) const MAGIC: &[u8; 4] = b"BWLG";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: u64 = 32;
/// Length and checksum before each payload.
pub(super) const RECORD_HEADER_BYTES: usize = 8;

pub(super) fn name(segment: u64) -> String {
    format!("{segment:020}.wal")
}

pub(super) fn damaged_name(segment: u64) -> String {
    format!("{segment:020}.damaged")
}

/// The segment a file name stands for.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    if digits.len() != 20 { None } else { digits.parse().ok() }
}

/// Creates an empty segment durably, replacing one that holds nothing.
pub(super) fn create(dir: &Dir, segment: u64) -> io::Result<(WriteFile, RecordSeal)> {
    let salt = dir.random_u64();
    let mut header = Vec::with_capacity(HEADER_BYTES as usize);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&segment.to_le_bytes());
    header.extend_from_slice(&salt.to_le_bytes());
    let checksum = crc32c::crc32c(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    let mut file = dir.create(&name(segment))?;
    file.write_all(&header)?;
    file.sync()?;
    dir.sync_dir()?;
    Ok((file, RecordSeal::new(salt)))
}

/// What a segment's header says.
pub(super) enum Header {
    Good(RecordSeal),
    Newer(u32),
    Bad,
}

pub(super) fn read_header(bytes: &[u8], segment: u64) -> Header {
    let Some(header) = bytes.get(..HEADER_BYTES as usize) else { return Header::Bad };
    let checksum = crc32c::crc32c(&header[..24]);
    if &header[..4] != MAGIC || u32_at(header, 24) != checksum || u64_at(header, 8) != segment {
        return Header::Bad;
    }
    match u32_at(header, 4) {
        VERSION => Header::Good(RecordSeal::new(u64_at(header, 16))),
        version => Header::Newer(version),
    }
}

/// Computes the checksums of a segment's records.
#[derive(Clone, Copy)]
pub(super) struct RecordSeal {
    salt_crc: u32,
}

impl RecordSeal {
    fn new(salt: u64) -> Self {
        RecordSeal { salt_crc: crc32c::crc32c(&salt.to_le_bytes()) }
    }

    /// Writes the sealed record for `offset` into `into`, replacing what it held.
    pub(super) fn seal(&self, offset: u64, parts: &[&[u8]], into: &mut Vec<u8>) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        into.clear();
        into.reserve(RECORD_HEADER_BYTES + length);
        into.extend_from_slice(&(length as u32).to_le_bytes());
        into.extend_from_slice(&[0; 4]);
        for part in parts {
            into.extend_from_slice(part);
        }
        let checksum = self.checksum(offset, length as u32, &into[RECORD_HEADER_BYTES..]);
        into[4..8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The payload of the record at `offset` of the segment's `bytes`, if there is a good one.
    pub(super) fn open<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<&'a [u8]> {
        let payload = self.claimed(bytes, offset)?;
        let checksum = self.checksum(offset as u64, payload.len() as u32, payload);
        (checksum == u32_at(bytes, offset + 4)).then_some(payload)
    }

    /// The payload of `record`, which was read from `offset` of its segment, if it is a good one.
    pub(super) fn open_alone<'a>(&self, record: &'a [u8], offset: u64) -> Option<&'a [u8]> {
        let payload = self.claimed(record, 0)?;
        let checksum = self.checksum(offset, payload.len() as u32, payload);
        (checksum == u32_at(record, 4)).then_some(payload)
    }

    /// Length of the payload that `header` announces, if it is possible.
    pub(super) fn announced(header: &[u8; RECORD_HEADER_BYTES]) -> Option<usize> {
        let length = u32_at(header, 0) as usize;
        (1..=super::RECORD_BYTES_MAX).contains(&length).then_some(length)
    }

    /// What would be the payload of a record at `offset`, if its length is possible.
    pub(super) fn claimed<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<&'a [u8]> {
        let record = &bytes[offset..];
        if record.len() < RECORD_HEADER_BYTES {
            return None;
        }
        let length = u32_at(record, 0);
        if length == 0 || length as usize > super::RECORD_BYTES_MAX {
            return None;
        }
        record[RECORD_HEADER_BYTES..].get(..length as usize)
    }

    /// As [`RecordSeal::open`], for one of many tries.
    pub(super) fn is_good(&self, bytes: &[u8], offset: usize, checksums: &Checksums<'_>) -> bool {
        let Some(payload) = self.claimed(bytes, offset) else { return false };
        let before = self.place_checksum(offset as u64, payload.len() as u32);
        checksums.appended(before, offset + RECORD_HEADER_BYTES, payload.len()) == u32_at(bytes, offset + 4)
    }

    fn checksum(&self, offset: u64, length: u32, payload: &[u8]) -> u32 {
        crc32c::crc32c_append(self.place_checksum(offset, length), payload)
    }

    fn place_checksum(&self, offset: u64, length: u32) -> u32 {
        let mut place = [0; 12];
        place[..8].copy_from_slice(&offset.to_le_bytes());
        place[8..].copy_from_slice(&length.to_le_bytes());
        crc32c::crc32c_append(self.salt_crc, &place)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}
