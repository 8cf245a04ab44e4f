//! Builds a batch again that an earlier run of the agent had sent without hearing an answer.
//!
//! Nobody knows whether it was stored. Sent again with its old number and the same lines, it is
//! stored once: the receiver passes over what it has. Where a part of it is gone from disk, the
//! rest is sent, and the bytes of the part are counted as lost.

use super::{
    Source,
    batch::Filling,
    checkpoint::Sending,
    file::{TailedFile, Turn},
};
use crate::metrics::{DestinationCounters, Loss};
use std::{collections::BTreeMap, io};

/// Reads every part of `sending` once more.
pub(super) fn rebuild<'a>(
    sending: &Sending,
    files: &mut BTreeMap<u64, TailedFile>,
    sources: &[Source],
    buffer: &mut [u8],
    counters: &'a DestinationCounters,
) -> Filling<'a> {
    let mut filling = Filling::new(counters);
    for part in &sending.parts {
        let Some(file) = files.get_mut(&part.key).filter(|file| file.offset() == part.start) else {
            counters.log_bytes_lost.add(Loss::RotatedBeforeRead, part.end - part.start);
            continue;
        };
        let source = &sources[file.source];
        if let Err(error) = read_until(file, source, part.end, buffer, &mut filling) {
            tracing::warn!(path = %file.path.display(), %error, "failed to read a part of a batch again");
        }
        let missing = part.end.saturating_sub(file.offset());
        if missing > 0 {
            counters.log_bytes_lost.add(Loss::TruncatedBeforeRead, missing);
        }
    }
    filling
}

fn read_until(
    file: &mut TailedFile,
    source: &Source,
    end: u64,
    buffer: &mut [u8],
    filling: &mut Filling<'_>,
) -> io::Result<()> {
    while file.offset() < end {
        let before = file.offset();
        let turn = filling.take(file, source, buffer, Some(end), false)?;
        // A long line is looked through in several turns before it counts as read.
        let is_scanning =
            turn == Turn::NothingYet && file.scan_position() < end && file.scan_position() > before;
        if turn != Turn::Read && !is_scanning {
            return Ok(());
        }
    }
    Ok(())
}
