//! Arithmetic and comparison between two vectors.
//!
//! Series are grouped by their signature (the labels that must agree) once; inside a group every
//! pair is computed as columns. Which series of a group has a value may change from step to step, so
//! duplicates are looked for by step.

use super::{
    super::{
        EvalResult, Evaluator, Grid, Series, Sink,
        column::{Column, Sample},
        fail,
        name::{self, RESERVED},
    },
    operate::{Notes, Outcome, is_possible, operate, operation_name},
};
use crate::ast::{Binary, Cardinality, Matching};
use hashbrown::HashMap;
use model::{Labels, METRIC_NAME, Value};

/// Computes the labels by which series match.
pub(super) struct Signer<'a> {
    on: bool,
    labels: Vec<&'a str>,
}

impl<'a> Signer<'a> {
    pub(super) fn new(matching: &'a Matching) -> Self {
        let mut labels: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
        if !matching.on {
            labels.push(METRIC_NAME);
        }
        Signer { on: matching.on, labels }
    }

    pub(super) fn signature(&self, labels: &Labels) -> Labels {
        if self.on { labels.keep(&self.labels) } else { labels.without(&self.labels) }
    }
}

/// The series of one signature.
#[derive(Default)]
struct Group<'q> {
    many: Vec<Series<'q>>,
    one: Vec<Series<'q>>,
}

/// An operation with its sides named by how many series they may have.
struct Plan<'b> {
    binary: &'b Binary,
    /// Whether the "many" side is the right one.
    swapped: bool,
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    /// Whether names go at the very end; see [`name`].
    late_names: bool,
}

impl<'b> Plan<'b> {
    fn new(binary: &'b Binary, late_names: bool) -> Self {
        let matching = &binary.matching;
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (fill_many, fill_one) = match swapped {
            true => (matching.fill_right, matching.fill_left),
            false => (matching.fill_left, matching.fill_right),
        };
        Plan { binary, swapped, fill_many, fill_one, late_names }
    }

    fn is_one_to_one(&self) -> bool {
        self.binary.matching.cardinality == Cardinality::OneToOne
    }

    fn has_fill(&self) -> bool {
        self.fill_many.is_some() || self.fill_one.is_some()
    }

    /// Whether two values make a match. Those whose kinds do not go with the operator make none.
    fn is_match(&self, many: Sample<'_>, one: Sample<'_>) -> bool {
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        is_possible(self.binary.op, left, right)
    }

    fn is_filter(&self) -> bool {
        self.binary.op.is_comparison() && !self.binary.return_bool
    }

    /// The labels of the result of `many` with `one`.
    fn result_labels(&self, many: &Labels, one: Option<&Labels>) -> Labels {
        let matching = &self.binary.matching;
        let mut labels = many.clone();
        if self.drops_name() {
            labels = labels.without(&RESERVED);
        }
        if self.is_one_to_one() {
            let names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
            return if matching.on { labels.keep(&names) } else { labels.without(&names) };
        }
        let Some(one) = one.filter(|_| !matching.include.is_empty()) else { return labels };
        let mut builder = labels.to_builder();
        for name in &matching.include {
            builder.set(name, one.value(name));
        }
        builder.build()
    }

    /// Whether the operation loses the metric's name at once; a comparison that filters keeps it, and
    /// one that answers 0 or 1 may lose it late.
    fn drops_name(&self) -> bool {
        !(self.is_filter() || self.binary.op.is_trim() || self.drops_name_late())
    }

    fn drops_name_late(&self) -> bool {
        self.late_names && self.binary.return_bool
    }
}

impl<'q> Evaluator<'q> {
    pub(super) fn vectors(&self, binary: &Binary, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let plan = Plan::new(binary, self.options.experimental);
        let mut is_asked = vec![plan.has_fill(); grid.count];
        let groups = self.group(&plan, grid, &mut is_asked)?;
        let mut results = Vec::new();
        for (signature, group) in groups {
            self.context.check()?;
            check_one_side(&plan, &signature, &group, &is_asked)?;
            check_unique_matches(&plan, &group)?;
            self.match_group(&plan, &signature, &group, grid, &mut results)?;
        }
        let results = merge_results(&plan, results)?;
        results.into_iter().filter(|series| !series.column.is_empty()).try_for_each(sink)
    }

    /// Both sides by signature, in order of the first appearance. Marks the steps at which the "many"
    /// side has any value.
    fn group(
        &self,
        plan: &Plan<'_>,
        grid: Grid,
        is_asked: &mut [bool],
    ) -> EvalResult<Vec<(Labels, Group<'q>)>> {
        let signer = Signer::new(&plan.binary.matching);
        let (many, one) = match plan.swapped {
            true => (&plan.binary.right, &plan.binary.left),
            false => (&plan.binary.left, &plan.binary.right),
        };
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<(Labels, Group<'q>)> = Vec::new();
        for (side, is_many) in [(many, true), (one, false)] {
            self.stream(side, grid, &mut |series| {
                let signature = signer.signature(&series.labels);
                let place = *places.entry(signature.clone()).or_insert_with(|| {
                    groups.push((signature, Group::default()));
                    groups.len() - 1
                });
                let group = &mut groups[place].1;
                if is_many {
                    let steps = is_asked.iter_mut().enumerate();
                    steps.for_each(|(step, is_asked)| *is_asked |= series.column.has(step));
                    group.many.push(series)
                } else {
                    group.one.push(series)
                }
                Ok(())
            })?;
        }
        Ok(groups)
    }

    fn match_group(
        &self,
        plan: &Plan<'_>,
        signature: &Labels,
        group: &Group<'q>,
        grid: Grid,
        results: &mut Vec<Series<'q>>,
    ) -> EvalResult<()> {
        if plan.is_one_to_one() {
            check_many_side(plan, group, grid)?;
        }
        for many in &group.many {
            for one in &group.one {
                let labels = plan.result_labels(&many.labels, Some(&one.labels));
                let column =
                    self.compute(plan, grid, |step| Some((many.column.get(step)?, one.column.get(step)?)))?;
                results.push(result(plan, labels, many.drop_name, column));
            }
            let Some(fill) = plan.fill_one else { continue };
            let column = self.compute(plan, grid, |step| {
                let missing = !group.one.iter().any(|one| one.column.has(step));
                Some((many.column.get(step)?, Sample::Float(fill))).filter(|_| missing)
            })?;
            results.push(result(plan, plan.result_labels(&many.labels, None), many.drop_name, column));
        }
        let Some(fill) = plan.fill_many else { return Ok(()) };
        for one in &group.one {
            let column = self.compute(plan, grid, |step| {
                let missing = !group.many.iter().any(|many| many.column.has(step));
                Some((Sample::Float(fill), one.column.get(step)?)).filter(|_| missing)
            })?;
            let labels = plan.result_labels(signature, Some(&one.labels));
            results.push(result(plan, labels, one.drop_name, column));
        }
        Ok(())
    }

    /// The operation at every step where `pair` has both values, given as (many, one).
    fn compute<'a>(
        &self,
        plan: &Plan<'_>,
        grid: Grid,
        pair: impl Fn(usize) -> Option<(Sample<'a>, Sample<'a>)>,
    ) -> EvalResult<Column<'q>> {
        let binary = plan.binary;
        let mut column = Column::absent(grid.count, self.context)?;
        let mut notes = Notes::default();
        for step in 0..grid.count {
            let Some((many, one)) = pair(step) else { continue };
            let (left, right) = if plan.swapped { (one, many) } else { (many, one) };
            match operate(binary.op, left, right, &mut notes) {
                Outcome::Value(value) => column.set(step, value),
                Outcome::Truth(holds) if binary.return_bool => {
                    column.set(step, Value::Float(f64::from(u8::from(holds))));
                }
                Outcome::Truth(true) => column.set(step, left.to_value()),
                Outcome::Truth(false) => {}
                Outcome::Incompatible => self.note_incompatible(binary, left, right),
                Outcome::MixedSchemas => self.note_mixed_schemas(binary),
            }
        }
        self.note(binary, notes);
        Ok(column)
    }

    fn note(&self, binary: &Binary, notes: Notes) {
        let operation = operation_name(binary.op);
        if notes.reconciled {
            let message = format!("mismatched custom buckets were reconciled during {operation}");
            self.info(binary.span.start, &message);
        }
        if notes.hints_conflict {
            let message = format!("conflicting counter resets during histogram {operation}");
            self.warn(binary.span.start, &message);
        }
    }

    fn note_mixed_schemas(&self, binary: &Binary) {
        let op = binary.op.as_str();
        let message = format!("incompatible bucket layout encountered for binary operator {op}");
        self.warn(binary.span.start, &message);
    }
}

/// The "one" side may have only one series of a signature at a step, whether or not the other side
/// has the signature: it is enough that it has anything to match at all.
fn check_one_side(
    plan: &Plan<'_>,
    signature: &Labels,
    group: &Group<'_>,
    is_asked: &[bool],
) -> EvalResult<()> {
    if group.one.len() < 2 {
        return Ok(());
    }
    let Some((first, second)) = overlapping(&group.one, is_asked) else { return Ok(()) };
    let side = if plan.swapped { "left" } else { "right" };
    fail(format!(
        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: \
         [{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

const NOT_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

/// Matches that a comparison filters out count as well: two at one step may not get the same labels.
fn check_unique_matches(plan: &Plan<'_>, group: &Group<'_>) -> EvalResult<()> {
    if plan.is_one_to_one() || !plan.is_filter() || group.many.len() < 2 {
        return Ok(());
    }
    let mut taken: HashMap<Labels, Vec<bool>> = HashMap::new();
    for many in &group.many {
        for one in &group.one {
            let labels = plan.result_labels(&many.labels, Some(&one.labels));
            let steps = taken.entry(labels).or_insert_with(|| vec![false; many.column.len()]);
            for (step, taken) in steps.iter_mut().enumerate() {
                let (Some(many), Some(one)) = (many.column.get(step), one.column.get(step)) else { continue };
                if plan.is_match(many, one) && std::mem::replace(taken, true) {
                    return fail(NOT_UNIQUE);
                }
            }
        }
    }
    Ok(())
}

/// With one-to-one matching, only one series of the left side may find its match at a step.
fn check_many_side(plan: &Plan<'_>, group: &Group<'_>, grid: Grid) -> EvalResult<()> {
    if group.many.len() < 2 {
        return Ok(());
    }
    for step in 0..grid.count {
        let one = group.one.iter().find_map(|one| one.column.get(step));
        let Some(one) = one.or_else(|| plan.fill_one.map(Sample::Float)) else { continue };
        let present = group.many.iter().filter_map(|many| many.column.get(step));
        if present.filter(|many| plan.is_match(*many, one)).nth(1).is_some() {
            return fail(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            );
        }
    }
    Ok(())
}

/// The labels of two series that have a value at the same one of these steps, in ascending order.
fn overlapping(all: &[Series<'_>], is_asked: &[bool]) -> Option<(Labels, Labels)> {
    let mut steps = is_asked.iter().enumerate().filter(|(_, is_asked)| **is_asked);
    steps.find_map(|(step, _)| {
        let mut present = all.iter().filter(|series| series.column.has(step));
        let (a, b) = (present.next()?.labels.clone(), present.next()?.labels.clone());
        Some(if a < b { (a, b) } else { (b, a) })
    })
}

fn result<'q>(plan: &Plan<'_>, labels: Labels, drop_name: bool, column: Column<'q>) -> Series<'q> {
    let drop_name = plan.drops_name_late() || drop_name && !plan.drops_name();
    Series { labels, drop_name, column }
}

/// Results with equal labels become one series.
fn merge_results<'q>(plan: &Plan<'_>, results: Vec<Series<'q>>) -> EvalResult<Vec<Series<'q>>> {
    name::merge_equal(results).or_else(|_| {
        if plan.is_one_to_one() {
            fail(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            )
        } else {
            fail(NOT_UNIQUE)
        }
    })
}
