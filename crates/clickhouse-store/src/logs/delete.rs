//! Deleting lines: by the server alone when SQL says what the filters mean, else by the keys of the
//! rows that a scan has found.

use super::{ClickHouseLogs, job::content_hash};
use crate::{schema::LOGS, series_tables::Found, sql};
use model::{Matcher, TimeRange};
use std::ops::ControlFlow;
use store::{Direction, LineFilter, LogRequest, LogScan, LogStore, QueryContext, Row, StoreError};

/// Rows named in one statement.
const ROWS_AT_ONCE: usize = 5_000;

impl ClickHouseLogs {
    pub(super) fn delete_rows(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
        streams: &Found,
    ) -> Result<(), StoreError> {
        let exact: Option<Vec<String>> = filters.iter().map(sql::exact_line_filter).collect();
        match exact {
            Some(conditions) => {
                for some in streams.chunks(super::IDS_AT_ONCE) {
                    let mut all = vec![super::of_streams(some), sql::within("ts", range)];
                    all.extend(conditions.iter().cloned());
                    self.delete_where(&all.join(" AND "))?;
                }
                Ok(())
            }
            None => self.delete_found(matchers, range, filters, streams),
        }
    }

    fn delete_found(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
        streams: &Found,
    ) -> Result<(), StoreError> {
        let request = LogRequest {
            matchers: matchers.to_vec(),
            range,
            filters: filters.to_vec(),
            metadata_hints: Vec::new(),
            direction: Direction::Forward,
        };
        let context = QueryContext::default();
        let scan: Box<dyn LogScan> = self.scan(&request, &context)?;
        for unit in 0..scan.units().len() {
            let mut keys: Vec<String> = Vec::new();
            scan.read(unit, &context, &mut |row: Row<'_>| {
                let hash = content_hash(row.line.as_bytes(), row.metadata);
                let stream = crate::series_tables::id_of(row.labels.as_ref());
                keys.push(format!(
                    "(toUInt128('{stream}'),{},toUInt64('{hash}'))",
                    sql::int(row.timestamp_ns)
                ));
                ControlFlow::Continue(())
            })?;
            let times = sql::between("ts", scan.units()[unit].range);
            for some in keys.chunks(ROWS_AT_ONCE) {
                let streams = super::of_streams(streams);
                self.delete_where(&format!(
                    "{streams} AND {times} AND (stream, ts, hash) IN ({})",
                    some.join(",")
                ))?;
            }
        }
        Ok(())
    }

    fn delete_where(&self, condition: &str) -> Result<(), StoreError> {
        Ok(self.client.execute(&format!("DELETE FROM {} WHERE {condition}", LOGS.name))?)
    }
}
