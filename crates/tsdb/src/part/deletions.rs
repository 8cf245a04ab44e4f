//! The `deleted` file: which samples of a part are hidden until a merge leaves them out.

use super::{DELETED, PartError, damaged};
use crate::bytes::{Malformed, Reader, put_field, put_varint, put_zigzag};
use disk::Dir;
use model::TimeRange;
use roaring::RoaringBitmap;
use std::io;

const MAGIC: &[u8; 8] = b"BWMT\x01\0\0\0";

/// Closed ranges of time, each with the series it hides.
#[derive(Clone, Default)]
pub(crate) struct Deletions(Vec<(TimeRange, RoaringBitmap)>);

impl Deletions {
    pub(super) fn read(dir: &Dir, id: u64) -> Result<Self, PartError> {
        let bytes = match dir.read(DELETED) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Deletions::default()),
            Err(error) => return Err(error.into()),
        };
        let bad = || damaged(id, "`deleted` is unreadable".to_owned());
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(bad)?;
        if crc32c::crc32c(body).to_le_bytes() != *crc {
            return Err(bad());
        }
        decode(body).map_err(|Malformed| bad())
    }

    pub(super) fn write(&self, dir: &Dir) -> io::Result<()> {
        let mut out = MAGIC.to_vec();
        put_varint(&mut out, self.0.len() as u64);
        for (range, series) in &self.0 {
            put_zigzag(&mut out, range.start);
            put_zigzag(&mut out, range.end);
            let mut bitmap = Vec::new();
            series.serialize_into(&mut bitmap)?;
            put_field(&mut out, &bitmap);
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        dir.write_atomic(DELETED, &out)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn with(&self, series: RoaringBitmap, range: TimeRange) -> Self {
        let mut all = self.0.clone();
        match all.iter_mut().find(|(existing, _)| *existing == range) {
            Some((_, existing)) => *existing |= series,
            None => all.push((range, series)),
        }
        Deletions(all)
    }

    /// Ranges hidden of one series.
    pub(super) fn of(&self, series: u32) -> Vec<TimeRange> {
        self.0.iter().filter(|(_, hidden)| hidden.contains(series)).map(|(range, _)| *range).collect()
    }
}

fn decode(body: &[u8]) -> Result<Deletions, Malformed> {
    let mut reader = Reader::new(body);
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(Malformed);
    }
    let count = reader.count(body.len())?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let range = TimeRange::new(reader.zigzag()?, reader.zigzag()?);
        let series = RoaringBitmap::deserialize_from(reader.field()?).map_err(|_| Malformed)?;
        all.push((range, series));
    }
    Ok(Deletions(all))
}
