//! Which chunks a merge copies instead of writing their rows anew.
//!
//! A chunk is copied when it is large, holds few streams, has no deletions, and no other chunk of
//! the merge has rows of one of its streams in its time. So what every flush brings in large chunks
//! is compressed once, and rows that arrived out of order are sorted by the next merge.
//!
//! Invariant kept for readers: chunks of one part that share a stream are disjoint in time, but for
//! an instant in which one ends and the next, of a higher number, begins.

use crate::{
    logstore::View,
    part::{
        Part,
        table::{ChunkMeta, Run},
        writer::Shape,
    },
};
use model::{Labels, TimeRange};
use std::{collections::HashMap, sync::Arc};

/// A chunk of more streams is not copied: reading one of them should not mean reading them all.
const RUNS_MAX: usize = 32;

/// For every input and each of its chunks: whether it is copied.
pub(super) fn copyable(inputs: &[Arc<Part>], view: &View, shape: Shape) -> Vec<Vec<bool>> {
    let mut copies: Vec<Vec<bool>> = inputs
        .iter()
        .map(|part| {
            let has_index = part.index().is_some();
            let is_good = |chunk| has_index && is_good(part, chunk, view, shape);
            part.table.chunks.iter().map(is_good).collect()
        })
        .collect();
    for runs in runs_by_stream(inputs).into_values() {
        exclude_overlaps(runs, &mut copies);
    }
    copies
}

fn is_good(part: &Part, chunk: &ChunkMeta, view: &View, shape: Shape) -> bool {
    // What a flush brings is good enough but for the last chunk of a part.
    let is_large = chunk.line_bytes() as usize >= shape.chunk_bytes / 4
        || chunk.rows() as usize >= shape.chunk_rows_max / 4;
    let is_deleted_from = || {
        chunk.runs.iter().any(|run| {
            let labels = &part.table.streams[run.stream as usize];
            let range = TimeRange::new(run.oldest_ns, run.newest_ns);
            view.tombstones.iter().any(|tombstone| tombstone.may_cover(part.id.id, labels, range))
        })
    };
    let has_expired = || {
        let cut = |run: &Run| view.cuts.of(part.streams[run.stream as usize].rule);
        chunk.runs.iter().any(|run| run.newest_ns < cut(run))
    };
    is_large && chunk.runs.len() <= RUNS_MAX && !is_deleted_from() && !has_expired()
}

/// A run, and the input and chunk it is in.
#[derive(Clone, Copy)]
struct Placed {
    oldest_ns: i64,
    newest_ns: i64,
    input: usize,
    chunk: usize,
}

fn runs_by_stream(inputs: &[Arc<Part>]) -> HashMap<&Labels, Vec<Placed>> {
    let mut runs: HashMap<&Labels, Vec<Placed>> = HashMap::new();
    for (input, part) in inputs.iter().enumerate() {
        for (chunk, meta) in part.table.chunks.iter().enumerate() {
            for run in &meta.runs {
                let labels = &part.table.streams[run.stream as usize];
                let (oldest_ns, newest_ns) = (run.oldest_ns, run.newest_ns);
                runs.entry(labels).or_default().push(Placed { oldest_ns, newest_ns, input, chunk });
            }
        }
    }
    runs
}

/// Unmarks every chunk that shares an instant of one stream with another.
fn exclude_overlaps(mut runs: Vec<Placed>, copies: &mut [Vec<bool>]) {
    runs.sort_by_key(|run| run.oldest_ns);
    let mut furthest: Option<Placed> = None;
    for run in runs {
        if let Some(other) = furthest
            && run.oldest_ns <= other.newest_ns
        {
            copies[run.input][run.chunk] = false;
            copies[other.input][other.chunk] = false;
        }
        if furthest.is_none_or(|other| run.newest_ns > other.newest_ns) {
            furthest = Some(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_not_copied() {
        let check = |ranges: &[(i64, i64)], expected: &[bool]| {
            let place = |(chunk, &(oldest_ns, newest_ns))| Placed { oldest_ns, newest_ns, input: 0, chunk };
            let mut copies = vec![vec![true; ranges.len()]];
            exclude_overlaps(ranges.iter().enumerate().map(place).collect(), &mut copies);
            assert_eq!(copies[0], expected, "{ranges:?}");
        };
        check(&[(0, 5), (6, 9)], &[true, true]);
        check(&[(6, 9), (0, 6), (10, 10)], &[false, false, true]);
        check(&[(0, 20), (1, 2), (3, 4), (21, 22)], &[false, false, false, true]);
        check(&[(0, 5), (3, 20), (10, 12), (20, 30)], &[false; 4]);
    }
}
