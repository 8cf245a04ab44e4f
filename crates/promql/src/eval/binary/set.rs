//! `and`, `or`, `unless`: series chosen by whether the other side has their match at a step.

use super::{
    super::{EvalResult, Evaluator, Grid, Series, Sink, name},
    vector::Signer,
};
use crate::ast::{Binary, BinaryOp};
use hashbrown::HashMap;
use model::Labels;

/// For every signature, at which steps some series has a value.
type Presence = HashMap<Labels, Vec<bool>>;

impl<'q> Evaluator<'q> {
    pub(super) fn set(&self, binary: &Binary, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let signer = Signer::new(&binary.matching);
        if binary.op == BinaryOp::Or {
            return self.union(binary, &signer, grid, sink);
        }
        let mut presence = Presence::new();
        self.stream(&binary.right, grid, &mut |series| {
            note_presence(&mut presence, signer.signature(&series.labels), &series);
            Ok(())
        })?;
        let keep_present = binary.op == BinaryOp::And;
        self.stream(&binary.left, grid, &mut |mut series| {
            let others = presence.get(&signer.signature(&series.labels));
            keep_where(&mut series, others, keep_present);
            if series.column.is_empty() { Ok(()) } else { sink(series) }
        })
    }

    /// All of the left side, and of the right side what has no match there.
    fn union(&self, binary: &Binary, signer: &Signer<'_>, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let mut presence = Presence::new();
        let mut all = Vec::new();
        self.stream(&binary.left, grid, &mut |series| {
            note_presence(&mut presence, signer.signature(&series.labels), &series);
            all.push(series);
            Ok(())
        })?;
        self.stream(&binary.right, grid, &mut |mut series| {
            let signature = signer.signature(&series.labels);
            keep_where(&mut series, presence.get(&signature), false);
            if !series.column.is_empty() {
                all.push(series);
            }
            Ok(())
        })?;
        merge_sides(all)?.into_iter().try_for_each(sink)
    }
}

/// Merges series of both sides with equal labels; the name goes where either side drops it.
fn merge_sides(all: Vec<Series<'_>>) -> EvalResult<Vec<Series<'_>>> {
    let mut drops: HashMap<Labels, bool> = HashMap::new();
    for series in &all {
        *drops.entry(series.labels.clone()).or_default() |= series.drop_name;
    }
    let mut merged = name::merge_equal(all)?;
    for series in &mut merged {
        series.drop_name |= drops.get(&series.labels).copied().unwrap_or(false);
    }
    Ok(merged)
}

fn note_presence(presence: &mut Presence, signature: Labels, series: &Series<'_>) {
    let steps = presence.entry(signature).or_insert_with(|| vec![false; series.column.len()]);
    for (step, present) in steps.iter_mut().enumerate() {
        *present |= series.column.has(step);
    }
}

/// Keeps the values where the other side's presence is `wanted`.
fn keep_where(series: &mut Series<'_>, others: Option<&Vec<bool>>, wanted: bool) {
    for step in 0..series.column.len() {
        let present = others.is_some_and(|steps| steps[step]);
        if present != wanted {
            series.column.clear(step);
        }
    }
}
