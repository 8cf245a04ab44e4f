//! Remarks about a query's result: warnings (probably wrong) and infos (perhaps not meant).
//!
//! Equal remarks are kept once, however many series and places cause them, so the number of remarks
//! is bounded by the size of the query and of its metric names, and by [`REMARKS_MAX`].

use crate::{
    go_float::{go_float, go_float_rounded},
    position::Position,
    quote::quote,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, btree_map::Entry};

/// Further remarks are dropped; a caller shows far fewer.
const REMARKS_MAX: usize = 1000;

/// How serious a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Warning,
    Info,
}

/// Where a remark was caused, and what else is to be told.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cause {
    position: Position,
    fix: Option<MonotonicityFix>,
}

impl Cause {
    /// Of equal remarks the later place counts, of repairs the first one, with the extent of all.
    fn merge(&mut self, other: Cause) {
        match (&mut self.fix, other.fix) {
            (Some(fix), Some(other_fix)) => {
                fix.merge(other_fix);
                self.position = self.position.min(other.position);
            }
            _ => self.position = self.position.max(other.position),
        }
    }
}

/// The extent of what was repaired in classic histograms whose counts fell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MonotonicityFix {
    lowest_bound: f64,
    highest_bound: f64,
    largest_fall: f64,
    histograms: u64,
    first_ms: i64,
    last_ms: i64,
}

impl MonotonicityFix {
    /// The repair of one histogram: which bounds had falling counts, and how far they fell at most.
    pub(crate) fn at(time_ms: i64, lowest_bound: f64, highest_bound: f64, largest_fall: f64) -> Self {
        let (first_ms, last_ms) = (time_ms, time_ms);
        MonotonicityFix { lowest_bound, highest_bound, largest_fall, histograms: 1, first_ms, last_ms }
    }

    fn merge(&mut self, other: MonotonicityFix) {
        self.lowest_bound = self.lowest_bound.min(other.lowest_bound);
        self.highest_bound = self.highest_bound.max(other.highest_bound);
        self.largest_fall = self.largest_fall.max(other.largest_fall);
        self.histograms += other.histograms;
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
    }

    fn describe(&self) -> String {
        let time = |ms: i64| match Timestamp::from_second(ms / 1000) {
            Ok(timestamp) => timestamp.to_string(),
            Err(_) => (ms / 1000).to_string(),
        };
        format!(
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            go_float(self.lowest_bound),
            go_float(self.highest_bound),
            go_float_rounded(self.largest_fall, 2),
            self.histograms,
            time(self.first_ms),
            time(self.last_ms)
        )
    }
}

/// The remarks of one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    remarks: BTreeMap<(Severity, String), Cause>,
}

impl Annotations {
    /// Adds a warning about the expression at `position`.
    pub(crate) fn warn(&mut self, position: Position, message: &str) {
        self.add(Severity::Warning, message.to_owned(), Cause { position, fix: None });
    }

    /// Adds an info about the expression at `position`.
    pub(crate) fn info(&mut self, position: Position, message: &str) {
        self.add(Severity::Info, message.to_owned(), Cause { position, fix: None });
    }

    /// Adds an info about classic histograms at `position`.
    pub(crate) fn monotonicity_fixed(&mut self, position: Position, metric_name: &str, fix: MonotonicityFix) {
        let message = about_metric(
            "input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
            metric_name,
        );
        self.add(Severity::Info, message, Cause { position, fix: Some(fix) });
    }

    fn add(&mut self, severity: Severity, message: String, cause: Cause) {
        let is_full = self.remarks.len() >= REMARKS_MAX;
        match self.remarks.entry((severity, message)) {
            Entry::Occupied(mut entry) => entry.get_mut().merge(cause),
            Entry::Vacant(entry) if !is_full => {
                entry.insert(cause);
            }
            Entry::Vacant(_) => {}
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Annotations) {
        for ((severity, message), cause) in other.remarks {
            self.add(severity, message, cause);
        }
    }

    /// Warnings as the API shows them, sorted.
    pub fn warnings(&self) -> Vec<String> {
        self.of(Severity::Warning)
    }

    /// Infos as the API shows them, sorted.
    pub fn infos(&self) -> Vec<String> {
        self.of(Severity::Info)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.remarks.is_empty()
    }

    fn of(&self, severity: Severity) -> Vec<String> {
        let prefix = if severity == Severity::Warning { "PromQL warning" } else { "PromQL info" };
        let chosen = self.remarks.iter().filter(|((found, _), _)| *found == severity);
        chosen
            .map(|((_, message), Cause { position, fix })| {
                let extent = fix.as_ref().map(MonotonicityFix::describe).unwrap_or_default();
                format!("{prefix}: {message}{extent} ({position})")
            })
            .collect()
    }
}

/// `message`, and the metric it is about where that has a name.
pub(crate) fn about_metric(message: &str, metric_name: &str) -> String {
    match metric_name {
        "" => message.to_owned(),
        name => format!("{message} for metric name {}", quote(name)),
    }
}
