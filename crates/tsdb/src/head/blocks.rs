//! Byte streams of very many series in small blocks of one pool.
//!
//! A stream grows by a block at a time, so a series that says little takes little, no stream is ever
//! moved, and a generation's memory goes back to the system whole.

use crate::slabs::Slabs;

/// Bytes of a stream in a block.
const BLOCK_BYTES: usize = 28;
/// No block.
const NONE: u32 = u32::MAX;

struct Block {
    next: u32,
    bytes: [u8; BLOCK_BYTES],
}

/// The blocks of all streams of a generation.
#[derive(Default)]
pub(super) struct Blocks {
    blocks: Slabs<Block>,
}

/// Where a stream begins and ends.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    first: u32,
    last: u32,
    /// Bytes in the last block.
    filled: u8,
}

impl Default for Stream {
    fn default() -> Self {
        Stream { first: NONE, last: NONE, filled: 0 }
    }
}

impl Blocks {
    pub(super) fn append(&mut self, stream: &mut Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if stream.last == NONE || usize::from(stream.filled) == BLOCK_BYTES {
                self.extend(stream);
            }
            let filled = usize::from(stream.filled);
            let count = bytes.len().min(BLOCK_BYTES - filled);
            let (now, rest) = bytes.split_at(count);
            self.blocks[stream.last].bytes[filled..filled + count].copy_from_slice(now);
            stream.filled += count as u8;
            bytes = rest;
        }
    }

    fn extend(&mut self, stream: &mut Stream) {
        let number = self.blocks.len() as u32;
        self.blocks.push(Block { next: NONE, bytes: [0; BLOCK_BYTES] });
        if stream.last == NONE {
            stream.first = number;
        } else {
            self.blocks[stream.last].next = number;
        }
        (stream.last, stream.filled) = (number, 0);
    }

    /// The newest byte of a stream that has one.
    #[inline]
    pub(super) fn last_byte(&mut self, stream: &Stream) -> &mut u8 {
        &mut self.blocks[stream.last].bytes[usize::from(stream.filled) - 1]
    }

    /// The first block of a stream that has one, padded with zeros.
    pub(super) fn beginning(&self, stream: &Stream) -> &[u8] {
        &self.blocks[stream.first].bytes
    }

    /// Appends the stream's bytes to `out`.
    pub(super) fn read(&self, stream: &Stream, out: &mut Vec<u8>) {
        let mut number = stream.first;
        while number != NONE {
            let block = &self.blocks[number];
            let is_last = number == stream.last;
            let filled = if is_last { usize::from(stream.filled) } else { BLOCK_BYTES };
            out.extend_from_slice(&block.bytes[..filled]);
            number = if is_last { NONE } else { block.next };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_streams_keep_their_bytes() {
        let mut blocks = Blocks::default();
        let mut streams = [Stream::default(); 3];
        let mut expected = [Vec::new(), Vec::new(), Vec::new()];
        for i in 0..200u8 {
            for (k, stream) in streams.iter_mut().enumerate() {
                let bytes = vec![i; usize::from(i) % (k * 20 + 2)];
                blocks.append(stream, &bytes);
                expected[k].extend_from_slice(&bytes);
            }
        }
        for (stream, expected) in streams.iter().zip(&expected) {
            let mut read = Vec::new();
            blocks.read(stream, &mut read);
            assert_eq!(&read, expected);
            assert_eq!(blocks.last_byte(stream), expected.last().unwrap());
            assert_eq!(blocks.beginning(stream), &expected[..BLOCK_BYTES]);
        }
    }
}
