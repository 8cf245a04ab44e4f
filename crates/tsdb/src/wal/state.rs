//! What outlives a generation, as records of bounded size.
//!
//! Each record says some of it, and reading them adds up: nothing is lost when a crash cuts their row
//! short, since the segments before go only once all of them are durable.

use super::{STATE, put_description, put_exemplar};
use crate::bytes::{put_field, put_varint};
use model::{Exemplar, Labels, Metadata};

/// A record that has reached this size is followed by another one. Far below what the log takes, since
/// what comes last may go beyond. Tests want many records of little.
const RECORD_BYTES: usize = if cfg!(test) { 256 } else { 8 << 20 };

/// See the module.
pub(crate) struct StateEncoder {
    epoch: u64,
    records: Vec<Vec<u8>>,
    ledger: Vec<u8>,
    descriptions: Section,
    exemplars: Section,
}

/// Things in a row, with their count.
#[derive(Default)]
struct Section {
    count: u64,
    bytes: Vec<u8>,
}

impl Section {
    fn append_to(&mut self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        out.append(&mut self.bytes);
        self.count = 0;
    }
}

impl StateEncoder {
    pub(crate) fn new(epoch: u64) -> Self {
        StateEncoder {
            epoch,
            records: Vec::new(),
            ledger: Vec::new(),
            descriptions: Section::default(),
            exemplars: Section::default(),
        }
    }

    /// Adds the lines of a [`store::BatchLedger`].
    pub(crate) fn ledger(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            self.ledger.extend_from_slice(line);
            self.end_if_full();
        }
    }

    pub(crate) fn description(&mut self, family: &str, metadata: &Metadata) {
        self.descriptions.count += 1;
        put_description(&mut self.descriptions.bytes, family, metadata);
        self.end_if_full();
    }

    pub(crate) fn exemplar(&mut self, series: &Labels, exemplar: &Exemplar) {
        self.exemplars.count += 1;
        put_exemplar(&mut self.exemplars.bytes, series, exemplar);
        self.end_if_full();
    }

    /// The records, at least one.
    pub(crate) fn finish(mut self) -> Vec<Vec<u8>> {
        if self.records.is_empty() || self.len() > 0 {
            self.end_record();
        }
        self.records
    }

    fn len(&self) -> usize {
        self.ledger.len() + self.descriptions.bytes.len() + self.exemplars.bytes.len()
    }

    fn end_if_full(&mut self) {
        if self.len() >= RECORD_BYTES {
            self.end_record();
        }
    }

    fn end_record(&mut self) {
        let mut record = vec![STATE];
        put_varint(&mut record, self.epoch);
        put_field(&mut record, &self.ledger);
        self.ledger.clear();
        self.descriptions.append_to(&mut record);
        self.exemplars.append_to(&mut record);
        self.records.push(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::{Record, decode};

    #[test]
    fn small_records_add_up_to_the_state() {
        let family = |i: usize| format!("family_{i}");
        let metadata = |i: usize| Metadata { help: "h".repeat(i * 10), ..Metadata::default() };
        let series = |i: usize| Labels::from_pairs([("job", i.to_string())]);
        let exemplar = |i: usize| Exemplar { labels: series(i + 1), timestamp_ms: -(i as i64), value: 0.5 };
        let lines: String = (0..30).map(|i| format!("agent-{i}\t1\t{i}\t1\n")).collect();
        let mut encoder = StateEncoder::new(7);
        encoder.ledger(lines.as_bytes());
        for i in 0..40 {
            encoder.description(&family(i), &metadata(i));
            encoder.exemplar(&series(i), &exemplar(i));
        }
        let records = encoder.finish();
        assert!(records.len() > 20 && records.iter().all(|record| record.len() < 1_000));
        let (mut ledger, mut described, mut exemplars) = (Vec::new(), Vec::new(), Vec::new());
        for record in &records {
            let Ok(Record::State(state)) = decode(record) else { panic!("a state decodes") };
            assert_eq!(state.epoch, 7);
            assert!(store::BatchLedger::default().merge(&state.ledger), "lines are whole");
            ledger.extend(state.ledger);
            described.extend(state.metadata);
            exemplars.extend(state.exemplars);
        }
        assert_eq!(String::from_utf8(ledger).unwrap(), lines);
        assert_eq!(described, (0..40).map(|i| (family(i), metadata(i))).collect::<Vec<_>>());
        assert_eq!(exemplars, (0..40).map(|i| (series(i), exemplar(i))).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_state_is_one_record() {
        assert_eq!(StateEncoder::new(1).finish().len(), 1);
    }
}
