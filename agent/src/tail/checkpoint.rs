//! What has been read and acknowledged, so that a restart goes on exactly there.
//!
//! One file of [`crate::frames`], each a change as JSON. A batch is written down with the parts of
//! files that it holds before it is sent, and again when it is acknowledged. After a crash in
//! between, the same batch is built from the same parts and sent under its old number, so the
//! receiver knows it again: nothing is lost and nothing doubled.
//!
//! Changes are in the page cache at once and on the medium within [`SYNC_INTERVAL`]; a power cut
//! may therefore repeat the lines of the last second. A damaged end is cut off. The file is
//! replaced by its present state when it has grown to [`COMPACT_BYTES`] and is mostly history.

use super::identity::{FileId, Prefix};
use crate::frames;
use disk::{Dir, WriteFile};
use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

const NAME: &str = "checkpoint.log";
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
const COMPACT_BYTES: u64 = 1 << 20;
/// The history is worth cutting when it is this many times the state.
const COMPACT_RATIO: u64 = 4;

/// A file as far as it is acknowledged.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct FileState {
    /// The agent's own number of the file.
    pub(super) key: u64,
    /// Where it was last seen.
    pub(super) path: String,
    /// The name that its stream carries: the first one it was seen under.
    pub(super) filename: String,
    pub(super) source: String,
    pub(super) id: FileId,
    pub(super) prefix: Prefix,
    /// Everything before is acknowledged, or counted as lost.
    pub(super) offset: u64,
    /// Hash of the bytes before `offset`.
    pub(super) marker: u64,
    /// Bytes when last seen.
    pub(super) size: u64,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Part {
    pub(super) key: u64,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A batch that was about to be sent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sending {
    pub(super) boot: u64,
    pub(super) sequence: u64,
    pub(super) parts: Vec<Part>,
}

/// A change. What it does not mention stays.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Change {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<FileState>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gone: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sending: Option<Sending>,
    /// Boot and sequence of a batch that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answered: Option<(u64, u64)>,
}

/// Everything the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) files: BTreeMap<u64, FileState>,
    /// In the order of sending.
    pub(super) sending: Vec<Sending>,
}

impl State {
    fn apply(&mut self, change: Change) {
        for file in change.files {
            self.files.insert(file.key, file);
        }
        for key in change.gone {
            self.files.remove(&key);
        }
        if let Some((boot, sequence)) = change.answered {
            self.sending.retain(|sending| (sending.boot, sending.sequence) != (boot, sequence));
        }
        self.sending.extend(change.sending);
    }
}

/// See the module.
pub(super) struct Checkpoint {
    dir: Dir,
    file: WriteFile,
    state: State,
    dirty_since: Option<Instant>,
    frame: Vec<u8>,
}

impl Checkpoint {
    /// Opens the checkpoint; the bool tells whether there was one.
    pub(super) fn open(dir: Dir) -> io::Result<(Self, bool)> {
        let bytes = match dir.read(NAME) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let existed = bytes.is_some();
        let bytes = bytes.unwrap_or_default();
        let (payloads, good) = frames::read_all(&bytes);
        let mut state = State::default();
        for payload in payloads {
            match serde_json::from_slice(payload) {
                Ok(change) => state.apply(change),
                Err(error) => {
                    tracing::warn!(%error, "a change in the checkpoint is unreadable and was left out")
                }
            }
        }
        let file = if existed {
            let mut file = dir.append_to(NAME)?;
            if good < bytes.len() {
                tracing::warn!(bytes = bytes.len() - good, "the checkpoint's damaged end was cut off");
                file.truncate(good as u64)?;
            }
            file
        } else {
            let file = dir.create(NAME)?;
            dir.sync_dir()?;
            file
        };
        Ok((Checkpoint { dir, file, state, dirty_since: None, frame: Vec::new() }, existed))
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Writes a change down. When that fails the file is as before and the state has the change,
    /// which the next compaction writes.
    pub(super) fn record(&mut self, change: Change, now: Instant) -> io::Result<()> {
        let json = serde_json::to_vec(&change)?;
        self.state.apply(change);
        self.frame.clear();
        frames::put(&mut self.frame, &[&json]);
        let before = self.file.len();
        if let Err(error) = self.file.write_all(&self.frame) {
            self.file.truncate(before)?;
            return Err(error);
        }
        self.dirty_since.get_or_insert(now);
        Ok(())
    }

    /// Brings changes to the medium when it is time, and cuts the history when it is long.
    pub(super) fn maintain(&mut self, now: Instant) -> io::Result<()> {
        let is_due = |since: Instant| now.duration_since(since) >= SYNC_INTERVAL;
        if self.dirty_since.is_some_and(is_due) {
            self.sync()?;
        }
        if self.file.len() >= COMPACT_BYTES {
            self.compact()?;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.dirty_since.is_some() {
            self.file.sync()?;
            self.dirty_since = None;
        }
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let files = self.state.files.values().cloned().collect();
        frames::put(&mut bytes, &[&serde_json::to_vec(&Change { files, ..Change::default() })?]);
        for sending in &self.state.sending {
            let change = Change { sending: Some(sending.clone()), ..Change::default() };
            frames::put(&mut bytes, &[&serde_json::to_vec(&change)?]);
        }
        if bytes.len() as u64 * COMPACT_RATIO > self.file.len() {
            return Ok(());
        }
        self.dir.write_atomic(NAME, &bytes)?;
        self.file = self.dir.append_to(NAME)?;
        self.dirty_since = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::Faults;

    fn file(key: u64, offset: u64) -> FileState {
        let id = FileId { device: 1, inode: key };
        let path = format!("/var/log/{key}.log");
        FileState {
            key,
            filename: path.clone(),
            path,
            source: "s".into(),
            id,
            prefix: Prefix::default(),
            offset,
            marker: 7,
            size: offset,
        }
    }

    fn sending(sequence: u64) -> Sending {
        Sending { boot: 1, sequence, parts: vec![Part { key: 1, start: 0, end: 9 }] }
    }

    #[test]
    fn changes_survive_a_restart_and_a_torn_end() {
        let dir = Dir::simulated(7, Faults::default());
        let now = Instant::now();
        let (mut checkpoint, existed) = Checkpoint::open(dir.clone()).unwrap();
        assert!(!existed);
        let change =
            Change { files: vec![file(1, 0), file(2, 5)], sending: Some(sending(1)), ..Change::default() };
        checkpoint.record(change, now).unwrap();
        checkpoint.record(Change { sending: Some(sending(2)), ..Change::default() }, now).unwrap();
        let answered =
            Change { files: vec![file(1, 9)], gone: vec![2], answered: Some((1, 1)), ..Change::default() };
        checkpoint.record(answered, now).unwrap();
        let state = checkpoint.state().clone();
        drop(checkpoint);

        let mut torn = dir.append_to(NAME).unwrap();
        torn.write_all(b"\x20\x00\x00\x00garbage").unwrap();
        drop(torn);
        let (mut again, existed) = Checkpoint::open(dir.clone()).unwrap();
        assert!(existed);
        assert_eq!(*again.state(), state);
        assert_eq!(state.files.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(state.sending, [sending(2)]);
        again.record(Change { gone: vec![1], ..Change::default() }, now).unwrap();
        drop(again);
        assert!(Checkpoint::open(dir).unwrap().0.state().files.is_empty());
    }

    #[test]
    fn history_is_cut_and_the_state_stays() {
        let dir = Dir::simulated(8, Faults::default());
        let now = Instant::now();
        let (mut checkpoint, _) = Checkpoint::open(dir.clone()).unwrap();
        for offset in 0..6000 {
            checkpoint.record(Change { files: vec![file(1, offset)], ..Change::default() }, now).unwrap();
            checkpoint.maintain(now).unwrap();
        }
        checkpoint.record(Change { sending: Some(sending(3)), ..Change::default() }, now).unwrap();
        assert!(dir.read(NAME).unwrap().len() < COMPACT_BYTES as usize);
        let state = checkpoint.state().clone();
        drop(checkpoint);
        assert_eq!(*Checkpoint::open(dir).unwrap().0.state(), state);
    }
}
