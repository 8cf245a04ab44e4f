//! Remarks about a query's result: warnings (probably wrong) and infos (perhaps not meant).
//!
//! Equal remarks at equal places are kept once, however many series cause them, so the number of
//! remarks is bounded by the size of the query and of its metric names, and by [`REMARKS_MAX`].

use crate::{position::Position, quote::quote};
use std::collections::BTreeSet;

/// Further remarks are dropped; a caller shows far fewer.
const REMARKS_MAX: usize = 1000;

/// How serious a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Warning,
    Info,
}

/// The remarks of one query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    remarks: BTreeSet<(Severity, String)>,
}

impl Annotations {
    /// Adds a warning about the expression at `position`.
    pub(crate) fn warn(&mut self, position: Position, message: &str) {
        self.add(Severity::Warning, position, message);
    }

    /// Adds an info about the expression at `position`.
    pub(crate) fn info(&mut self, position: Position, message: &str) {
        self.add(Severity::Info, position, message);
    }

    fn add(&mut self, severity: Severity, position: Position, message: &str) {
        if self.remarks.len() < REMARKS_MAX {
            let prefix = if severity == Severity::Warning { "PromQL warning" } else { "PromQL info" };
            self.remarks.insert((severity, format!("{prefix}: {message} ({position})")));
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Annotations) {
        self.remarks.extend(other.remarks);
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
        let chosen = self.remarks.iter().filter(|(found, _)| *found == severity);
        chosen.map(|(_, text)| text.clone()).collect()
    }
}

/// `message`, and the metric it is about where that has a name.
pub(crate) fn about_metric(message: &str, metric_name: &str) -> String {
    match metric_name {
        "" => message.to_owned(),
        name => format!("{message} for metric name {}", quote(name)),
    }
}
