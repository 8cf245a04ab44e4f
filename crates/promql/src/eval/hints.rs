//! Counter-reset hints of histograms, found out by comparing neighbours once for each series that is
//! read, so that windows and aggregations need not compare again.
//!
//! A histogram after one that it continues is marked as no reset. One that starts anew stays
//! unknown, as it does at the start of a chunk in Prometheus; but where only counts and sums are
//! asked for (`histogram_count` and its kin), it is marked as a reset.

use crate::{ast::Expr, histogram, position::Position};
use model::{Histogram, ResetHint, Samples};
use std::sync::Arc;

/// Fills in hints that are unknown and can be told from the sample before.
pub(super) fn resolve(samples: &mut Samples, mark_resets: bool) {
    for at in 1..samples.histograms.len() {
        let (before, rest) = samples.histograms.split_at_mut(at);
        let (previous_index, previous) = &before[at - 1];
        let (index, current) = &mut rest[0];
        let follows = *index == previous_index + 1 && !previous.is_stale();
        let is_open = current.reset_hint == ResetHint::Unknown && previous.reset_hint != ResetHint::Gauge;
        if !follows || !is_open {
            continue;
        }
        let hint = match histogram::detect_reset(current, previous) {
            false => ResetHint::NotReset,
            true if mark_resets => ResetHint::Reset,
            true => continue,
        };
        *current = Arc::new(Histogram { reset_hint: hint, ..current.as_ref().clone() });
    }
}

/// Where the selectors stand of which only counts and sums of histograms are asked for.
pub(super) fn stats_only(expr: &Expr) -> Vec<Position> {
    let mut found = Vec::new();
    collect(expr, false, &mut found);
    found
}

fn collect(expr: &Expr, stats: bool, found: &mut Vec<Position>) {
    let stats = match expr {
        Expr::Call(call) => match call.function.name {
            "histogram_avg" | "histogram_count" | "histogram_sum" => true,
            "histogram_fraction"
            | "histogram_quantile"
            | "histogram_quantiles"
            | "histogram_stddev"
            | "histogram_stdvar" => false,
            _ => stats,
        },
        Expr::Subquery(_) | Expr::Binary(_) => false,
        _ => stats,
    };
    match expr {
        Expr::Vector(selector) if stats => found.push(selector.span.start),
        Expr::Matrix(matrix) if stats => found.push(matrix.selector.span.start),
        _ => expr.children().into_iter().for_each(|child| collect(child, stats, found)),
    }
}

/// A histogram whose neighbours are not those it was stored beside.
pub(super) fn forget(histogram: &Arc<Histogram>) -> Arc<Histogram> {
    match histogram.reset_hint {
        ResetHint::Unknown | ResetHint::Gauge => histogram.clone(),
        ResetHint::Reset | ResetHint::NotReset => {
            Arc::new(Histogram { reset_hint: ResetHint::Unknown, ..histogram.as_ref().clone() })
        }
    }
}
