//! One file being followed.
//!
//! Three offsets, each at the start of a line: `acknowledged` ≤ `offset` ≤ the file's size. What is
//! between the first two is in flight; what is after `offset` is still only in the file, a partial
//! last line included: it is read again when it has grown.

use super::{
    LINE_BYTES_MAX, READ_BYTES,
    checkpoint::FileState,
    copies::Copy,
    identity::{FileId, MARKER_BYTES, Prefix, marker_at, marker_hash, read_at},
    lines::{Line, line, whole_lines},
};
use std::{
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

/// How far one turn looks for the end of a line that is too long.
const SCAN_BYTES_MAX: u64 = 4 << 20;

/// Where a file is in its life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Its path leads to it.
    Active,
    /// It was renamed or removed; nothing new has come since the instant.
    Rotated(Instant),
}

/// What a turn of reading found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Turn {
    /// Lines up to the new offset were handed out; there may be more.
    Read,
    /// There is no whole line after the offset.
    NothingYet,
    /// The file does not have the bytes any more that were read from it: it was truncated, and
    /// perhaps written anew.
    Replaced,
}

/// See the module.
#[derive(Debug)]
pub(super) struct TailedFile {
    pub(super) key: u64,
    pub(super) source: usize,
    pub(super) path: PathBuf,
    pub(super) filename: String,
    pub(super) id: FileId,
    pub(super) phase: Phase,
    /// Bytes when last looked at.
    pub(super) size: u64,
    pub(super) changed_at: Instant,
    /// The file's own time of the last write, when last looked at.
    pub(super) modified: Option<SystemTime>,
    pub(super) next_check: Instant,
    /// Entries of a stream have ascending, unique times.
    pub(super) last_timestamp_ns: i64,
    file: Option<File>,
    prefix: Prefix,
    offset: u64,
    marker: u64,
    acknowledged: u64,
    acknowledged_marker: u64,
    /// There is no newline between `offset` and here.
    scanned: u64,
}

impl TailedFile {
    /// Follows the file at `path` from `offset`, which must be at the start of a line.
    pub(super) fn open(
        key: u64,
        source: usize,
        path: &Path,
        metadata: &Metadata,
        offset: u64,
        now: Instant,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        let id = FileId::of(&file.metadata()?);
        let marker = marker_at(&file, offset)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let prefix = Prefix::read(&file, offset)?;
        Ok(TailedFile {
            key,
            source,
            path: path.to_path_buf(),
            filename: path.to_string_lossy().into_owned(),
            id,
            phase: Phase::Active,
            size: metadata.len(),
            changed_at: now,
            modified: None,
            next_check: now,
            last_timestamp_ns: 0,
            file: Some(file),
            prefix,
            offset,
            marker,
            acknowledged: offset,
            acknowledged_marker: marker,
            scanned: offset,
        })
    }

    /// Goes on with a file of the checkpoint, found at `path`. `None` when its content is not what
    /// was read then.
    pub(super) fn resume(
        state: &FileState,
        source: usize,
        path: &Path,
        now: Instant,
    ) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let is_same = FileId::of(&metadata) == state.id
            && state.prefix.matches(&file)?
            && marker_at(&file, state.offset)? == Some(state.marker);
        let phase = if path == Path::new(&state.filename) { Phase::Active } else { Phase::Rotated(now) };
        Ok(is_same.then(|| TailedFile {
            key: state.key,
            source,
            path: path.to_path_buf(),
            filename: state.filename.clone(),
            id: state.id,
            phase,
            size: metadata.len(),
            changed_at: now,
            modified: None,
            next_check: now,
            last_timestamp_ns: 0,
            file: Some(file),
            prefix: state.prefix,
            offset: state.offset,
            marker: state.marker,
            acknowledged: state.offset,
            acknowledged_marker: state.marker,
            scanned: state.offset,
        }))
    }

    pub(super) fn state(&self, source: &str) -> FileState {
        FileState {
            key: self.key,
            path: self.path.to_string_lossy().into_owned(),
            filename: self.filename.clone(),
            source: source.to_owned(),
            id: self.id,
            prefix: self.prefix,
            offset: self.acknowledged,
            marker: self.acknowledged_marker,
            size: self.size,
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How far the search for the end of a long line has come.
    pub(super) fn scan_position(&self) -> u64 {
        self.scanned
    }

    pub(super) fn marker(&self) -> u64 {
        self.marker
    }

    /// Bytes not acknowledged yet.
    pub(super) fn lag(&self) -> u64 {
        self.size.saturating_sub(self.acknowledged)
    }

    /// Bytes not handed out yet.
    pub(super) fn unread(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Whether a turn of reading may find a line.
    pub(super) fn is_ready(&self, is_final: bool) -> bool {
        self.size > self.scanned || is_final && self.unread() > 0
    }

    pub(super) fn is_settled(&self) -> bool {
        self.acknowledged == self.offset
    }

    /// Everything before `end` is stored, or counted as lost.
    pub(super) fn acknowledge(&mut self, end: u64, marker: u64) {
        self.acknowledged = end;
        self.acknowledged_marker = marker;
    }

    /// The open file's metadata; it tells of a removed file, too.
    pub(super) fn metadata(&self) -> Option<Metadata> {
        self.file.as_ref().and_then(|file| file.metadata().ok())
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Goes on in a copy of what the file was, as if it had been renamed to it.
    pub(super) fn move_to(&mut self, copy: Copy, now: Instant) -> bool {
        let Ok(metadata) = copy.file.metadata() else { return false };
        self.id = FileId::of(&metadata);
        self.size = metadata.len();
        self.scanned = self.offset;
        self.path = copy.path;
        self.file = Some(copy.file);
        self.phase = Phase::Rotated(now);
        (self.changed_at, self.next_check) = (now, now);
        true
    }

    /// Whether the file still has what was read from it. Nothing says so but its bytes when it was
    /// truncated and written to the same size.
    pub(super) fn is_intact(&self) -> bool {
        let Ok(file) = File::open(&self.path) else { return true };
        marker_at(&file, self.offset).map_or(true, |marker| marker == Some(self.marker))
    }

    /// Whether `other` begins like this file did, and has the same bytes before the offset.
    pub(super) fn is_continued_by(&self, other: &File) -> io::Result<bool> {
        Ok(self.offset > 0
            && self.prefix.matches(other)?
            && marker_at(other, self.offset)? == Some(self.marker))
    }

    /// Opens the file again after [`TailedFile::close`], at the place where it is now. False when
    /// another file is there.
    pub(super) fn reopen(&mut self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        if FileId::of(&file.metadata()?) != self.id {
            return Ok(false);
        }
        self.file = Some(file);
        Ok(true)
    }

    /// Hands out lines until the buffer has been gone through once. `until` ends the reading at an
    /// offset where a line ended before; with `is_final` a last line without newline counts, too.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        until: Option<u64>,
        is_final: bool,
        mut hand_out: impl FnMut(Line<'_>),
    ) -> io::Result<Turn> {
        let Some(file) = &self.file else { return Ok(Turn::NothingYet) };
        debug_assert!(buffer.len() == READ_BYTES && READ_BYTES > LINE_BYTES_MAX + MARKER_BYTES as usize);
        let before = self.offset.min(MARKER_BYTES) as usize;
        let filled = fill(file, buffer, self.offset - before as u64)?;
        if filled < before || marker_hash(&buffer[..before]) != self.marker {
            return Ok(Turn::Replaced);
        }
        let available = filled - before;
        let wanted = until.map_or(available, |until| available.min((until - self.offset) as usize));
        let data = &buffer[before..before + wanted];
        let mut consumed = 0;
        for (bytes, end) in whole_lines(data) {
            hand_out(line(bytes));
            consumed = end;
        }
        let reached_end = filled < buffer.len() || wanted < available;
        if consumed == 0 && !reached_end {
            return self.read_long_line(&buffer[before..], is_final, until, hand_out);
        }
        if reached_end && (is_final || until.is_some()) && consumed < data.len() {
            hand_out(line(&data[consumed..]));
            consumed = data.len();
        }
        if consumed == 0 {
            self.scanned = self.offset + data.len() as u64;
            return Ok(Turn::NothingYet);
        }
        self.marker = marker_hash(&buffer[..before + consumed]);
        self.advance(self.offset + consumed as u64)?;
        Ok(Turn::Read)
    }

    /// A line longer than the buffer, whose beginning is `start`: looks for its end and hands out
    /// what may be shipped of it.
    fn read_long_line(
        &mut self,
        start: &[u8],
        is_final: bool,
        until: Option<u64>,
        mut hand_out: impl FnMut(Line<'_>),
    ) -> io::Result<Turn> {
        let Some(file) = &self.file else { return Ok(Turn::NothingYet) };
        let mut chunk = vec![0; 64 << 10];
        let mut at = self.scanned.max(self.offset + start.len() as u64);
        let limit = at + SCAN_BYTES_MAX;
        let end = loop {
            let filled = fill(file, &mut chunk, at)?;
            if let Some(newline) = memchr::memchr(b'\n', &chunk[..filled]) {
                break Some(at + newline as u64 + 1);
            }
            at += filled as u64;
            if filled < chunk.len() {
                break (is_final || until == Some(at)).then_some(at);
            }
            if at >= limit {
                break None;
            }
        };
        let Some(end) = end else {
            self.scanned = at;
            return Ok(Turn::NothingYet);
        };
        let marker = marker_at(file, end)?;
        hand_out(line(start));
        self.marker = marker.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.advance(end)?;
        Ok(Turn::Read)
    }

    fn advance(&mut self, offset: u64) -> io::Result<()> {
        self.offset = offset;
        self.scanned = offset;
        self.size = self.size.max(offset);
        if let Some(file) = &self.file
            && self.prefix.length < offset.min(super::identity::PREFIX_BYTES)
        {
            self.prefix = Prefix::read(file, offset)?;
        }
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The start of the first line that begins at or after the present end, looking back at most one
/// buffer: where to begin when a file's past is not wanted.
pub(super) fn last_line_start(path: &Path, size: u64, buffer: &mut [u8]) -> io::Result<u64> {
    let file = File::open(path)?;
    let from = size.saturating_sub(buffer.len() as u64);
    let wanted = (size - from) as usize;
    let filled = fill(&file, &mut buffer[..wanted], from)?;
    Ok(memchr::memrchr(b'\n', &buffer[..filled]).map_or(from, |newline| from + newline as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::OpenOptions, io::Write};

    struct Fixture {
        _folder: tempfile::TempDir,
        path: PathBuf,
        buffer: Vec<u8>,
    }

    impl Fixture {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.log");
            std::fs::write(&path, text).unwrap();
            Fixture { _folder: folder, path, buffer: vec![0; READ_BYTES] }
        }

        fn append(&self, text: &str) {
            OpenOptions::new().append(true).open(&self.path).unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn open(&self) -> TailedFile {
            let metadata = std::fs::metadata(&self.path).unwrap();
            TailedFile::open(1, 0, &self.path, &metadata, 0, Instant::now()).unwrap()
        }

        fn read(&mut self, file: &mut TailedFile, is_final: bool) -> (Vec<String>, Turn) {
            let mut lines = Vec::new();
            let turn = file
                .read(&mut self.buffer, None, is_final, |line| lines.push(line.text.into_owned()))
                .unwrap();
            (lines, turn)
        }
    }

    #[test]
    fn a_partial_line_is_held_until_it_is_whole() {
        let mut fixture = Fixture::new("one\ntw");
        let mut file = fixture.open();
        assert_eq!(fixture.read(&mut file, false), (vec!["one".into()], Turn::Read));
        assert_eq!(fixture.read(&mut file, false), (vec![], Turn::NothingYet));
        fixture.append("o\nthree");
        assert_eq!(fixture.read(&mut file, false), (vec!["two".into()], Turn::Read));
        assert_eq!(
            fixture.read(&mut file, true),
            (vec!["three".into()], Turn::Read),
            "the last line of a rotated file"
        );
        assert_eq!(file.unread(), 0);
    }

    #[test]
    fn replaced_content_is_noticed_even_when_it_is_longer() {
        let mut fixture = Fixture::new("2026-01-01 one\n");
        let mut file = fixture.open();
        fixture.read(&mut file, false);
        std::fs::write(&fixture.path, "2026-01-02 one\nand much more than before\n").unwrap();
        assert_eq!(fixture.read(&mut file, false), (vec![], Turn::Replaced));
        std::fs::write(&fixture.path, "").unwrap();
        assert_eq!(fixture.read(&mut file, false), (vec![], Turn::Replaced));
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_shipped_cut_once_it_ends() {
        let mut fixture = Fixture::new("");
        fixture.append(&"x".repeat(READ_BYTES * 2));
        let mut file = fixture.open();
        assert_eq!(fixture.read(&mut file, false), (vec![], Turn::NothingYet));
        fixture.append("y\nnext\n");
        let (lines, turn) = fixture.read(&mut file, false);
        assert_eq!((lines.len(), lines[0].len(), turn), (1, LINE_BYTES_MAX, Turn::Read));
        assert_eq!(fixture.read(&mut file, false), (vec!["next".into()], Turn::Read));
    }

    #[test]
    fn resume_checks_inode_prefix_and_marker() {
        let mut fixture = Fixture::new("first line\nsecond line\n");
        let mut file = fixture.open();
        fixture.read(&mut file, false);
        file.acknowledge(file.offset(), file.marker());
        let state = file.state("s");
        let resume = |state: &FileState| TailedFile::resume(state, 0, &fixture.path, Instant::now()).unwrap();
        assert_eq!(resume(&state).unwrap().offset(), 23);
        let other_inode = FileState { id: FileId { device: 0, inode: 0 }, ..state.clone() };
        assert!(resume(&other_inode).is_none());
        std::fs::write(&fixture.path, "first line\nsecond LINE\nthird\n").unwrap();
        assert!(resume(&state).is_none());
    }

    #[test]
    fn starting_at_the_end_starts_at_a_line() {
        let fixture = Fixture::new("a\nb\nhalf");
        let mut buffer = vec![0; READ_BYTES];
        assert_eq!(last_line_start(&fixture.path, 8, &mut buffer).unwrap(), 4);
        assert_eq!(last_line_start(&fixture.path, 2, &mut buffer).unwrap(), 2);
        assert_eq!(last_line_start(&fixture.path, 0, &mut buffer).unwrap(), 0);
    }
}
