//! Counts by label and time, made by the server.

use super::ClickHouseLogs;
use crate::{error::Error, schema::LOGS, series_tables::Found, sql};
use hashbrown::HashMap;
use model::Labels;
use std::collections::BTreeMap;
use store::{CountBucket, CountRequest, QueryContext};

/// Memory of one bucket while it is put together.
const BUCKET_BYTES: u64 = 128;

impl ClickHouseLogs {
    pub(super) fn count(
        &self,
        request: &CountRequest,
        streams: &Found,
        context: &QueryContext,
    ) -> Result<Vec<CountBucket>, Error> {
        // A label that all streams have is never looked for in structured metadata.
        let in_metadata: Vec<&String> = request
            .by
            .iter()
            .filter(|name| streams.iter().any(|(_, labels)| labels.get(name).is_none()))
            .collect();
        let of_stream = if request.by.is_empty() { "toUInt128(0)" } else { "stream" };
        let mut columns = vec![of_stream.to_owned()];
        columns.extend(in_metadata.iter().map(|name| format!("metadata[{}]", sql::string(name.as_bytes()))));
        let (start, step) = (sql::int(request.range.start), request.step_ns);
        columns.push(format!("intDiv(toUInt64(ts - {start}), toUInt64({step}))"));
        let columns = columns.join(", ");
        let mut answer = self.client.query(
            &format!(
                "SELECT {columns}, count(), sum(length) FROM {} FINAL WHERE {} AND {} GROUP BY {columns}",
                LOGS.name,
                super::of_streams(streams),
                sql::within("ts", self.horizon.kept(request.range))
            ),
            Some(context),
        )?;
        let by_id: HashMap<u128, &Labels> = streams.iter().map(|(id, labels)| (*id, labels)).collect();
        let nothing = Labels::empty();
        let mut buckets: BTreeMap<(Labels, u64), (u64, u64)> = BTreeMap::new();
        while answer.has_row()? {
            let labels = by_id.get(&answer.u128()?).copied().unwrap_or(&nothing);
            let mut group: Vec<(&str, String)> = Vec::with_capacity(request.by.len());
            for name in &in_metadata {
                group.push((name.as_str(), answer.text_value()?));
            }
            // The stream's own labels come last and win.
            let own =
                request.by.iter().filter_map(|name| Some((name.as_str(), labels.get(name)?.to_owned())));
            group.extend(own);
            let (bucket, rows, bytes) = (answer.u64()?, answer.u64()?, answer.u64()?);
            context.charge_read(1, 0)?;
            let before = buckets.len();
            let entry = buckets.entry((Labels::from_pairs(group), bucket)).or_default();
            entry.0 += rows;
            entry.1 += bytes;
            context.hold_memory((buckets.len() - before) as u64 * BUCKET_BYTES)?;
        }
        context.release_memory(buckets.len() as u64 * BUCKET_BYTES);
        let bucket = |((group, bucket), (rows, bytes))| CountBucket { group, bucket, rows, bytes };
        Ok(buckets.into_iter().map(bucket).collect())
    }
}
