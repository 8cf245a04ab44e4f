//! Metrics on local disk; the bytes are drawn in `docs/formats/tsdb.md`.
//!
//! * **Write path** ([`Tsdb`], `append`): a batch is checked, written to the write-ahead log and
//!   applied to the [head](head) in memory, by one writer at a time. It is durable when the log's
//!   fsync has finished, which its commit tells.
//! * **Parts** (`part`): the head is sealed into immutable folders, one for each day of samples, which
//!   are merged in the background and dropped by retention.
//! * **Read path** (`query`): a selection holds the head and the parts as they were, finds series by
//!   postings, and decodes only the blocks that overlap its range.
//!
//! Invariants: a sample is in the log or in a published part from the moment it is acknowledged until
//! retention or a deletion ends it; parts never change but for their list of deletions; only accepted
//! samples are logged.

mod append;
mod bytes;
mod codec;
mod columns;
mod extras;
mod head;
mod listing;
mod maintain;
mod options;
mod part;
mod postings;
mod publish;
mod query;
mod recover;
mod regex_values;
mod registry;
mod retain;
mod seal;
mod slabs;
mod snapshot;
mod sort;
mod store_impl;
#[cfg(test)]
mod tests;
mod tiers;
mod toll;
mod wal;
mod windows;
mod writer;

pub use options::TsdbOptions;
pub use store_impl::Tsdb;
pub use tiers::TierAges;
