//! The tailer's thread: look at files, fill a batch, hand it out, take answers, write down.

use super::{
    Batch, CHECK_IDLE_MAX, CHECK_MAX, CHECK_MIN, CLOSE_AFTER, DISCOVER_MAX, DISCOVER_MIN, DISCOVER_SHARE,
    FILES_MAX, IDLE_AFTER, IN_FLIGHT_MAX, LINGER, Mailbox, OLD_AFTER_S, READ_BYTES, SMALL_BYTES, Settings,
    StartAt,
    batch::{Filling, HandedOut},
    checkpoint::{Change, Checkpoint, FileState, Sending},
    copies, discover,
    file::{Phase, TailedFile, Turn, last_line_start},
    identity::FileId,
    mailbox::Inbox,
    replay,
};
use crate::metrics::Loss;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// A batch handed out.
struct InFlight {
    boot: u64,
    sequence: u64,
    parts: Vec<HandedOut>,
    since: Instant,
    is_answered: bool,
}

/// See the module.
pub(super) struct Worker {
    settings: Settings,
    mailbox: Arc<Mailbox>,
    outbox: mpsc::Sender<Batch>,
    checkpoint: Checkpoint,
    files: BTreeMap<u64, TailedFile>,
    ids: BTreeMap<FileId, u64>,
    next_key: u64,
    in_flight: VecDeque<InFlight>,
    buffer: Vec<u8>,
    /// Files before this key have had their turn in the present round.
    turn: u64,
    /// Batches of an earlier run that come first.
    replays: VecDeque<Sending>,
    /// Until the first look at the patterns in the agent's very first run, files are old.
    is_first_look: bool,
    discover_at: Instant,
    fill_at: Instant,
    is_stopping: bool,
}

impl Worker {
    pub(super) fn open(
        settings: Settings,
        mailbox: Arc<Mailbox>,
        outbox: mpsc::Sender<Batch>,
    ) -> io::Result<Self> {
        let (checkpoint, existed) = Checkpoint::open(settings.dir.clone())?;
        let now = Instant::now();
        Ok(Worker {
            settings,
            mailbox,
            outbox,
            checkpoint,
            files: BTreeMap::new(),
            ids: BTreeMap::new(),
            next_key: 1,
            in_flight: VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            turn: 0,
            replays: VecDeque::new(),
            is_first_look: !existed,
            discover_at: now,
            fill_at: now,
            is_stopping: false,
        })
    }

    pub(super) fn run(mut self) {
        self.resume(Instant::now());
        let mut wait = Duration::ZERO;
        loop {
            let Inbox { answered, stop, abandon } = self.mailbox.wait(wait, self.is_stopping);
            let now = Instant::now();
            self.take_answers(&answered, now);
            if abandon {
                break;
            }
            if stop && !self.is_stopping {
                // Everything that is in the files by now is still shipped.
                self.is_stopping = true;
                (self.discover_at, self.fill_at) = (now, now);
                self.files.values_mut().for_each(|file| file.next_check = now);
            }
            let has_more = self.step(now);
            if self.is_stopping && !has_more && self.in_flight.is_empty() && self.replays.is_empty() {
                break;
            }
            wait = self.pause(has_more, Instant::now());
        }
        self.report(Instant::now());
        if let Err(error) = self.checkpoint.sync() {
            tracing::warn!(%error, "failed to sync the checkpoint");
        }
    }

    /// One round; whether there is more to read already.
    fn step(&mut self, now: Instant) -> bool {
        self.check_files(now);
        if now >= self.discover_at {
            let started = Instant::now();
            self.discover(now);
            let pause = started.elapsed().saturating_mul(DISCOVER_SHARE).clamp(DISCOVER_MIN, DISCOVER_MAX);
            self.discover_at = now + pause;
        }
        let mut has_more = false;
        if now >= self.fill_at && self.in_flight.len() < IN_FLIGHT_MAX {
            has_more = self.hand_out(now);
        }
        self.settle(now);
        self.report(now);
        if let Err(error) = self.checkpoint.maintain(now) {
            self.note_checkpoint_failure(&error);
        }
        has_more
    }

    fn pause(&self, has_more: bool, now: Instant) -> Duration {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            // Nothing can be read before an answer comes, which ends the wait.
            return CHECK_MAX;
        }
        if has_more {
            return Duration::ZERO;
        }
        let checks = self.files.values().map(|file| file.next_check);
        let next = checks.min().unwrap_or(self.discover_at).min(self.discover_at);
        let is_ready = |file: &TailedFile| file.is_ready(false);
        let fill = if self.files.values().any(is_ready) { self.fill_at } else { next };
        next.min(fill.max(now)).saturating_duration_since(now).clamp(CHECK_MIN / 5, CHECK_IDLE_MAX)
    }

    // Files.

    /// Finds the files of the checkpoint again.
    fn resume(&mut self, now: Instant) {
        let states: Vec<FileState> = self.checkpoint.state().files.values().cloned().collect();
        self.replays = self.checkpoint.state().sending.iter().cloned().collect();
        self.next_key = states.iter().map(|state| state.key + 1).max().unwrap_or(1);
        let mut gone = Vec::new();
        for state in states {
            match self.resume_file(&state, now) {
                Some(file) => self.insert(file),
                None => {
                    // What the configuration does not name any more is left, not lost.
                    let is_wanted = self.settings.sources.iter().any(|source| source.name == state.source);
                    let unread = if is_wanted { state.size.saturating_sub(state.offset) } else { 0 };
                    self.settings.counters.log_bytes_lost.add(Loss::RotatedBeforeRead, unread);
                    tracing::info!(path = state.path, unread, "a file is gone since the last run");
                    gone.push(state.key);
                }
            }
        }
        self.record(Change { gone, ..Change::default() }, now);
    }

    fn resume_file(&self, state: &FileState, now: Instant) -> Option<TailedFile> {
        let source = self.settings.sources.iter().position(|source| source.name == state.source)?;
        let path = discover::locate(Path::new(&state.path), state.id)?;
        match TailedFile::resume(state, source, &path, now) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "failed to open a file again");
                None
            }
        }
    }

    fn insert(&mut self, file: TailedFile) {
        self.ids.insert(file.id, file.key);
        self.files.insert(file.key, file);
    }

    fn remove(&mut self, key: u64, now: Instant) {
        if let Some(file) = self.files.remove(&key) {
            // The inode may belong to the file's successor already.
            if self.ids.get(&file.id) == Some(&key) {
                self.ids.remove(&file.id);
            }
            self.record(Change { gone: vec![key], ..Change::default() }, now);
        }
    }

    /// Looks the patterns up, and follows what is new.
    fn discover(&mut self, now: Instant) {
        for source in 0..self.settings.sources.len() {
            let found = {
                let source = &self.settings.sources[source];
                discover::find(&source.patterns, &source.exclude)
            };
            for (path, metadata) in found {
                let is_new = !self.ids.contains_key(&FileId::of(&metadata)) && path.to_str().is_some();
                if is_new && !self.files.values().any(|file| copies::is_copy_so_far(&path, &metadata, file)) {
                    self.follow(source, &path, &metadata, now);
                }
            }
        }
        self.is_first_look = false;
    }

    fn follow(&mut self, source: usize, path: &Path, metadata: &Metadata, now: Instant) {
        if self.files.len() >= FILES_MAX {
            tracing::warn!(path = %path.display(), "too many files; this one is not followed");
            return;
        }
        let opened = self
            .start_offset(source, path, metadata)
            .and_then(|offset| TailedFile::open(self.next_key, source, path, metadata, offset, now));
        match opened {
            Ok(file) => {
                tracing::debug!(path = %path.display(), offset = file.offset(), "following a file");
                self.next_key += 1;
                let state = file.state(&self.settings.sources[source].name);
                self.insert(file);
                self.record(Change { files: vec![state], ..Change::default() }, now);
            }
            // It may be gone again, or not be ours to read.
            Err(error) => tracing::debug!(path = %path.display(), %error, "failed to open a file"),
        }
    }

    fn start_offset(&mut self, source: usize, path: &Path, metadata: &Metadata) -> io::Result<u64> {
        let size = metadata.len();
        let is_old = || metadata.mtime() < daemon::clock::now_ms() / 1000 - OLD_AFTER_S;
        let from_beginning = match self.settings.sources[source].start_at {
            StartAt::Beginning => true,
            StartAt::Auto => !self.is_first_look || (size <= SMALL_BYTES && !is_old()),
            StartAt::End => !self.is_first_look,
        };
        if from_beginning { Ok(0) } else { last_line_start(path, size, &mut self.buffer) }
    }

    /// Looks at the files whose time has come: have they grown, shrunk or moved?
    fn check_files(&mut self, now: Instant) {
        let due: Vec<u64> =
            self.files.values().filter(|file| file.next_check <= now).map(|file| file.key).collect();
        for key in due {
            self.check_file(key, now);
        }
    }

    fn check_file(&mut self, key: u64, now: Instant) {
        let Some(file) = self.files.get_mut(&key) else { return };
        let at_path = fs::metadata(&file.path).ok();
        let is_there = at_path.as_ref().is_some_and(|metadata| FileId::of(metadata) == file.id);
        if !is_there && file.phase == Phase::Active {
            self.note_rotation(key, now);
        }
        let Some(file) = self.files.get_mut(&key) else { return };
        let metadata = at_path.filter(|_| is_there).or_else(|| file.metadata());
        let size = metadata.as_ref().map_or(file.size, Metadata::len);
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        let is_rewritten =
            is_there && size == file.offset() && modified != file.modified && !file.is_intact();
        file.modified = modified;
        if size < file.offset() || is_rewritten {
            let lost = file.unread();
            return self.replace(key, lost, now);
        }
        if size != file.size {
            file.size = size;
            file.changed_at = now;
            if let Phase::Rotated(quiet_since) = &mut file.phase {
                *quiet_since = now;
            }
        }
        let silent = now.duration_since(file.changed_at);
        let longest = if silent > IDLE_AFTER { CHECK_IDLE_MAX } else { CHECK_MAX };
        file.next_check = now + (silent / 8).clamp(CHECK_MIN, longest);
        if silent > CLOSE_AFTER && file.phase == Phase::Active && file.unread() == 0 {
            file.close();
        }
        if self.is_finished(key, now) {
            self.forget_or_keep_identity(key, now);
        }
    }

    /// The path leads to another file, or to none.
    fn note_rotation(&mut self, key: u64, now: Instant) {
        let Some(file) = self.files.get_mut(&key) else { return };
        file.phase = Phase::Rotated(now);
        let renamed_to = discover::locate(&file.path, file.id);
        tracing::debug!(path = %file.path.display(), renamed_to = ?renamed_to, "file was rotated");
        if let Some(path) = &renamed_to {
            file.path.clone_from(path);
        }
        if !file.is_open() && !renamed_to.is_some_and(|path| file.reopen(&path).unwrap_or(false)) {
            // Closed because it was silent, and gone by now.
            let unread = file.unread();
            self.settings.counters.log_bytes_lost.add(Loss::RotatedBeforeRead, unread);
            self.remove(key, now);
            return;
        }
        // The new file of the old name should not have to wait for the next look.
        self.discover_at = now;
        let state = self.state_of(key);
        self.record(Change { files: state.into_iter().collect(), ..Change::default() }, now);
    }

    /// The file was truncated or written anew: what is at its path is another file from now on.
    /// What was in it goes on in its copy, where there is one. `lost` are the bytes known to have
    /// been there unread.
    fn replace(&mut self, key: u64, lost: u64, now: Instant) {
        let Some(old) = self.files.get_mut(&key) else { return };
        let (source, path, phase) = (old.source, old.path.clone(), old.phase);
        let (filename, timestamp_ns) = (old.filename.clone(), old.last_timestamp_ns);
        self.ids.remove(&old.id);
        let copy = copies::find(old);
        let is_kept = copy.is_some_and(|copy| !self.ids.contains_key(&copy.id()) && old.move_to(copy, now));
        tracing::debug!(path = %path.display(), lost, is_kept, "file was truncated");
        if is_kept {
            self.ids.insert(old.id, key);
            let state = self.state_of(key);
            self.record(Change { files: state.into_iter().collect(), ..Change::default() }, now);
        } else {
            self.settings.counters.log_bytes_lost.add(Loss::TruncatedBeforeRead, lost);
            self.remove(key, now);
        }
        let Ok(metadata) = fs::metadata(&path) else { return };
        match TailedFile::open(self.next_key, source, &path, &metadata, 0, now) {
            Ok(mut file) => {
                self.next_key += 1;
                (file.filename, file.last_timestamp_ns, file.phase) = (filename, timestamp_ns, phase);
                let state = file.state(&self.settings.sources[source].name);
                self.insert(file);
                self.record(Change { files: vec![state], ..Change::default() }, now);
            }
            Err(error) => tracing::debug!(path = %path.display(), %error, "failed to open a truncated file"),
        }
    }

    /// Whether a rotated file is read to its end, answered for and quiet.
    fn is_finished(&self, key: u64, now: Instant) -> bool {
        let is_quiet = |quiet: Instant| now.duration_since(quiet) >= self.settings.rotate_wait;
        self.files.get(&key).is_some_and(|file| {
            matches!(file.phase, Phase::Rotated(quiet) if is_quiet(quiet))
                && file.is_settled()
                && file.unread() == 0
        })
    }

    /// A rotated file whose new name matches a pattern, too, must stay known, or it would be taken
    /// for a new one and read again. Rotation goes on renaming it.
    fn forget_or_keep_identity(&mut self, key: u64, now: Instant) {
        let Some(file) = self.files.get_mut(&key) else { return };
        let Some(path) = discover::locate(&file.path, file.id) else { return self.remove(key, now) };
        file.close();
        if path != file.path {
            file.path = path;
            let state = self.state_of(key);
            self.record(Change { files: state.into_iter().collect(), ..Change::default() }, now);
        }
    }

    // Batches.

    /// Fills one batch and hands it out; whether there is more to read.
    fn hand_out(&mut self, now: Instant) -> bool {
        if let Some(sending) = self.replays.pop_front() {
            self.hand_out_again(sending, now);
            return true;
        }
        let counters = self.settings.counters.clone();
        let mut filling = Filling::new(&counters);
        let has_more = self.fill(&mut filling, now);
        if filling.parts.is_empty() {
            return has_more;
        }
        if !has_more {
            self.fill_at = now + if self.is_stopping { Duration::ZERO } else { LINGER };
        }
        let boot = self.settings.boot;
        let sequence = match filling.logs.is_empty() {
            // Everything was filtered: nothing to send, only offsets to advance.
            true => 0,
            false => self.settings.sequence.fetch_add(1, Ordering::Relaxed) + 1,
        };
        if !filling.logs.is_empty() {
            let parts = filling.parts.iter().map(|handed_out| handed_out.part).collect();
            self.record(
                Change { sending: Some(Sending { boot, sequence, parts }), ..Change::default() },
                now,
            );
        }
        self.send(boot, sequence, filling, now);
        has_more
    }

    fn hand_out_again(&mut self, sending: Sending, now: Instant) {
        let counters = self.settings.counters.clone();
        let filling =
            replay::rebuild(&sending, &mut self.files, &self.settings.sources, &mut self.buffer, &counters);
        if filling.logs.is_empty() {
            let answered = Some((sending.boot, sending.sequence));
            self.record(Change { answered, ..Change::default() }, now);
        }
        self.send(sending.boot, sending.sequence, filling, now);
    }

    fn send(&mut self, boot: u64, sequence: u64, filling: Filling<'_>, now: Instant) {
        let Filling { logs, parts, .. } = filling;
        let lines = logs.entry_count() as u64;
        self.settings.counters.lines_read.add(lines);
        let is_answered = lines == 0;
        self.in_flight.push_back(InFlight { boot, sequence, parts, since: now, is_answered });
        // There is room for all batches in flight. A closed channel means that the agent ends; the
        // checkpoint knows of the batch.
        if !is_answered && self.outbox.try_send(Batch { boot, sequence, logs }).is_err() {
            tracing::debug!("the sender has ended before the tailer");
        }
    }

    /// Gives every readable file its turns, rotated files before their successors.
    fn fill(&mut self, filling: &mut Filling<'_>, now: Instant) -> bool {
        let waiting = self.names_of_unfinished();
        let is_blocked = |file: &TailedFile| file.phase == Phase::Active && waiting.contains(&file.filename);
        let wait = self.settings.rotate_wait;
        let readable = |file: &&TailedFile| file.is_ready(is_final(file, now, wait)) && !is_blocked(file);
        let mut keys: Vec<u64> = self.files.values().filter(readable).map(|file| file.key).collect();
        let turn = keys.partition_point(|key| *key < self.turn);
        keys.rotate_left(turn);
        let mut partial = BTreeSet::new();
        for key in &keys {
            if filling.is_full() {
                self.turn = *key;
                return true;
            }
            if self.take_turn(*key, filling, now) {
                partial.insert(*key);
            }
        }
        self.turn = 0;
        !partial.is_empty()
    }

    fn names_of_unfinished(&self) -> HashSet<String> {
        let is_unfinished =
            |file: &&TailedFile| matches!(file.phase, Phase::Rotated(_)) && file.is_ready(false);
        self.files.values().filter(is_unfinished).map(|file| file.filename.clone()).collect()
    }

    /// Whether the file has more to read after its turn.
    fn take_turn(&mut self, key: u64, filling: &mut Filling<'_>, now: Instant) -> bool {
        let Some(file) = self.files.get_mut(&key) else { return false };
        let path: PathBuf = file.path.clone();
        if !file.is_open() && !file.reopen(&path).unwrap_or(false) {
            return false;
        }
        let is_final = is_final(file, now, self.settings.rotate_wait);
        let source = &self.settings.sources[file.source];
        match filling.take(file, source, &mut self.buffer, None, is_final) {
            Ok(Turn::Read) => file.is_ready(is_final),
            Ok(Turn::NothingYet) => false,
            Ok(Turn::Replaced) => {
                self.replace(key, 0, now);
                true
            }
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "failed to read a file");
                false
            }
        }
    }

    fn take_answers(&mut self, answered: &VecDeque<(u64, u64)>, now: Instant) {
        for id in answered {
            let sent = self.in_flight.iter_mut().find(|sent| (sent.boot, sent.sequence) == *id);
            if let Some(sent) = sent {
                sent.is_answered = true;
            }
        }
        self.settle(now);
    }

    /// Advances offsets past batches that are answered, in order.
    fn settle(&mut self, now: Instant) {
        while self.in_flight.front().is_some_and(|sent| sent.is_answered) {
            let Some(sent) = self.in_flight.pop_front() else { return };
            let mut keys = BTreeSet::new();
            for HandedOut { part, marker } in &sent.parts {
                if let Some(file) = self.files.get_mut(&part.key) {
                    file.acknowledge(part.end, *marker);
                    keys.insert(part.key);
                }
            }
            let files = keys.into_iter().filter_map(|key| self.state_of(key)).collect();
            let answered = (sent.sequence > 0).then_some((sent.boot, sent.sequence));
            self.record(Change { files, answered, ..Change::default() }, now);
        }
    }

    fn state_of(&self, key: u64) -> Option<FileState> {
        let file = self.files.get(&key)?;
        Some(file.state(&self.settings.sources[file.source].name))
    }

    // Bookkeeping.

    fn record(&mut self, change: Change, now: Instant) {
        let is_empty = change.files.is_empty() && change.gone.is_empty();
        if is_empty && change.sending.is_none() && change.answered.is_none() {
            return;
        }
        if let Err(error) = self.checkpoint.record(change, now) {
            self.note_checkpoint_failure(&error);
        }
    }

    /// Reading goes on without checkpoints: lines may come twice after a crash, which is better
    /// than not at all.
    fn note_checkpoint_failure(&self, error: &io::Error) {
        if self.settings.agent_counters.checkpoint_failures.get() == 0 {
            tracing::error!(%error, "failed to write the checkpoint; lines may be repeated after a crash");
        }
        self.settings.agent_counters.checkpoint_failures.add(1);
    }

    fn report(&self, now: Instant) {
        let counters = &self.settings.counters;
        counters.log_files.set(self.files.len() as u64);
        counters.log_bytes_lag.set(self.files.values().map(TailedFile::lag).sum());
        let oldest = self.in_flight.front().map_or(Duration::ZERO, |sent| now.duration_since(sent.since));
        counters.log_age_ms.set(oldest.as_millis() as u64);
    }
}

/// Whether a last line without newline is all there will be.
fn is_final(file: &TailedFile, now: Instant, rotate_wait: Duration) -> bool {
    matches!(file.phase, Phase::Rotated(quiet) if now.duration_since(quiet) >= rotate_wait)
}
