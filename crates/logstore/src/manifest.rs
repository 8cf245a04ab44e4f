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
/// Its file's name.
pub(crate) const MANIFEST_FILE: &str = "manifest.bin";

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
        put_varint(&mut out, self.tombstones.len() as u64);
        self.tombstones.iter().for_each(|tombstone| tombstone.put(&mut out));
        put_bytes(&mut out, &self.ledger);
        seal(MAGIC, &out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Manifest, Damaged> {
        let mut reader = Reader::new(unseal(MAGIC, bytes, MANIFEST_FILE)?);
        let (next_part, replay_from) = (reader.varint()?, reader.varint()?);
        let parts = (0..reader.count()?)
            .map(|_| Ok(PartId { id: reader.varint()?, rank: reader.varint()?, day: reader.signed()? }))
            .collect::<Result<_, Damaged>>()?;
        let tombstones = (0..reader.count()?)
            .map(|_| Tombstone::read(&mut reader).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let ledger = reader.bytes()?.to_vec();
        if BatchLedger::decode(&ledger).is_none() {
            return Err(Damaged::new("ledger of batches is not readable"));
        }
        Ok(Manifest { next_part, replay_from, parts, tombstones, ledger })
    }

    /// Keeps the parts in order.
    pub(crate) fn sort(&mut self) {
        self.parts.sort_unstable_by_key(|part| (part.day, part.rank));
    }
}
