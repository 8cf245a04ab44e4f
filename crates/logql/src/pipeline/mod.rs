//! Pipelines: what happens to a line between the store and the answer.
//!
//! A [`Pipeline`] is compiled once per query and shared by threads; each thread has a
//! [`Scratch`] whose buffers every row uses again.

mod decolorize;
mod drop_keep;
mod format;
mod ip;
mod json;
mod json_path;
mod json_shape;
mod label_filter;
pub(crate) mod labels;
mod line_filter;
mod logfmt;
mod pattern;
mod regexp;
mod unpack;

use crate::{ParseError, ast::Stage};
pub(crate) use json_shape::JsonPlan;
use labels::{Hints, RowLabels};
use model::{Labels, LabelsRef};
use std::ops::ControlFlow;
use store::StreamId;

/// A compiled pipeline.
pub(crate) struct Pipeline {
    steps: Vec<Step>,
    /// Line filters on the raw line that a store can decide by itself.
    store_filters: Vec<store::LineFilter>,
    hints: Hints,
}

enum Step {
    Line(line_filter::Compiled),
    Json,
    JsonPaths(Vec<json_path::Wanted>),
    Logfmt(logfmt::Logfmt),
    Regexp(regexp::Extractor),
    Pattern(pattern::Extractor),
    Unpack,
    LabelFilter(label_filter::Compiled),
    LineFormat(format::LineTemplate),
    LabelFormat(format::LabelTemplates),
    Decolorize,
    Drop(drop_keep::Choices),
    Keep(drop_keep::Choices),
}

/// What the steps work on, and the buffers they use.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) labels: RowLabels,
    stream: Option<StreamId>,
    /// The line once a stage has changed it.
    line: String,
    changed: bool,
    spare: String,
}

/// The row as steps see it.
pub(crate) struct RowState<'a> {
    pub(crate) timestamp_ns: i64,
    raw: &'a str,
    scratch: &'a mut Scratch,
}

impl RowState<'_> {
    fn line(&self) -> &str {
        if self.scratch.changed { &self.scratch.line } else { self.raw }
    }

    /// The line and the labels at once, for steps that read one and write the other.
    fn parts(&mut self) -> (&str, &mut RowLabels) {
        let line = if self.scratch.changed { self.scratch.line.as_str() } else { self.raw };
        (line, &mut self.scratch.labels)
    }

    fn set_line(&mut self, write: impl FnOnce(&str, &mut String)) {
        let mut spare = std::mem::take(&mut self.scratch.spare);
        spare.clear();
        write(self.line(), &mut spare);
        self.scratch.spare = std::mem::replace(&mut self.scratch.line, spare);
        self.scratch.changed = true;
    }
}

impl Pipeline {
    /// Compiles stages in the order in which they run: line filters first, as far as no stage
    /// before them changes the line.
    pub(crate) fn compile(stages: &[Stage]) -> Result<Self, ParseError> {
        Self::compile_with(stages, Hints::default(), false)
    }

    /// As [`Pipeline::compile`], for a store that decides the first line filters itself when
    /// `push_down` is set, and with knowledge of the labels that matter.
    pub(crate) fn compile_with(stages: &[Stage], hints: Hints, push_down: bool) -> Result<Self, ParseError> {
        let mut steps = Vec::new();
        let mut store_filters = Vec::new();
        let mut raw_line = true;
        for stage in reordered(stages) {
            if let Stage::Line(filter) = stage
                && raw_line
                && push_down
            {
                let (exact, pushed) =
                    line_filter::for_store(filter).map_err(|error| in_stage(stage, error))?;
                store_filters.extend(pushed);
                if exact {
                    continue;
                }
            }
            raw_line &= matches!(stage, Stage::Line(_));
            let step = compile_step(stage)?;
            // A parser that nobody needs a label of does nothing.
            if !(hints.needs_none() && is_parser(stage)) {
                steps.push(step);
            }
        }
        Ok(Pipeline { steps, store_filters, hints })
    }

    /// Whether the store's filters are all there is.
    pub(crate) fn is_left_to_store(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether some step looks at the line: label filters, `drop` and `keep` do not.
    pub(crate) fn reads_lines(&self) -> bool {
        let is_blind = |step: &Step| matches!(step, Step::LabelFilter(_) | Step::Drop(_) | Step::Keep(_));
        !self.steps.iter().all(is_blind)
    }

    /// Whether lines may be handed over by their shape: after `json` no step looks at them.
    pub(crate) fn takes_shapes(&self) -> bool {
        let is_blind = |step: &Step| matches!(step, Step::LabelFilter(_) | Step::Drop(_) | Step::Keep(_));
        matches!(self.steps.as_slice(), [Step::Json, rest @ ..] if rest.iter().all(is_blind))
    }

    /// Whether `json` is all there is.
    pub(crate) fn is_json_alone(&self) -> bool {
        matches!(self.steps.as_slice(), [Step::Json])
    }

    /// How lines of these texts, with values between them, are read without making them.
    pub(crate) fn plan(&self, texts: &[&str]) -> Option<JsonPlan> {
        JsonPlan::of(texts, &self.hints).filter(|_| self.takes_shapes())
    }

    /// Runs a loaded row of a shape through the steps; `None` when its line is needed.
    pub(crate) fn run_shaped(
        &self,
        plan: &JsonPlan,
        row: &store::ShapedRow<'_>,
        scratch: &mut Scratch,
    ) -> Option<bool> {
        let mut text = std::mem::take(&mut scratch.spare);
        let done = plan.extract(row, &mut scratch.labels, &self.hints, &mut text);
        scratch.spare = text;
        done?;
        let mut state = RowState { timestamp_ns: row.timestamp_ns, raw: "", scratch };
        Some(self.steps.iter().skip(1).all(|step| step.run(&mut state, &self.hints)))
    }

    /// Conditions on the raw line for the store.
    pub(crate) fn store_filters(&self) -> &[store::LineFilter] {
        &self.store_filters
    }

    /// Loads a row into the scratch.
    pub(crate) fn load(
        &self,
        scratch: &mut Scratch,
        stream: StreamId,
        labels: &Labels,
        metadata: LabelsRef<'_>,
    ) {
        if scratch.stream != Some(stream) {
            scratch.labels.load_stream(labels);
            scratch.stream = Some(stream);
        }
        scratch.labels.load_row(metadata);
        scratch.changed = false;
    }

    /// Runs a loaded row through the steps; returns whether it passes.
    pub(crate) fn run(&self, scratch: &mut Scratch, timestamp_ns: i64, line: &str) -> bool {
        let mut row = RowState { timestamp_ns, raw: line, scratch };
        self.steps.iter().all(|step| step.run(&mut row, &self.hints))
    }
}

impl Scratch {
    /// The line after the steps.
    pub(crate) fn line<'a>(&'a self, raw: &'a str) -> &'a str {
        if self.changed { &self.line } else { raw }
    }
}

impl Step {
    fn run(&self, row: &mut RowState<'_>, hints: &Hints) -> bool {
        match self {
            Step::Line(filter) => filter.passes(row.line()),
            Step::Json => {
                let (line, labels) = row.parts();
                json::extract_all(line, labels, hints);
                true
            }
            Step::JsonPaths(wanted) => {
                let (line, labels) = row.parts();
                json_path::extract(wanted, line, labels, hints);
                true
            }
            Step::Logfmt(logfmt) => {
                let (line, labels) = row.parts();
                logfmt.extract(line, labels, hints);
                true
            }
            Step::Regexp(extractor) => {
                let (line, labels) = row.parts();
                extractor.extract(line, labels, hints);
                true
            }
            Step::Pattern(extractor) => {
                let (line, labels) = row.parts();
                extractor.extract(line, labels, hints);
                true
            }
            Step::Unpack => {
                unpack::unpack(row, hints);
                true
            }
            Step::LabelFilter(filter) => filter.passes(&mut row.scratch.labels),
            Step::LineFormat(template) => {
                template.run(row);
                true
            }
            Step::LabelFormat(templates) => {
                templates.run(row);
                true
            }
            Step::Decolorize => {
                if row.line().contains('\x1b') {
                    row.set_line(decolorize::decolorize);
                }
                true
            }
            Step::Drop(choices) => {
                choices.drop_from(&mut row.scratch.labels);
                true
            }
            Step::Keep(choices) => {
                choices.keep_in(&mut row.scratch.labels);
                true
            }
        }
    }
}

/// Whether the stage does nothing but find labels in the line.
pub(crate) fn is_parser(stage: &Stage) -> bool {
    matches!(stage, Stage::Json(_) | Stage::Logfmt { .. } | Stage::Regexp(_) | Stage::Pattern(_))
}

/// Line filters move in front of every stage that leaves the line alone, and of `decolorize`.
fn reordered(stages: &[Stage]) -> Vec<&Stage> {
    let (mut order, mut filters, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for stage in stages {
        match stage {
            Stage::Line(_) => filters.push(stage),
            Stage::LineFormat(_) | Stage::Unpack => {
                rest.push(stage);
                order.append(&mut filters);
                order.append(&mut rest);
            }
            other => rest.push(other),
        }
    }
    order.append(&mut filters);
    order.append(&mut rest);
    order
}

fn in_stage(stage: &Stage, message: impl std::fmt::Display) -> ParseError {
    ParseError::new(format!("stage '{stage}' : {message}"))
}

fn compile_step(stage: &Stage) -> Result<Step, ParseError> {
    let failed = |message: String| in_stage(stage, message);
    Ok(match stage {
        Stage::Line(filter) => Step::Line(line_filter::Compiled::new(filter).map_err(failed)?),
        Stage::Json(extractions) if extractions.is_empty() => Step::Json,
        Stage::Json(extractions) => Step::JsonPaths(json_path::compile(extractions).map_err(failed)?),
        Stage::Logfmt { strict, keep_empty, extractions } => {
            Step::Logfmt(logfmt::Logfmt::new(*strict, *keep_empty, extractions).map_err(failed)?)
        }
        Stage::Regexp(text) => Step::Regexp(
            regexp::Extractor::new(text)
                .map_err(|message| ParseError::new(format!("invalid regexp parser: {message}")))?,
        ),
        Stage::Pattern(text) => Step::Pattern(
            pattern::Extractor::new(text)
                .map_err(|message| ParseError::new(format!("invalid pattern parser: {message}")))?,
        ),
        Stage::Unpack => Step::Unpack,
        Stage::LabelFilter(filter) => Step::LabelFilter(label_filter::Compiled::new(filter).map_err(failed)?),
        Stage::LineFormat(text) => Step::LineFormat(format::LineTemplate::new(text).map_err(failed)?),
        Stage::LabelFormat(formats) => {
            Step::LabelFormat(format::LabelTemplates::new(formats).map_err(failed)?)
        }
        Stage::Decolorize => Step::Decolorize,
        Stage::Drop(choices) => Step::Drop(drop_keep::Choices::new(choices)),
        Stage::Keep(choices) => Step::Keep(drop_keep::Choices::new(choices)),
    })
}

/// Label names that the stages read, for [`Hints`]; `None` when a stage may read any.
pub(crate) fn labels_read(stages: &[Stage]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for stage in stages {
        match stage {
            Stage::LabelFilter(filter) => label_filter::labels_read(filter, &mut names),
            Stage::LineFormat(text) => format::labels_read(text, &mut names)?,
            Stage::LabelFormat(formats) => {
                for format in formats {
                    match &format.source {
                        crate::ast::FormatSource::Rename(source) => names.push(source.clone()),
                        crate::ast::FormatSource::Template(text) => format::labels_read(text, &mut names)?,
                    }
                }
            }
            _ => {}
        }
    }
    Some(names)
}

/// Whether a line has the form of a `|>` filter's pattern.
#[cfg(test)]
pub(crate) fn pattern_matches(text: &str, line: &str) -> Result<bool, String> {
    pattern::Filter::new(text).map(|filter| filter.matches(line))
}

/// Keys and values of a line that is logfmt, or `None` when it is something else.
pub(crate) fn logfmt_pairs(line: &str) -> Option<Vec<(String, String)>> {
    logfmt::pairs(line)
}

/// Scalar members of a line that is a JSON object, each with its path.
pub(crate) fn json_scalars(line: &str) -> Option<Vec<(Vec<String>, String)>> {
    json::scalars(line)
}

/// The label name of a nested JSON member.
pub(crate) fn label_of_path(path: &[String]) -> String {
    let mut name = String::new();
    for (i, key) in path.iter().enumerate() {
        if i == 0 {
            sanitized(key, &mut name);
        } else {
            name.push('_');
            name.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
        }
    }
    name
}

/// Ends a parser's walk early once everything needed is found.
fn go_on(labels: &RowLabels, hints: &Hints) -> ControlFlow<()> {
    if labels.has_all(hints) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// A key as a label name: letters, digits and `_`, not starting with a digit.
fn sanitized(key: &str, out: &mut String) {
    if key.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
}

#[cfg(test)]
mod tests;
