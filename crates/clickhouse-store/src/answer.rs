//! Reads an answer's rows as they arrive, with a bounded piece of it in memory.
//!
//! The server may fail after it has said 200 and sent rows. It then writes a marker with the tag
//! that the head named, and its words behind it. So the last [`MARKER_BYTES_MAX`] bytes are not read
//! before it is known that no marker starts in them, and rows are never mixed up with words.

use crate::{
    client::{Part, Pieces},
    error::Error,
};
use memchr::memmem;
use model::{Labels, LabelsRef};
use store::QueryContext;

/// `__exception__`, line breaks, and the tag.
const MARKER: &[u8] = b"__exception__";
const MARKER_BYTES_MAX: usize = 64;
/// Read bytes are dropped from the buffer once there are so many.
const READ_BYTES_KEPT: usize = 256 << 10;
/// Longest single value; more means that the answer is not what we think.
const VALUE_BYTES_MAX: usize = 512 << 20;

/// See the module.
pub(crate) struct Answer<'a> {
    pieces: Pieces,
    context: Option<&'a QueryContext>,
    tag: Vec<u8>,
    buffer: Vec<u8>,
    /// Read up to here.
    at: usize,
    /// No marker begins before this offset.
    checked: usize,
    ended: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(pieces: Pieces, context: Option<&'a QueryContext>, tag: Vec<u8>) -> Self {
        Answer { pieces, context, tag, buffer: Vec::new(), at: 0, checked: 0, ended: false }
    }

    /// Whether another row follows.
    pub(crate) fn has_row(&mut self) -> Result<bool, Error> {
        while self.readable() == 0 {
            if self.ended {
                return Ok(false);
            }
            self.fill()?;
        }
        Ok(true)
    }

    /// Reads what is left and drops it: the statement has succeeded.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        while self.has_row()? {
            self.at += self.readable();
        }
        Ok(())
    }

    /// What is left as text, cut at `limit`.
    pub(crate) fn text(&mut self, limit: usize) -> Result<String, Error> {
        self.tag.clear();
        while !self.ended && self.buffer.len() < limit {
            self.fill()?;
        }
        Ok(String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(limit)]).trim().to_owned())
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.fixed().map(i64::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.fixed().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Error> {
        self.fixed().map(u128::from_le_bytes)
    }

    /// Every bit of it.
    pub(crate) fn f64(&mut self) -> Result<f64, Error> {
        self.u64().map(f64::from_bits)
    }

    pub(crate) fn string(&mut self) -> Result<&[u8], Error> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text_value(&mut self) -> Result<String, Error> {
        String::from_utf8(self.string()?.to_vec())
            .map_err(|_| Error::Garbled("a text is not UTF-8".to_owned()))
    }

    /// A map of label names and values as the label set's canonical bytes.
    pub(crate) fn label_bytes(&mut self, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        for _ in 0..self.length()?.saturating_mul(2) {
            let length = self.length()?;
            crate::row_binary::put_varint(into, length as u64);
            into.extend_from_slice(self.take(length)?);
        }
        match LabelsRef::from_bytes(into) {
            Some(_) => Ok(()),
            None => Err(Error::Garbled("a map is not a set of labels".to_owned())),
        }
    }

    pub(crate) fn labels(&mut self) -> Result<Labels, Error> {
        let mut bytes = Vec::new();
        self.label_bytes(&mut bytes)?;
        Ok(LabelsRef::from_trusted_bytes(&bytes).to_owned())
    }

    fn length(&mut self) -> Result<usize, Error> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        match usize::try_from(value) {
            Ok(length) if length <= VALUE_BYTES_MAX => Ok(length),
            _ => Err(Error::Garbled(format!("a value of {value} bytes"))),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], Error> {
        while self.readable() < length {
            if self.ended {
                return Err(Error::Garbled("it ends in the middle of a row".to_owned()));
            }
            self.fill()?;
        }
        self.at += length;
        Ok(&self.buffer[self.at - length..self.at])
    }

    fn readable(&self) -> usize {
        let held_back = if self.ended || self.tag.is_empty() { 0 } else { MARKER_BYTES_MAX };
        (self.buffer.len() - self.at).saturating_sub(held_back)
    }

    fn fill(&mut self) -> Result<(), Error> {
        if self.at > READ_BYTES_KEPT {
            self.buffer.drain(..self.at);
            self.checked = self.checked.saturating_sub(self.at);
            self.at = 0;
        }
        match self.pieces.next(self.context)? {
            Part::Chunk(chunk) => {
                if let Some(context) = self.context {
                    context.charge_read(0, chunk.len() as u64)?;
                }
                self.buffer.extend_from_slice(&chunk);
            }
            _ => self.ended = true,
        }
        self.look_for_failure()
    }

    fn look_for_failure(&mut self) -> Result<(), Error> {
        if self.tag.is_empty() {
            return Ok(());
        }
        let from = self.checked.max(self.at);
        let Some(tag_at) = memmem::find(&self.buffer[from..], &self.tag).map(|found| from + found) else {
            // A tag may still begin in the last bytes.
            self.checked = self.buffer.len().saturating_sub(self.tag.len());
            return Ok(());
        };
        let before = &self.buffer[tag_at.saturating_sub(MARKER.len() + 4)..tag_at];
        if memmem::find(before, MARKER).is_none() {
            self.checked = tag_at + 1;
            return Ok(());
        }
        while !self.ended {
            match self.pieces.next(None)? {
                Part::Chunk(chunk) => self.buffer.extend_from_slice(&chunk),
                _ => self.ended = true,
            }
        }
        Err(failure(&self.buffer[tag_at + self.tag.len()..]))
    }
}

/// The server's words behind a marker: "Code: 241. DB::Exception: …".
fn failure(words: &[u8]) -> Error {
    let text = String::from_utf8_lossy(words);
    let text = text.trim();
    let code = text.strip_prefix("Code: ").and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    Error::server(code.and_then(|code| code.parse().ok()).unwrap_or(0), text)
}
