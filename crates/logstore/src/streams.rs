//! Which streams have rows in a range, and how much.

use crate::{Logstore, selector::Selector};
use model::{Labels, Matcher, TimeRange};
use std::collections::BTreeSet;
use store::{CountRequest, LogStats, QueryContext, StoreError};

impl Logstore {
    pub(crate) fn find_streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        let mut found = BTreeSet::new();
        let everything = [Vec::new()];
        let selectors = if selectors.is_empty() { &everything[..] } else { selectors };
        for matchers in selectors {
            self.visit_runs(matchers, range, context, |labels, _| {
                if !found.contains(labels) {
                    found.insert(labels.clone());
                }
            })?;
        }
        Ok(found.into_iter().collect())
    }

    pub(crate) fn selection_figures(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<LogStats, StoreError> {
        let request = CountRequest { matchers: matchers.to_vec(), range, step_ns: i64::MAX, by: Vec::new() };
        let mut stats = LogStats::default();
        for bucket in self.count_rows(&request, context)? {
            stats.entries += bucket.rows;
            stats.bytes += bucket.bytes;
        }
        let mut streams = BTreeSet::new();
        self.visit_runs(matchers, range, context, |labels, is_new_chunk| {
            streams.insert(labels.clone());
            stats.chunks += u64::from(is_new_chunk);
        })?;
        stats.streams = streams.len() as u64;
        Ok(stats)
    }

    /// Calls `visit` with every selected stream that may have rows in the half-open `range`, once
    /// for every chunk, and whether the chunk is a new one.
    fn visit_runs(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
        mut visit: impl FnMut(&Labels, bool),
    ) -> Result<(), StoreError> {
        let view = self.view();
        let selector = Selector::new(matchers);
        for part in view.parts.iter() {
            context.check()?;
            let selected = selector.select(part.streams.iter().map(|stream| &**stream));
            for chunk in &part.table.chunks {
                let mut is_new = true;
                for run in &chunk.runs {
                    let stream = &part.streams[run.stream as usize];
                    let start = range.start.max(view.cuts.of(stream.rule));
                    let overlaps = run.oldest_ns < range.end && run.newest_ns >= start;
                    if overlaps && selected[run.stream as usize] {
                        visit(&stream.labels, is_new);
                        is_new = false;
                    }
                }
            }
        }
        for memory in &view.memories {
            context.check()?;
            let selected = selector.select(memory.streams.iter().map(|stream| &**stream));
            for block in &memory.blocks {
                let mut is_new = true;
                for (stream, run) in block.runs() {
                    let is_selected = selected[stream as usize];
                    let stream = &memory.streams[stream as usize];
                    let start = range.start.max(view.cuts.of(stream.rule));
                    if is_selected && !block.narrow(&run, start, range.end).is_empty() {
                        visit(&stream.labels, is_new);
                        is_new = false;
                    }
                }
            }
        }
        Ok(())
    }
}
