//! A folder in memory that forgets what was not synced.
//!
//! The model is harsher than any journaling file system: at a crash each folder keeps a random
//! prefix of its unsynced entry changes, and each file keeps a random part of its unsynced bytes,
//! perhaps followed by zeros. Everything random follows from the seed. Handles from before a
//! crash fail afterwards, as those of a dead process would.

use crate::dir::{Backend, Dir};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What goes wrong in a simulated folder. Counts start at 1 and begin anew with
/// [`Dir::set_faults`].
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Bytes that fit; a write beyond is cut short and answers `StorageFull`.
    pub capacity_bytes: Option<u64>,
    /// This write is cut short and answers `StorageFull`; the next one finds room again.
    pub full_at_write: Option<u64>,
    /// This write is cut short and fails for good.
    pub fail_at_write: Option<u64>,
    /// This sync (of a file or folder) fails and makes nothing durable.
    pub fail_at_sync: Option<u64>,
    /// From this changing operation on everything fails, as if the power had gone; `crash` follows.
    pub halt_at_operation: Option<u64>,
    /// Files of this name are on blocks that cannot be read any more.
    pub unreadable: Option<&'static str>,
}

#[derive(Default)]
struct FileNode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// First offset at which `bytes` may differ from `durable`.
    dirty_from: Option<usize>,
}

#[derive(Default)]
struct FolderNode {
    entries: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<EntryChange>,
    locked: bool,
}

enum EntryChange {
    Put(String, u64),
    Remove(String),
    Rename(String, String),
}

enum Node {
    File(FileNode),
    Folder(FolderNode),
}

/// Everything below one simulated root.
struct World {
    nodes: HashMap<u64, Node>,
    next_node: u64,
    random: u64,
    faults: Faults,
    /// Counted since the faults were set.
    writes: u64,
    syncs: u64,
    operations: u64,
    /// Grows with each crash; handles of an older epoch are dead.
    epoch: u64,
}

const ROOT: u64 = 0;
/// `EIO`.
const INPUT_OUTPUT_ERROR: i32 = 5;

#[derive(Clone)]
pub(crate) struct SimulatedDir {
    world: Arc<Mutex<World>>,
    node: u64,
    epoch: u64,
}

#[derive(Clone)]
pub(crate) struct SimulatedFile(SimulatedDir);

pub(crate) struct SimulatedLock(SimulatedDir);

/// Controls of a simulated folder.
///
/// # Panics
/// All of these panic on a real folder: only tests call them.
impl Dir {
    /// Crashes the machine: what was not synced is dropped or torn. Returns the root folder as the
    /// next process finds it; all older handles fail from now on. No faults are left.
    pub fn crash(&self) -> Dir {
        Dir(Backend::Simulated(self.as_simulated().crash()))
    }

    /// Replaces the faults and starts their counts anew.
    pub fn set_faults(&self, faults: Faults) {
        let mut world = self.as_simulated().world();
        world.faults = faults;
        (world.writes, world.syncs, world.operations) = (0, 0, 0);
    }

    /// Changing operations since the faults were set.
    pub fn operations(&self) -> u64 {
        self.as_simulated().world().operations
    }

    /// Flips one bit of a file, in memory and on the medium.
    pub fn flip_bit(&self, name: &str, bit: u64) {
        let dir = self.as_simulated();
        let mut world = dir.world();
        let id = *world.folder(dir.node).entries.get(name).expect("the file exists");
        let file = world.file(id);
        let (byte, mask) = ((bit / 8) as usize, 1u8 << (bit % 8));
        file.bytes[byte] ^= mask;
        if let Some(durable) = file.durable.get_mut(byte) {
            *durable ^= mask;
        }
    }

    fn as_simulated(&self) -> &SimulatedDir {
        match &self.0 {
            Backend::Simulated(dir) => dir,
            Backend::Real(_) => panic!("only a simulated folder has faults and crashes"),
        }
    }
}

impl World {
    fn folder(&mut self, id: u64) -> &mut FolderNode {
        match self.nodes.get_mut(&id) {
            Some(Node::Folder(folder)) => folder,
            _ => panic!("a folder handle names a folder"),
        }
    }

    fn file(&mut self, id: u64) -> &mut FileNode {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => file,
            _ => panic!("a file handle names a file"),
        }
    }

    fn add(&mut self, node: Node) -> u64 {
        self.next_node += 1;
        self.nodes.insert(self.next_node, node);
        self.next_node
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random_u64(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn random_up_to(&mut self, inclusive: usize) -> usize {
        (self.random_u64() % (inclusive as u64 + 1)) as usize
    }

    /// Counts a changing operation, or fails it once the power has gone.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.faults.halt_at_operation {
            Some(at) if self.operations >= at => Err(io::Error::other("simulated power cut")),
            _ => Ok(()),
        }
    }

    fn count_sync(&mut self) -> io::Result<()> {
        self.operate()?;
        self.syncs += 1;
        if self.faults.fail_at_sync == Some(self.syncs) {
            return Err(io::Error::other("simulated sync failure"));
        }
        Ok(())
    }

    fn bytes_used(&self, id: u64) -> u64 {
        match &self.nodes[&id] {
            Node::File(file) => file.bytes.len() as u64,
            Node::Folder(folder) => folder.entries.values().map(|&child| self.bytes_used(child)).sum(),
        }
    }

    fn change_entries(&mut self, id: u64, change: EntryChange) {
        let folder = self.folder(id);
        apply(&mut folder.entries, &change);
        folder.pending.push(change);
    }

    fn crash(&mut self) {
        let mut ids: Vec<u64> = self.nodes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            match self.nodes.remove(&id) {
                Some(Node::File(mut file)) => {
                    self.tear(&mut file);
                    self.nodes.insert(id, Node::File(file));
                }
                Some(Node::Folder(mut folder)) => {
                    let kept = self.random_up_to(folder.pending.len());
                    for change in folder.pending.drain(..).take(kept) {
                        apply(&mut folder.durable, &change);
                    }
                    folder.entries = folder.durable.clone();
                    folder.locked = false;
                    self.nodes.insert(id, Node::Folder(folder));
                }
                None => {}
            }
        }
        self.faults = Faults::default();
        self.epoch += 1;
    }

    /// Chooses what the medium has of a file's unsynced bytes.
    fn tear(&mut self, file: &mut FileNode) {
        let Some(from) = file.dirty_from.take() else { return };
        let unsynced = file.bytes.len().saturating_sub(from);
        let kept = self.random_up_to(unsynced);
        match self.random_u64() % 4 {
            // Nothing of it arrived.
            0 => file.bytes.clone_from(&file.durable),
            // The length arrived before the bytes.
            1 => file.bytes[from + kept..].fill(0),
            // A part arrived.
            _ => file.bytes.truncate(from + kept),
        }
        file.durable.clone_from(&file.bytes);
    }
}

fn apply(entries: &mut BTreeMap<String, u64>, change: &EntryChange) {
    match change {
        EntryChange::Put(name, id) => {
            entries.insert(name.clone(), *id);
        }
        EntryChange::Remove(name) => {
            entries.remove(name);
        }
        EntryChange::Rename(from, to) => {
            if let Some(id) = entries.remove(from) {
                entries.insert(to.clone(), id);
            }
        }
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("`{name}` does not exist"))
}

impl SimulatedDir {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let world = World {
            nodes: HashMap::from([(ROOT, Node::Folder(FolderNode::default()))]),
            next_node: ROOT,
            random: seed,
            faults,
            writes: 0,
            syncs: 0,
            operations: 0,
            epoch: 0,
        };
        SimulatedDir { world: Arc::new(Mutex::new(world)), node: ROOT, epoch: 0 }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world();
        if world.epoch == self.epoch { Ok(world) } else { Err(io::Error::other("simulated crash")) }
    }

    fn at(&self, node: u64) -> Self {
        SimulatedDir { world: self.world.clone(), node, epoch: self.epoch }
    }

    fn crash(&self) -> Self {
        let mut world = self.world();
        world.crash();
        SimulatedDir { world: self.world.clone(), node: ROOT, epoch: world.epoch }
    }

    pub(crate) fn random_u64(&self) -> u64 {
        self.world().random_u64()
    }

    fn entry(world: &mut World, folder: u64, name: &str) -> io::Result<u64> {
        world.folder(folder).entries.get(name).copied().ok_or_else(|| not_found(name))
    }

    pub(crate) fn sub(&self, name: &str) -> io::Result<Self> {
        let mut world = self.live()?;
        if let Ok(id) = Self::entry(&mut world, self.node, name) {
            return match &world.nodes[&id] {
                Node::Folder(_) => Ok(self.at(id)),
                Node::File(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, name.to_owned())),
            };
        }
        world.operate()?;
        let id = world.add(Node::Folder(FolderNode::default()));
        world.change_entries(self.node, EntryChange::Put(name.to_owned(), id));
        drop(world);
        self.sync_dir()?;
        Ok(self.at(id))
    }

    pub(crate) fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.live()?.folder(self.node).entries.keys().cloned().collect())
    }

    pub(crate) fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut world = self.live()?;
        let id = Self::entry(&mut world, self.node, name)?;
        match &world.nodes[&id] {
            Node::File(_) => Ok(SimulatedFile(self.at(id))),
            Node::Folder(_) => Err(io::Error::new(io::ErrorKind::IsADirectory, name.to_owned())),
        }
    }

    pub(crate) fn open_to_read(&self, name: &str) -> io::Result<SimulatedFile> {
        if self.live()?.faults.unreadable == Some(name) {
            return Err(io::Error::from_raw_os_error(INPUT_OUTPUT_ERROR));
        }
        self.open(name)
    }

    pub(crate) fn create_file(&self, name: &str) -> io::Result<SimulatedFile> {
        let existing = self.open(name);
        match existing {
            Ok(file) => {
                file.truncate(0)?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut world = self.live()?;
                world.operate()?;
                let id = world.add(Node::File(FileNode::default()));
                world.change_entries(self.node, EntryChange::Put(name.to_owned(), id));
                Ok(SimulatedFile(self.at(id)))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.live()?;
        world.operate()?;
        Self::entry(&mut world, self.node, from)?;
        if let Ok(target) = Self::entry(&mut world, self.node, to)
            && let Node::Folder(folder) = &world.nodes[&target]
            && !folder.entries.is_empty()
        {
            return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, to.to_owned()));
        }
        world.change_entries(self.node, EntryChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    pub(crate) fn link(&self, from: &str, to: &SimulatedDir, name: &str) -> io::Result<()> {
        let mut world = self.live()?;
        world.operate()?;
        let id = Self::entry(&mut world, self.node, from)?;
        world.change_entries(to.node, EntryChange::Put(name.to_owned(), id));
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.live()?;
        world.operate()?;
        Self::entry(&mut world, self.node, name)?;
        world.change_entries(self.node, EntryChange::Remove(name.to_owned()));
        Ok(())
    }

    /// Entry by entry, as a real removal goes, so that a crash may leave half a folder.
    pub(crate) fn remove_all(&self, name: &str) -> io::Result<()> {
        let mut world = self.live()?;
        let id = Self::entry(&mut world, self.node, name)?;
        let children: Vec<(String, bool)> = match &world.nodes[&id] {
            Node::File(_) => return Err(io::Error::new(io::ErrorKind::NotADirectory, name.to_owned())),
            Node::Folder(folder) => folder
                .entries
                .iter()
                .map(|(name, child)| (name.clone(), matches!(world.nodes[child], Node::Folder(_))))
                .collect(),
        };
        drop(world);
        let folder = self.at(id);
        for (child, is_folder) in children {
            if is_folder { folder.remove_all(&child)? } else { folder.remove(&child)? }
        }
        self.remove(name)
    }

    pub(crate) fn sync_dir(&self) -> io::Result<()> {
        let mut world = self.live()?;
        world.count_sync()?;
        let folder = world.folder(self.node);
        folder.durable = folder.entries.clone();
        folder.pending.clear();
        Ok(())
    }

    pub(crate) fn bytes_used(&self) -> io::Result<u64> {
        Ok(self.live()?.bytes_used(self.node))
    }

    pub(crate) fn lock(&self) -> io::Result<SimulatedLock> {
        let mut world = self.live()?;
        let folder = world.folder(self.node);
        if folder.locked {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the folder is in use by another process"));
        }
        folder.locked = true;
        Ok(SimulatedLock(self.clone()))
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        if let Ok(mut world) = self.0.live() {
            world.folder(self.0.node).locked = false;
        }
    }
}

impl std::fmt::Debug for SimulatedLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedLock")
    }
}

impl SimulatedFile {
    pub(crate) fn len(&self) -> u64 {
        self.0.world().file(self.0.node).bytes.len() as u64
    }

    pub(crate) fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let mut world = self.0.live()?;
        let bytes = &world.file(self.0.node).bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match bytes.get(start..).and_then(|rest| rest.get(..into.len())) {
            Some(found) => {
                into.copy_from_slice(found);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.0.live()?;
        world.operate()?;
        world.writes += 1;
        let room = match world.faults.capacity_bytes {
            Some(capacity) => capacity.saturating_sub(world.bytes_used(ROOT)) as usize,
            None => usize::MAX,
        };
        let number = Some(world.writes);
        let (is_full, has_failed) = (
            world.faults.full_at_write == number || room < bytes.len(),
            world.faults.fail_at_write == number,
        );
        let written = match is_full || has_failed {
            true => world.random_up_to(bytes.len().min(room)),
            false => bytes.len(),
        };
        let file = world.file(self.0.node);
        let from = file.dirty_from.unwrap_or(usize::MAX).min(file.bytes.len());
        file.dirty_from = Some(from);
        file.bytes.extend_from_slice(&bytes[..written]);
        if has_failed {
            return Err(io::Error::other("simulated write failure"));
        }
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(crate) fn truncate(&self, length: u64) -> io::Result<()> {
        let mut world = self.0.live()?;
        world.operate()?;
        let file = world.file(self.0.node);
        let length = length as usize;
        if length < file.bytes.len() {
            file.dirty_from = Some(file.dirty_from.unwrap_or(usize::MAX).min(length));
        }
        file.bytes.resize(length, 0);
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut world = self.0.live()?;
        world.count_sync()?;
        let file = world.file(self.0.node);
        if let Some(from) = file.dirty_from.take() {
            file.durable.truncate(from);
            file.durable.extend_from_slice(&file.bytes[from..]);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
