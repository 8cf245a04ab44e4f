//! Ships batches of lines from a tailer, one after another.

use super::channel::{Channel, Delivered, Shipment};
use super::protocol::Payload;
use crate::{
    metrics::Loss,
    tail::{Batch, Mailbox},
};
use model::LogBatch;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::mpsc;

/// See the module.
pub(crate) struct LogSender {
    pub(crate) channel: Channel,
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// The last number used, shared with the tailer.
    pub(crate) sequence: Arc<AtomicU64>,
}

impl LogSender {
    /// Runs until the tailer has ended, or the agent must end.
    pub(crate) async fn run(mut self) {
        loop {
            let batch = tokio::select! {
                batch = self.batches.recv() => batch,
                () = self.channel.stop.now.wait() => None,
            };
            let Some(Batch { boot, sequence, logs }) = batch else { return };
            if !self.deliver(boot, sequence, logs).await {
                return;
            }
            self.mailbox.answer(boot, sequence);
        }
    }

    /// Delivers a batch, in halves when it is refused. False when the agent must end.
    async fn deliver(&mut self, boot: u64, sequence: u64, logs: LogBatch) -> bool {
        let mut waiting = vec![(boot, sequence, logs)];
        while let Some((boot, sequence, logs)) = waiting.pop() {
            let items = logs.entry_count() as u64;
            let payload = Arc::new(Payload::Logs(logs));
            let shipment = Shipment { boot, sequence, items, is_goodbye: false };
            let counters = self.channel.counters.clone();
            match self.channel.deliver(&payload, shipment).await {
                Delivered::Stored { refused } => {
                    counters.lines_acknowledged.add(items - refused);
                    counters.lines_lost.add(Loss::Rejected, refused);
                }
                Delivered::Refused { .. } if items > 1 => {
                    let Payload::Logs(logs) = payload.as_ref() else { continue };
                    let (first, second) = halves(logs);
                    // A part is a new batch with a new number. The later half waits below.
                    for half in [second, first] {
                        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
                        waiting.push((self.channel.boot(), sequence, half));
                    }
                }
                Delivered::Refused { .. } => counters.lines_lost.add(Loss::Rejected, items),
                Delivered::Abandoned => return false,
            }
        }
        true
    }
}

/// The first and the second half of the entries.
fn halves(logs: &LogBatch) -> (LogBatch, LogBatch) {
    let middle = logs.entry_count() / 2;
    let mut halves = (LogBatch::default(), LogBatch::default());
    let mut index = 0;
    for stream in logs.streams() {
        let mut begun = [false; 2];
        for entry in stream.entries() {
            let second = index >= middle;
            let half = if second { &mut halves.1 } else { &mut halves.0 };
            if !std::mem::replace(&mut begun[usize::from(second)], true) {
                half.begin_with(stream.labels());
            }
            half.entry(entry.timestamp_ns, entry.line, entry.metadata);
            index += 1;
        }
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn halves_keep_streams_and_order() {
        let mut logs = LogBatch::default();
        for (stream, lines) in [("a", 3), ("b", 2)] {
            logs.begin_with(Labels::from_pairs([("filename", stream)]).as_ref());
            (0..lines).for_each(|i| logs.entry(i, &format!("{stream}{i}"), Labels::empty().as_ref()));
        }
        let (first, second) = halves(&logs);
        let lines = |logs: &LogBatch| -> Vec<String> {
            let mut lines = Vec::new();
            for stream in logs.streams() {
                let name = stream.labels().get("filename").unwrap_or_default();
                lines.extend(stream.entries().map(|entry| format!("{name}/{}", entry.line)));
            }
            lines
        };
        assert_eq!(lines(&first), ["a/a0", "a/a1"]);
        assert_eq!(lines(&second), ["a/a2", "b/b0", "b/b1"]);
    }
}
