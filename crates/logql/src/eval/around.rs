//! The lines around a line: of the same stream, before and after it, unfiltered.

use super::{
    Entry,
    log_query::{Wanted, first_entries},
};
use crate::{EvalError, ParseError, pipeline::Pipeline};
use model::{Labels, Matcher, TimeRange};
use std::ops::ControlFlow;
use store::{Direction, LogRequest, LogStore, QueryContext, Row};

/// Lines of one stream at one instant above which the line's neighbours are not looked for.
const SAME_INSTANT_MAX: usize = 10_000;

/// Which line, and how much around it.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// The line's stable id.
    pub id: u128,
    /// Its time, nanoseconds.
    pub timestamp_ns: i64,
    /// Narrows down where it is looked for; may be empty.
    pub matchers: Vec<Matcher>,
    /// Most lines before it.
    pub before: usize,
    /// Most lines after it.
    pub after: usize,
}

/// A line among its neighbours, all of one stream, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// Older lines.
    pub before: Vec<Entry>,
    /// The line itself.
    pub line: Entry,
    /// Younger lines.
    pub after: Vec<Entry>,
}

/// Finds a line and its neighbours; `None` when the line is not stored (any more).
///
/// # Errors
/// When the budget is used up or the store fails.
pub fn around(
    anchor: &Anchor,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Option<Around>, EvalError> {
    let Some(stream) = stream_of(anchor, store, context)? else {
        return Ok(None);
    };
    let first_ns = anchor.timestamp_ns;
    let younger = TimeRange::new(first_ns, i64::MAX);
    let limit = anchor.after.saturating_add(1).saturating_add(SAME_INSTANT_MAX);
    // Equal times keep their order of arrival, so the line's place among them is its own.
    let mut from_instant = entries(&stream, younger, Direction::Forward, limit, store, context)?;
    let Some(place) = from_instant.iter().position(|entry| entry.id == anchor.id) else {
        return Ok(None);
    };
    let mut after = from_instant.split_off(place);
    let line = after.remove(0);
    after.truncate(anchor.after);
    let older = TimeRange::new(i64::MIN, first_ns);
    let mut before = entries(&stream, older, Direction::Backward, anchor.before, store, context)?;
    before.reverse();
    before.append(&mut from_instant);
    before.drain(..before.len().saturating_sub(anchor.before));
    Ok(Some(Around { before, line, after }))
}

/// Labels of the stream that has the line.
fn stream_of(
    anchor: &Anchor,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Option<Labels>, EvalError> {
    let request = LogRequest {
        matchers: anchor.matchers.clone(),
        range: TimeRange::new(anchor.timestamp_ns, anchor.timestamp_ns.saturating_add(1)),
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction: Direction::Forward,
    };
    let scan = store.scan(&request, context)?;
    let mut found = None;
    for index in 0..scan.units().len() {
        scan.read(index, context, &mut |row: Row<'_>| {
            if (row.id)() != anchor.id {
                return ControlFlow::Continue(());
            }
            found = Some(row.labels.clone());
            ControlFlow::Break(())
        })?;
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}

fn entries(
    stream: &Labels,
    range: TimeRange,
    direction: Direction,
    limit: usize,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Vec<Entry>, EvalError> {
    let pipeline =
        Pipeline::compile(&[]).map_err(|error: ParseError| EvalError::Invalid(error.to_string()))?;
    let request = LogRequest {
        matchers: stream.iter().map(|(name, value)| Matcher::equal(name, value)).collect(),
        range,
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction,
    };
    first_entries(&request, Wanted { pipeline: &pipeline, stream: Some(stream), limit }, store, context)
}
