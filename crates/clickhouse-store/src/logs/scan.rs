//! A scan: which streams, cut into units by time, each read by one query in order of stream and
//! time. Rows that arrive after the scan was made are left out by their rank.

use super::job::row_id;
use crate::{answer::Answer, client::Client, error::Error, schema::LOGS, series_tables::Found};
use hashbrown::{HashMap, HashSet};
use model::{Labels, LabelsRef, TimeRange};
use std::{ops::ControlFlow, sync::Arc};
use store::{Direction, LineFilter, LogScan, QueryContext, Row, RowSink, ScanUnit, StoreError, StreamId};

/// See the module.
pub(super) struct RemoteScan {
    pub(super) client: Arc<Client>,
    pub(super) streams: Found,
    pub(super) positions: HashMap<u128, usize>,
    pub(super) units: Vec<ScanUnit>,
    /// Streams, snapshot, and what the server can tell of filters.
    pub(super) condition: String,
    pub(super) filters: Vec<LineFilter>,
    pub(super) direction: Direction,
}

/// A row in memory.
#[derive(Default)]
struct Held {
    hash: u64,
    line: Vec<u8>,
    metadata: Vec<u8>,
}

/// Rows of one stream and instant, among which copies may be that the server has not merged yet.
#[derive(Default)]
struct Run {
    stream: u128,
    timestamp_ns: i64,
    rows: Vec<Held>,
    /// Buffers to be used again.
    spare: Vec<Held>,
}

impl RemoteScan {
    fn read_unit(
        &self,
        range: TimeRange,
        context: &QueryContext,
        sink: &mut dyn RowSink,
    ) -> Result<(), Error> {
        let order = match self.direction {
            Direction::Forward => "stream, ts, rank DESC",
            Direction::Backward => "stream DESC, ts DESC, rank",
        };
        let mut answer = self.client.query(
            &format!(
                "SELECT stream, ts, hash, line, metadata FROM {} WHERE {} AND {} ORDER BY {order}",
                LOGS.name,
                self.condition,
                crate::sql::between("ts", range)
            ),
            Some(context),
        )?;
        let mut run = Run::default();
        while answer.has_row()? {
            context.charge_read(1, 0)?;
            let key = (answer.u128()?, answer.i64()?);
            if key != (run.stream, run.timestamp_ns) {
                if self.yield_run(&mut run, sink)?.is_break() {
                    return Ok(());
                }
                (run.stream, run.timestamp_ns) = key;
            }
            run.push(&mut answer)?;
        }
        self.yield_run(&mut run, sink).map(drop)
    }

    fn yield_run(&self, run: &mut Run, sink: &mut dyn RowSink) -> Result<ControlFlow<()>, Error> {
        if run.rows.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        run.drop_copies(self.direction);
        let position = self.positions.get(&run.stream);
        let position = *position.ok_or_else(|| Error::Garbled("a stream nobody asked for".to_owned()))?;
        let labels: &Labels = &self.streams[position].1;
        let mut flow = ControlFlow::Continue(());
        for held in &run.rows {
            if !self.filters.iter().all(|filter| filter.passes(&held.line)) {
                continue;
            }
            let line = std::str::from_utf8(&held.line)
                .map_err(|_| Error::Garbled("a line is not UTF-8".to_owned()))?;
            let metadata = LabelsRef::from_trusted_bytes(&held.metadata);
            let id = || row_id(run.stream, run.timestamp_ns, &held.line, metadata);
            let (stream, timestamp_ns) = (StreamId(position as u64), run.timestamp_ns);
            flow = sink.row(Row { stream, labels, timestamp_ns, line, metadata, id: &id });
            if flow.is_break() {
                break;
            }
        }
        run.spare.append(&mut run.rows);
        Ok(flow)
    }
}

impl Run {
    fn push(&mut self, answer: &mut Answer<'_>) -> Result<(), Error> {
        let mut held = self.spare.pop().unwrap_or_default();
        held.hash = answer.u64()?;
        held.line.clear();
        held.line.extend_from_slice(answer.string()?);
        answer.label_bytes(&mut held.metadata)?;
        self.rows.push(held);
        Ok(())
    }

    /// Of equal rows the one that arrived first stays.
    fn drop_copies(&mut self, direction: Direction) {
        if self.rows.len() < 2 {
            return;
        }
        let mut seen = HashSet::new();
        if direction == Direction::Backward {
            self.rows.reverse();
        }
        self.rows.retain(|held| seen.insert(held.hash));
        if direction == Direction::Backward {
            self.rows.reverse();
        }
    }
}

impl LogScan for RemoteScan {
    fn units(&self) -> &[ScanUnit] {
        &self.units
    }

    fn read(&self, index: usize, context: &QueryContext, sink: &mut dyn RowSink) -> Result<(), StoreError> {
        Ok(self.read_unit(self.units[index].range, context, sink)?)
    }
}
