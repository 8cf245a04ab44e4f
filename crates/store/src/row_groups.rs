//! What a count needs of rows: how many there are of each kind and when, never the rows
//! themselves.

use crate::StreamId;
use model::{Labels, LabelsRef, TimeRange};

/// By what the rows of a scan's unit are told apart.
#[derive(Clone, Copy)]
pub struct GroupRequest<'a> {
    /// Names of structured metadata; `None` for all. A store may tell more apart.
    pub metadata: Option<&'a [String]>,
    /// Whether rows whose times lie in this closed range need not be told apart.
    pub is_one_time: &'a (dyn Fn(TimeRange) -> bool + Sync),
    /// Whether the bytes of lines are wanted.
    pub with_bytes: bool,
}

/// Rows of one stream that the request does not tell apart but by time. A group may come in
/// several pieces.
#[derive(Clone, Copy)]
pub struct RowGroup<'a> {
    /// As [`crate::Row::stream`].
    pub stream: StreamId,
    /// The stream's labels.
    pub labels: &'a Labels,
    /// Structured metadata, at least that asked for.
    pub metadata: LabelsRef<'a>,
    /// When.
    pub rows: GroupRows<'a>,
}

/// The times of a group, and the bytes of its lines where they were asked for.
#[derive(Clone, Copy)]
pub enum GroupRows<'a> {
    /// All at what the request takes for one time.
    OneTime {
        /// A time of theirs.
        timestamp_ns: i64,
        /// How many.
        rows: u64,
        /// Bytes of their lines.
        bytes: u64,
    },
    /// Each by itself, in no order.
    Each {
        /// Times.
        times_ns: &'a [i64],
        /// Bytes of each line; empty when not asked for.
        line_bytes: &'a [u32],
    },
}
