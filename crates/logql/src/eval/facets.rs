//! Facets: the most frequent values of every label of the lines that a query finds.
//!
//! A selector without stages is counted from the store's tables: no line is read but a sample that
//! tells which structured metadata there are. Anything else is a scan. Bounds: [`FIELDS_MAX`]
//! fields, [`TRACKED_MAX`] values of each, `lines_max` lines; what was left out is told.

use super::{
    Entry, Params, entry_of,
    fold::{Fold, Folded},
    log_query,
};
use crate::{
    EvalError, ParseError,
    ast::LogExpr,
    detect_fields,
    pipeline::{Pipeline, Scratch, labels::Category, labels::ERROR_DETAILS},
};
use hashbrown::HashMap;
use model::TimeRange;
use std::{cmp::Reverse, collections::BTreeMap};
use store::{CountRequest, Direction, LogRequest, LogStore, QueryContext, Row};

/// Most fields of one answer; further ones are left out.
const FIELDS_MAX: usize = 200;
/// Distinct values of a field that are counted; further ones only show that there are more.
const TRACKED_MAX: usize = 10_000;
/// Newest lines that tell which metadata a selection has.
const SAMPLE_LINES: usize = 1000;
/// A field of which more than this share of a sample's values differ is told from the sample: to
/// count each id of a large range would hold all of them.
const IDS_SHARE: f64 = 0.5;
/// Bytes that a value takes besides its text, for the memory budget.
const VALUE_BYTES: u64 = 64;

/// What is asked.
#[derive(Clone, Debug)]
pub struct FacetRequest {
    /// The lines.
    pub log: LogExpr,
    /// Nanoseconds, half-open.
    pub range: TimeRange,
    /// Only these fields; all when empty.
    pub fields: Vec<String>,
    /// Values told of each field.
    pub values_max: usize,
    /// Lines that a scan takes, the newest first.
    pub lines_max: u64,
    /// Whether lines are looked into for JSON and logfmt fields that no stage extracts.
    pub detect: bool,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// Lines counted.
    pub lines: u64,
    /// Whether lines were left out because of `lines_max`.
    pub is_partial: bool,
    /// Ascending by name.
    pub fields: Vec<Facet>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// The label's name.
    pub name: String,
    /// Where it comes from: `stream`, `metadata`, `parsed` by a stage, or the parser that would find it:
    /// `json` or `logfmt`.
    pub source: &'static str,
    /// Distinct values seen.
    pub distinct: u64,
    /// Whether the counts are those of all lines.
    pub is_exact: bool,
    /// The most frequent values and their lines, the largest first.
    pub values: Vec<(String, u64)>,
}

/// Values of a field under construction.
#[derive(Default)]
struct Tally {
    source: &'static str,
    values: HashMap<String, u64>,
    /// More values than are tracked.
    has_more: bool,
}

impl Tally {
    fn add(&mut self, value: &str, lines: u64, context: &QueryContext) -> Result<(), EvalError> {
        if let Some(count) = self.values.get_mut(value) {
            *count += lines;
        } else if self.values.len() < TRACKED_MAX {
            context.hold_memory(value.len() as u64 + VALUE_BYTES)?;
            self.values.insert(value.to_owned(), lines);
        } else {
            self.has_more = true;
        }
        Ok(())
    }

    fn facet(self, name: String, values_max: usize, is_exact: bool) -> Facet {
        let distinct = self.values.len() as u64;
        let mut values: Vec<_> = self.values.into_iter().collect();
        values.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        values.truncate(values_max);
        Facet { name, source: self.source, distinct, is_exact: is_exact && !self.has_more, values }
    }
}

#[derive(Default)]
struct Tallies {
    lines: u64,
    fields: HashMap<String, Tally>,
}

impl Tallies {
    fn add(
        &mut self,
        name: &str,
        value: &str,
        source: &'static str,
        lines: u64,
        context: &QueryContext,
    ) -> Result<(), EvalError> {
        if value.is_empty() {
            return Ok(());
        }
        if let Some(tally) = self.fields.get_mut(name) {
            return tally.add(value, lines, context);
        }
        if self.fields.len() >= FIELDS_MAX {
            return Ok(());
        }
        let tally = self.fields.entry(name.to_owned()).or_default();
        tally.source = source;
        tally.add(value, lines, context)
    }

    fn merge(&mut self, other: Tallies, context: &QueryContext) -> Result<(), EvalError> {
        self.lines += other.lines;
        for (name, tally) in other.fields {
            for (value, lines) in &tally.values {
                self.add(&name, value, tally.source, *lines, context)?;
            }
            if let Some(into) = self.fields.get_mut(&name) {
                into.has_more |= tally.has_more;
            }
        }
        Ok(())
    }

    fn finish(self, request: &FacetRequest, is_partial: bool) -> Facets {
        let facet = |(name, tally): (String, Tally)| tally.facet(name, request.values_max, !is_partial);
        let mut fields: Vec<_> = self.fields.into_iter().map(facet).collect();
        fields.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Facets { lines: self.lines, is_partial, fields }
    }
}

/// Counts the values of the fields.
///
/// # Errors
/// When the budget is used up or the store fails.
pub fn facets(
    request: &FacetRequest,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Facets, EvalError> {
    if request.log.stages.is_empty() && !request.detect {
        return counted(request, store, context);
    }
    scanned(request, store, context)
}

impl FacetRequest {
    fn wants(&self, name: &str) -> bool {
        self.fields.is_empty() || self.fields.iter().any(|field| field == name)
    }
}

/// From the store's tables.
fn counted(
    request: &FacetRequest,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Facets, EvalError> {
    let mut tallies = Tallies::default();
    let selectors = [request.log.matchers.clone()];
    let streams = store.streams(&selectors, request.range, context)?;
    let mut own: Vec<&str> = streams.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    own.sort_unstable();
    own.dedup();
    // All labels of the streams at once: the groups are the streams.
    for (group, lines) in
        counts(request, own.iter().map(|name| (*name).to_owned()).collect(), store, context)?
    {
        tallies.lines += lines;
        for (name, value) in group.iter().filter(|(name, _)| request.wants(name)) {
            tallies.add(name, value, "stream", lines, context)?;
        }
    }
    let sample = newest(request, store, context)?;
    let mut sampled: Vec<Facet> = Vec::new();
    for (name, tally) in metadata_of(&sample, context)? {
        if !request.wants(&name) || own.binary_search(&name.as_str()).is_ok() {
            continue;
        }
        let seen: u64 = tally.values.values().sum();
        let is_id = seen >= 20 && tally.values.len() as f64 > seen as f64 * IDS_SHARE;
        // A name that the stream has already is the engine's invention, unknown to the store.
        if is_id || name.ends_with("_extracted") {
            sampled.push(tally.facet(name, request.values_max, false));
            continue;
        }
        for (group, lines) in counts(request, vec![name.clone()], store, context)? {
            tallies.add(&name, group.value(&name), "metadata", lines, context)?;
        }
    }
    let mut facets = tallies.finish(request, false);
    facets.fields.append(&mut sampled);
    facets.fields.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(facets)
}

fn counts(
    request: &FacetRequest,
    by: Vec<String>,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Vec<(model::Labels, u64)>, EvalError> {
    let length = request.range.end.saturating_sub(request.range.start).max(1);
    let counting =
        CountRequest { matchers: request.log.matchers.clone(), range: request.range, step_ns: length, by };
    let buckets = store.counts(&counting, context)?;
    Ok(buckets.into_iter().map(|bucket| (bucket.group, bucket.rows)).collect())
}

fn newest(
    request: &FacetRequest,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Vec<Entry>, EvalError> {
    let params = Params {
        start_ns: request.range.start,
        end_ns: request.range.end,
        step_ns: 1,
        interval_ns: 0,
        limit: SAMPLE_LINES,
        direction: Direction::Backward,
    };
    log_query::run(&request.log, &params, store, context)
}

fn metadata_of(sample: &[Entry], context: &QueryContext) -> Result<BTreeMap<String, Tally>, EvalError> {
    let mut fields: BTreeMap<String, Tally> = BTreeMap::new();
    for (name, value) in sample.iter().flat_map(|entry| &entry.metadata) {
        if fields.len() < FIELDS_MAX || fields.contains_key(name) {
            let tally = fields.entry(name.clone()).or_default();
            tally.source = "metadata";
            tally.add(value, 1, context)?;
        }
    }
    Ok(fields)
}

/// From the lines.
fn scanned(
    request: &FacetRequest,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Facets, EvalError> {
    let invalid = |error: ParseError| EvalError::Invalid(error.to_string());
    let pipeline = Pipeline::compile_with(&request.log.stages, Default::default(), true).map_err(invalid)?;
    let scan = store.scan(
        &LogRequest {
            matchers: request.log.matchers.clone(),
            range: request.range,
            filters: pipeline.store_filters().to_vec(),
            metadata_hints: Vec::new(),
            direction: Direction::Backward,
        },
        context,
    )?;
    let fold =
        Fold { scan: scan.as_ref(), pipeline: &pipeline, context, lines_max: request.lines_max, every: 1 };
    let Folded { states, is_partial } = fold.run(Tallies::default, |tallies, scratch, row| {
        tallies.lines += 1;
        take(tallies, request, scratch, row, context)
    })?;
    let mut whole = Tallies::default();
    for tallies in states {
        whole.merge(tallies, context)?;
    }
    Ok(whole.finish(request, is_partial))
}

fn take(
    tallies: &mut Tallies,
    request: &FacetRequest,
    scratch: &Scratch,
    row: &Row<'_>,
    context: &QueryContext,
) -> Result<(), EvalError> {
    for (name, value, category) in scratch.labels.iter() {
        let source = match category {
            Category::Stream => "stream",
            Category::Metadata => "metadata",
            Category::Parsed => "parsed",
        };
        if request.wants(name) && name != ERROR_DETAILS {
            tallies.add(name, value, source, 1, context)?;
        }
    }
    if request.detect {
        let entry = entry_of(scratch, row.timestamp_ns, row.line, 0);
        let has = |name: &str| entry.parsed.iter().any(|(parsed, _)| parsed == name);
        for field in detect_fields(&entry) {
            if !field.is_taken && !has(&field.name) && request.wants(&field.name) {
                tallies.add(&field.name, &field.value, field.parser, 1, context)?;
            }
        }
    }
    Ok(())
}
