//! Follows log files and hands out batches of lines, each line exactly once.
//!
//! The files themselves are the buffer. At most [`IN_FLIGHT_MAX`] batches of about
//! [`BATCH_BYTES_MAX`] are handed out and not answered; beyond that nothing more is read. An offset
//! advances when its batch has been answered, in order, and is then written to the checkpoint. So a
//! slow or absent receiver costs no memory, and a crash costs no line (`checkpoint`, `identity`).
//!
//! Rotation by renaming: the open file is read to its end until it has been quiet for
//! [`ROTATE_WAIT`]; the file that took its name waits until then, so lines keep their order.
//! Truncation is noticed by the size and by the bytes before the offset; what was copied away
//! before it (`copies`) is read to its end in the copy. A last line without a
//! newline is held until it is whole, or its file is finished.
//!
//! Each destination has a tailer of its own, on a thread of its own: one that is down holds up
//! nobody. Files are looked at every [`CHECK_MAX`] at the latest, [`CHECK_IDLE_MAX`] when they
//! have been silent for long.
//!
//! Memory: one read buffer of [`READ_BYTES`] and the batches in flight; per file some 500 bytes.
//! At most [`FILES_MAX`] files; descriptors are closed [`CLOSE_AFTER`] the last change.

mod batch;
mod checkpoint;
mod copies;
mod discover;
mod file;
mod identity;
mod lines;
mod mailbox;
mod replay;
mod worker;

#[cfg(test)]
mod tests;

use crate::{
    metrics::{Counters, DestinationCounters},
    pipeline::Pipeline,
};
use disk::Dir;
use globset::GlobSet;
use model::LogBatch;
use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::Duration,
};
use tokio::sync::mpsc;

pub(crate) use discover::{Pattern, exclusions};
pub(crate) use mailbox::Mailbox;

/// Longest line that is shipped whole; Loki's default.
pub(crate) const LINE_BYTES_MAX: usize = 256 << 10;
/// One turn of reading; a line that may be shipped whole must fit.
const READ_BYTES: usize = 320 << 10;
/// A batch is closed when its lines have this size.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// A batch is closed when it has this many lines.
const BATCH_LINES_MAX: usize = 20_000;
/// One batch is on its way while the next one is prepared.
const IN_FLIGHT_MAX: usize = 2;
/// Small batches are this far apart, so that a trickle of lines does not become a request each.
const LINGER: Duration = Duration::from_millis(400);
/// Shortest and longest pause between two looks at a file, and the longest for files that have
/// been silent for [`IDLE_AFTER`].
const CHECK_MIN: Duration = Duration::from_millis(50);
const CHECK_MAX: Duration = Duration::from_millis(250);
const CHECK_IDLE_MAX: Duration = Duration::from_secs(1);
const IDLE_AFTER: Duration = Duration::from_secs(600);
const CLOSE_AFTER: Duration = Duration::from_secs(60);
/// How often the patterns are looked up anew: a walk may take 5 % of the time, within these bounds.
const DISCOVER_MIN: Duration = Duration::from_millis(250);
const DISCOVER_MAX: Duration = Duration::from_secs(2);
const DISCOVER_SHARE: u32 = 20;
/// How long a rotated file must have been quiet before it is finished: programs go on writing to
/// it until they are told.
pub(crate) const ROTATE_WAIT: Duration = Duration::from_secs(30);
const FILES_MAX: usize = 20_000;
/// A file this small that is in use is read from its beginning at the first start.
const SMALL_BYTES: u64 = 1 << 20;
/// A file that was last written so long ago is not in use: its lines would be shown as if they had
/// just been written.
const OLD_AFTER_S: i64 = 3600;

/// Where to begin with a file that no checkpoint knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At the beginning of files that came after the agent's first start, or are small and were written
    /// within the last hour; at the end of the others.
    #[default]
    Auto,
    /// At the beginning.
    Beginning,
    /// At the end, except for files that come later.
    End,
}

/// A group of files with the same treatment.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Stable over restarts and edits of the configuration's order.
    pub(crate) name: String,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) exclude: GlobSet,
    pub(crate) start_at: StartAt,
    /// Labels of all its streams; `filename` is added.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) pipeline: Pipeline,
}

impl Source {
    /// The files that match now, with their sizes.
    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        let found = discover::find(&self.patterns, &self.exclude);
        found.into_iter().map(|(path, metadata)| (path, metadata.len())).collect()
    }
}

/// What a tailer needs.
pub(crate) struct Settings {
    pub(crate) sources: Vec<Source>,
    pub(crate) dir: Dir,
    pub(crate) boot: u64,
    /// The last sequence number used; shared with the sender, which may split a batch.
    pub(crate) sequence: Arc<AtomicU64>,
    pub(crate) rotate_wait: Duration,
    pub(crate) counters: Arc<DestinationCounters>,
    pub(crate) agent_counters: Arc<Counters>,
}

/// Lines on their way. It keeps its number through every retry and restart.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) boot: u64,
    pub(crate) sequence: u64,
    pub(crate) logs: LogBatch,
}

/// A running tailer. Whoever takes a batch answers it through the mailbox, in order.
pub(crate) struct Tailing {
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) thread: thread::JoinHandle<()>,
}

/// Opens the checkpoint and starts the thread.
///
/// # Errors
/// When the checkpoint cannot be opened.
pub(crate) fn start(settings: Settings) -> io::Result<Tailing> {
    let mailbox = Arc::new(Mailbox::default());
    let (sender, batches) = mpsc::channel(IN_FLIGHT_MAX);
    let worker = worker::Worker::open(settings, mailbox.clone(), sender)?;
    let thread = thread::Builder::new().name("tail".to_owned()).spawn(move || worker.run())?;
    Ok(Tailing { batches, mailbox, thread })
}
