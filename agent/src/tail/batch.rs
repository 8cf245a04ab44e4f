//! Fills a batch from files, and remembers which parts of them it holds.

use super::{
    Source,
    checkpoint::Part,
    file::{TailedFile, Turn},
};
use crate::metrics::DestinationCounters;
use model::{Labels, LogBatch};
use std::io;

/// A part, and the marker at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandedOut {
    pub(super) part: Part,
    pub(super) marker: u64,
}

/// See the module.
pub(super) struct Filling<'a> {
    pub(super) logs: LogBatch,
    pub(super) parts: Vec<HandedOut>,
    pub(super) counters: &'a DestinationCounters,
}

impl<'a> Filling<'a> {
    pub(super) fn new(counters: &'a DestinationCounters) -> Self {
        Filling { logs: LogBatch::default(), parts: Vec::new(), counters }
    }

    pub(super) fn is_full(&self) -> bool {
        self.logs.line_bytes() >= super::BATCH_BYTES_MAX || self.logs.entry_count() >= super::BATCH_LINES_MAX
    }

    /// One turn of reading a file; see [`TailedFile::read`].
    pub(super) fn take(
        &mut self,
        file: &mut TailedFile,
        source: &Source,
        buffer: &mut [u8],
        until: Option<u64>,
        is_final: bool,
    ) -> io::Result<Turn> {
        let start = file.offset();
        let mut timestamp_ns = file.last_timestamp_ns.saturating_add(1).max(daemon::clock::now_ns());
        let mut is_begun = false;
        let (logs, counters) = (&mut self.logs, self.counters);
        let filename = file.filename.clone();
        let turn = file.read(buffer, until, is_final, |line| {
            counters.lines_truncated.add(u64::from(line.is_truncated));
            counters.lines_not_utf8.add(u64::from(line.is_repaired));
            let Some(text) = source.pipeline.apply(line.text) else {
                counters.lines_filtered.add(1);
                return;
            };
            if !is_begun {
                logs.begin_with(stream_labels(source, &filename).as_ref());
                is_begun = true;
            }
            logs.entry(timestamp_ns, &text, Labels::empty().as_ref());
            timestamp_ns += 1;
        })?;
        if turn == Turn::Read {
            file.last_timestamp_ns = timestamp_ns;
            let part = Part { key: file.key, start, end: file.offset() };
            match self
                .parts
                .last_mut()
                .filter(|last| last.part.key == part.key && last.part.end == part.start)
            {
                Some(last) => {
                    last.part.end = part.end;
                    last.marker = file.marker();
                }
                None => self.parts.push(HandedOut { part, marker: file.marker() }),
            }
        }
        Ok(turn)
    }
}

fn stream_labels(source: &Source, filename: &str) -> Labels {
    let labels = source.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::from_pairs(labels.chain([("filename", filename)]))
}
