//! Both stores over ClickHouse's HTTP interface, for users who outgrow one machine.
//!
//! ClickHouse selects, filters and counts; the query languages stay ours. An aggregator in front
//! of it keeps nothing of its own but caches, so several may share one database.
//!
//! * An append is one synchronous insert for each table it touches, of all batches that wait at
//!   that moment ([`group`]); it is acknowledged when the server has it. A retry is stored once:
//!   inserts carry a deduplication token, batches are recorded by agent, boot and sequence
//!   ([`batches`]), and what still came twice is merged by key, when read and in the background.
//! * Reads stream `RowBinary` and stop when the query's context says so ([`client`], [`answer`]).
//! * Everything that ClickHouse is asked to filter by is decided again here unless SQL means
//!   exactly the same ([`sql`]).
//!
//! The tables are drawn in `docs/formats/clickhouse.md`.

mod answer;
mod arrival;
mod batches;
mod client;
mod error;
mod group;
mod logs;
mod metrics;
mod options;
mod preflight;
mod retention;
mod row_binary;
mod schema;
mod series_tables;
mod sql;
#[cfg(test)]
mod tests;

pub use error::OpenError;
pub use logs::ClickHouseLogs;
pub use metrics::ClickHouseMetrics;
pub use options::Options;

use arrival::ArrivalClock;
use client::Client;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::AgeLimits;

/// A checked connection to a database whose tables exist.
pub struct ClickHouse {
    client: Arc<Client>,
    arrivals: Arc<ArrivalClock>,
}

impl ClickHouse {
    /// Connects, checks the server and the grants, and creates what tables are absent.
    ///
    /// # Errors
    /// When the store could not be used; the message says why and what to do.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let client = Arc::new(Client::new(options)?);
        let server_ns = preflight::check(&client)?;
        Ok(ClickHouse { client, arrivals: Arc::new(ArrivalClock::starting_at(server_ns)) })
    }

    /// The metric store.
    pub fn metrics(&self, limits: AgeLimits) -> ClickHouseMetrics {
        ClickHouseMetrics::new(self.client.clone(), self.arrivals.clone(), limits)
    }

    /// The log store.
    pub fn logs(&self, limits: AgeLimits) -> ClickHouseLogs {
        ClickHouseLogs::new(self.client.clone(), self.arrivals.clone(), limits)
    }
}

/// What a thread that panicked left behind is whole: every change under a lock is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
