use super::*;
use redb::{ReadableTable, TableDefinition};
use std::{collections::BTreeSet, sync::Arc};

const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("t");
const PAGE_BYTES: usize = 4096;

/// A disk below a page cache. Clones are the same one.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    cached: Vec<u8>,
    /// What a power cut leaves.
    on_disk: Vec<u8>,
    /// Numbers of pages that the next fsync writes.
    dirty: BTreeSet<usize>,
    is_full: bool,
    /// The next fsync fails.
    fails_once: bool,
}

impl Pages {
    fn check(&self) -> io::Result<()> {
        if self.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// As on Linux, pages are clean after a failure, too.
    fn sync(&mut self) -> io::Result<()> {
        let dirty = std::mem::take(&mut self.dirty);
        if std::mem::take(&mut self.fails_once) {
            return Err(io::Error::other("input/output error"));
        }
        for page in dirty {
            let end = self.cached.len().min((page + 1) * PAGE_BYTES);
            let bytes = page * PAGE_BYTES..end;
            self.on_disk[bytes.clone()].copy_from_slice(&self.cached[bytes]);
        }
        Ok(())
    }
}

impl Disk {
    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap()
    }

    fn database(&self) -> Database {
        checked().create_with_backend(self.clone()).unwrap()
    }

    fn file(&self) -> Reopened<Disk> {
        let disk = self.clone();
        Reopened::new(self.database(), Box::new(move || Ok(disk.clone())))
    }

    fn cut_power(&self) {
        let mut pages = self.pages();
        pages.cached = pages.on_disk.clone();
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.pages().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(&self.pages().cached[offset as usize..][..out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut pages = self.pages();
        pages.check()?;
        pages.cached.resize(len as usize, 0);
        pages.on_disk.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut pages = self.pages();
        pages.check()?;
        pages.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut pages = self.pages();
        pages.check()?;
        pages.cached[offset as usize..][..data.len()].copy_from_slice(data);
        let last = (offset as usize + data.len().saturating_sub(1)) / PAGE_BYTES;
        pages.dirty.extend(offset as usize / PAGE_BYTES..=last);
        Ok(())
    }
}

impl<B: StorageBackend> Reopened<B> {
    /// Lets the next transaction try at once.
    fn hurry(&self) {
        self.next_try.lock().unwrap().at = None;
    }

    fn pause(&self) -> Duration {
        self.next_try.lock().unwrap().at.unwrap().saturating_duration_since(Instant::now())
    }

    fn put(&self, key: &str, value: u64) -> Result<(), redb::Error> {
        self.write(|transaction| {
            transaction.open_table(TABLE)?.insert(key, value)?;
            Ok(())
        })
    }

    fn get(&self, key: &str) -> Option<u64> {
        let got: Result<_, redb::Error> =
            self.read(|transaction| Ok(transaction.open_table(TABLE)?.get(key)?.map(|value| value.value())));
        got.unwrap()
    }
}

#[test]
fn what_a_full_disk_refused_is_taken_once_there_is_room() {
    let disk = Disk::default();
    let file = disk.file();
    file.put("a", 1).unwrap();
    disk.pages().is_full = true;
    for _ in 0..3 {
        file.put("b", 2).unwrap_err();
        file.hurry();
    }
    disk.pages().is_full = false;
    file.put("c", 3).unwrap();
    assert_eq!(["a", "b", "c"].map(|key| file.get(key)), [Some(1), None, Some(3)]);
}

#[test]
fn a_file_that_failed_is_not_opened_anew_all_the_time() {
    let disk = Disk::default();
    let file = disk.file();
    file.put("a", 1).unwrap();
    disk.pages().is_full = true;
    file.put("b", 2).unwrap_err();
    assert!(file.put("b", 2).is_err(), "tried at once, in vain");
    disk.pages().is_full = false;
    assert!(file.put("b", 2).is_err(), "and not again so soon");
}

/// The fsync after one that failed says that all is well.
#[test]
fn what_a_failed_fsync_left_unwritten_is_written_before_it_is_believed() {
    let disk = Disk::default();
    let file = disk.file();
    for number in 0..200 {
        file.put(&format!("before {number}"), number).unwrap();
    }
    disk.pages().fails_once = true;
    let many = |transaction: &WriteTransaction| {
        let mut table = transaction.open_table(TABLE)?;
        for number in 0..200 {
            table.insert(format!("amid {number}").as_str(), number)?;
        }
        Ok(())
    };
    file.write(many).unwrap_err();
    file.put("after", 1).unwrap();
    disk.cut_power();
    let file = disk.file();
    assert_eq!(["before 7", "after"].map(|key| file.get(key)), [Some(7), Some(1)]);
}

#[test]
fn a_file_that_takes_long_is_opened_anew_the_less_often() {
    let disk = Disk::default();
    let slow = Box::new(move || {
        std::thread::sleep(REOPEN_EVERY / 8);
        Err(StorageError::Io(io::ErrorKind::StorageFull.into()).into())
    });
    let file: Reopened<Disk> = Reopened::new(disk.database(), slow);
    disk.pages().is_full = true;
    file.put("a", 1).unwrap_err();
    file.put("a", 1).unwrap_err();
    assert!(file.pause() > REOPEN_EVERY, "{:?}", file.pause());
}

#[test]
fn a_file_found_damaged_is_left_alone() {
    let disk = Disk::default();
    let file = disk.file();
    file.put("a", 1).unwrap();
    disk.pages().fails_once = true;
    file.put("b", 2).unwrap_err();
    disk.pages().cached.fill(7);
    file.put("b", 2).unwrap_err();
    assert!(file.pause() < DAMAGED_PAUSE / 2, "one read may go wrong: {:?}", file.pause());
    file.hurry();
    file.put("b", 2).unwrap_err();
    assert!(file.pause() > DAMAGED_PAUSE / 2, "{:?}", file.pause());
}

/// Only a try that could tell says that it is damaged no more.
#[test]
fn a_full_disk_does_not_make_a_damaged_file_good() {
    let disk = Disk::default();
    let file = disk.file();
    file.put("a", 1).unwrap();
    disk.pages().fails_once = true;
    file.put("b", 2).unwrap_err();
    disk.pages().cached.fill(7);
    file.put("b", 2).unwrap_err();
    disk.pages().is_full = true;
    file.hurry();
    file.put("b", 2).unwrap_err();
    assert!(file.pause() < DAMAGED_PAUSE / 2, "there may be room soon: {:?}", file.pause());
    disk.pages().is_full = false;
    file.hurry();
    file.put("b", 2).unwrap_err();
    assert!(file.pause() > DAMAGED_PAUSE / 2, "{:?}", file.pause());
}

/// A fresh one would hold only what changes from now on.
#[test]
fn a_file_that_is_gone_or_emptied_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let file = open(&path);
    file.put("a", 1).unwrap();
    let fail = |_: &WriteTransaction| Err::<(), _>(redb::Error::Io(io::Error::other("input/output error")));
    file.write(fail).unwrap_err();
    let good = std::fs::read(&path).unwrap();

    std::fs::remove_file(&path).unwrap();
    let error = file.put("b", 2).unwrap_err().to_string();
    assert!(error.contains("state.redb"), "{error}");
    assert!(!path.try_exists().unwrap(), "none is made");
    std::fs::write(&path, []).unwrap();
    file.hurry();
    let error = file.put("b", 2).unwrap_err().to_string();
    assert!(error.contains("emptied"), "{error}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "nothing is written to it");
    assert!(file.pause() < DAMAGED_PAUSE / 2, "{:?}", file.pause());

    std::fs::write(&path, good).unwrap();
    file.hurry();
    file.put("b", 2).unwrap();
    assert_eq!(["a", "b"].map(|key| file.get(key)), [Some(1), Some(2)]);
}

fn open(path: &Path) -> Reopened<FileBackend> {
    File::open(path, "all of it").unwrap().0
}

#[test]
fn a_damaged_file_is_set_aside() {
    for damage in [&b"noise noise noise noise noise noise noise noise"[..], &[0; 70_001], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        std::fs::write(&path, damage).unwrap();
        open(&path).put("a", 1).unwrap();
        assert_eq!(std::fs::read(path.with_extension("redb.damaged")).unwrap(), damage);
        assert_eq!(open(&path).get("a"), Some(1));
    }
}

const RECORDS: u64 = 2000;

fn records(file: &Reopened<FileBackend>) -> u64 {
    let found: Result<u64, redb::Error> = file.read(|transaction| {
        let table = match transaction.open_table(TABLE) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(0),
            table => table?,
        };
        for (number, row) in table.iter()?.enumerate() {
            let (key, value) = row?;
            assert_eq!((key.value(), value.value()), (&*format!("{number:05}"), number as u64));
        }
        Ok(table.iter()?.count() as u64)
    });
    found.unwrap()
}

/// All that is told of is true, or nothing is told.
#[test]
fn a_flipped_bit_anywhere_in_a_closed_file_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let fill = |transaction: &WriteTransaction| {
        let mut table = transaction.open_table(TABLE)?;
        for number in 0..RECORDS {
            table.insert(format!("{number:05}").as_str(), number)?;
        }
        Ok(())
    };
    open(&path).write(fill).unwrap();
    let good = std::fs::read(&path).unwrap();
    let header = 0..512;
    let (mut kept, mut lost) = (0, 0);
    for at in header.chain((512..good.len()).step_by(8191)) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        let file = open(&path);
        match records(&file) {
            RECORDS => kept += 1,
            0 => lost += 1,
            other => panic!("{other} records with byte {at} flipped"),
        }
        file.put("new", 1).unwrap();
    }
    assert!(kept > 0 && lost > 20, "{kept} kept, {lost} lost of {} bytes", good.len());
}
