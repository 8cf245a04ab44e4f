//! The manifest: which parts exist, from where the write-ahead log is replayed, what is deleted,
//! and which batches have been taken. Replaced atomically; every change of the store is this one
//! write.

use crate::{
    bytes::{Damaged, Reader, put_bytes, put_signed, put_varint, seal, unseal},
    part::PartId,
    tombstone::Tombstone,
};
use std::sync::Arc;
use store::BatchLedger;

const MAGIC: &[u8; 8] = b"BWLMAN\0\x01";
const DELETIONS_MAGIC: &[u8; 8] = b"BWLDEL\0\x01";
/// Its file's name.
pub(crate) const MANIFEST_FILE: &str = "manifest.bin";
/// The deletions once more, for when the manifest is damaged.
pub(crate) const DELETIONS_FILE: &str = "deletions.bin";

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("`{MANIFEST_FILE}` was written by a newer release; start that one, or restore a backup")]
    Newer,
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// The file of deletions.
pub(crate) fn encode_deletions(tombstones: &[Arc<Tombstone>]) -> Vec<u8> {
    let mut out = Vec::new();
    put_deletions(&mut out, tombstones);
    seal(DELETIONS_MAGIC, &out)
}

/// Reads [`encode_deletions`].
pub(crate) fn read_deletions(bytes: &[u8]) -> Result<Vec<Arc<Tombstone>>, Damaged> {
    take_deletions(&mut Reader::new(unseal(DELETIONS_MAGIC, bytes, DELETIONS_FILE)?))
}

fn put_deletions(out: &mut Vec<u8>, tombstones: &[Arc<Tombstone>]) {
    put_varint(out, tombstones.len() as u64);
    tombstones.iter().for_each(|tombstone| tombstone.put(out));
}

fn take_deletions(reader: &mut Reader<'_>) -> Result<Vec<Arc<Tombstone>>, Damaged> {
    (0..reader.count()?).map(|_| Tombstone::read(reader).map(Arc::new)).collect()
}

/// Whether the bytes are a whole manifest of a later version than this program knows.
fn is_newer(bytes: &[u8]) -> bool {
    let Some(magic) = bytes.first_chunk::<8>() else { return false };
    magic[..7] == MAGIC[..7] && magic[7] > MAGIC[7] && unseal(magic, bytes, MANIFEST_FILE).is_ok()
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Manifest {
    /// The next part's id.
    pub(crate) next_part: u64,
    /// Rows of earlier segments of the log are in parts.
    pub(crate) replay_from: u64,
    /// Ascending by day, then rank.
    pub(crate) parts: Vec<PartId>,
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// Batches taken before `replay_from`, encoded.
    pub(crate) ledger: Vec<u8>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.next_part);
        put_varint(&mut out, self.replay_from);
        put_varint(&mut out, self.parts.len() as u64);
        for part in &self.parts {
            put_varint(&mut out, part.id);
            put_varint(&mut out, part.rank);
            put_signed(&mut out, part.day);
        }
        put_deletions(&mut out, &self.tombstones);
        put_bytes(&mut out, &self.ledger);
        seal(MAGIC, &out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        if is_newer(bytes) {
            return Err(ManifestError::Newer);
        }
        let mut reader = Reader::new(unseal(MAGIC, bytes, MANIFEST_FILE)?);
        let (next_part, replay_from) = (reader.varint()?, reader.varint()?);
        let parts = (0..reader.count()?)
            .map(|_| Ok(PartId { id: reader.varint()?, rank: reader.varint()?, day: reader.signed()? }))
            .collect::<Result<_, Damaged>>()?;
        let tombstones = take_deletions(&mut reader)?;
        let ledger = reader.bytes()?.to_vec();
        if BatchLedger::decode(&ledger).is_none() {
            return Err(Damaged::new("ledger of batches is not readable").into());
        }
        Ok(Manifest { next_part, replay_from, parts, tombstones, ledger })
    }

    /// Keeps the parts in order.
    pub(crate) fn sort(&mut self) {
        self.parts.sort_unstable_by_key(|part| (part.day, part.rank));
    }
}
