//! The payload of a write-ahead-log record: one batch as it was accepted. Drawn in
//! `docs/formats/logstore.md`.
//!
//! Invariant: rows in a record had no exact copy in the store when it was written, so replay
//! takes them as they are.

use crate::bytes::{Damaged, Reader, put_bytes, put_signed, put_varint};
use model::{BatchId, LabelsRef, LogEntryRef};

const VERSION: u8 = 1;
const HAS_ID: u8 = 1;

/// Builds a record's bytes.
#[derive(Default)]
pub(crate) struct RecordWriter {
    bytes: Vec<u8>,
    previous_ns: i64,
}

impl RecordWriter {
    /// Starts a record.
    pub(crate) fn begin(&mut self, id: Option<&BatchId>) {
        self.bytes.clear();
        self.bytes.push(VERSION);
        self.bytes.push(if id.is_some() { HAS_ID } else { 0 });
        if let Some(id) = id {
            put_bytes(&mut self.bytes, id.agent.as_bytes());
            put_varint(&mut self.bytes, id.boot);
            put_varint(&mut self.bytes, id.sequence);
        }
    }

    /// Starts a stream with `rows` rows.
    pub(crate) fn stream(&mut self, labels: LabelsRef<'_>, rows: usize) {
        put_bytes(&mut self.bytes, labels.as_bytes());
        put_varint(&mut self.bytes, rows as u64);
        self.previous_ns = 0;
    }

    pub(crate) fn row(&mut self, entry: LogEntryRef<'_>) {
        put_signed(&mut self.bytes, entry.timestamp_ns.wrapping_sub(self.previous_ns));
        self.previous_ns = entry.timestamp_ns;
        put_bytes(&mut self.bytes, entry.metadata.as_bytes());
        put_bytes(&mut self.bytes, entry.line.as_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a record: the id it was sent under, then every row.
pub(crate) fn read<'a>(
    record: &'a [u8],
    mut row: impl FnMut(LabelsRef<'a>, LogEntryRef<'a>),
) -> Result<Option<BatchId>, Damaged> {
    let mut reader = Reader::new(record);
    if reader.byte()? != VERSION {
        return Err(Damaged::new("log record has another version"));
    }
    let id = match reader.byte()? & HAS_ID {
        0 => None,
        _ => Some(BatchId {
            agent: reader.text()?.to_owned(),
            boot: reader.varint()?,
            sequence: reader.varint()?,
        }),
    };
    while !reader.is_empty() {
        let labels = labels(&mut reader)?;
        let mut timestamp_ns = 0i64;
        for _ in 0..reader.varint()? {
            timestamp_ns = timestamp_ns.wrapping_add(reader.signed()?);
            let metadata = self::labels(&mut reader)?;
            row(labels, LogEntryRef { timestamp_ns, metadata, line: reader.text()? });
        }
    }
    Ok(id)
}

fn labels<'a>(reader: &mut Reader<'a>) -> Result<LabelsRef<'a>, Damaged> {
    LabelsRef::from_bytes(reader.bytes()?).ok_or_else(|| Damaged::new("log record has bad labels"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn a_record_reads_back() {
        let labels = Labels::from_pairs([("app", "a")]);
        let metadata = Labels::from_pairs([("trace_id", "1")]);
        let id = BatchId { agent: "a".into(), boot: 1, sequence: 2 };
        let mut writer = RecordWriter::default();
        writer.begin(Some(&id));
        writer.stream(labels.as_ref(), 2);
        let rows = [(i64::MAX, "first"), (i64::MIN, "")];
        for (timestamp_ns, line) in rows {
            writer.row(LogEntryRef { timestamp_ns, line, metadata: metadata.as_ref() });
        }
        let mut found = Vec::new();
        let read_id = read(writer.bytes(), |stream, entry| {
            assert_eq!((stream, entry.metadata), (labels.as_ref(), metadata.as_ref()));
            found.push((entry.timestamp_ns, entry.line));
        });
        assert_eq!(read_id.unwrap(), Some(id));
        assert_eq!(found, rows);
        let cut = &writer.bytes()[..writer.bytes().len() - 1];
        assert!(read(cut, |_, _| ()).is_err());
    }
}
