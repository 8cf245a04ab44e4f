//! The same query in other guises: pinned with `@` and evaluated at other times, and as the middle
//! point of a range.

use super::{
    command::{Eval, When},
    compare,
    run::{check_value, evaluate},
};
use crate::{
    ParseOptions, QueryValue,
    ast::{At, Expr},
    description::SeriesLine,
    parse,
};
use store::MetricStore;

/// Functions whose value depends on the moment of evaluation.
const OF_TIME: [&str; 15] = [
    "time",
    "timestamp",
    "predict_linear",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
    "start",
    "end",
    "step",
    "range",
];

pub(super) fn check(
    eval: &Eval,
    expr: &Expr,
    store: &dyn MetricStore,
    experimental: bool,
) -> Result<(), String> {
    let When::Instant { at_ms } = eval.when else { return Ok(()) };
    if eval.range_vector.is_none() {
        pinned(eval, expr, at_ms, store, experimental)?;
    }
    as_range(eval, expr, at_ms, store, experimental)
}

fn pinned(
    eval: &Eval,
    expr: &Expr,
    at_ms: i64,
    store: &dyn MetricStore,
    experimental: bool,
) -> Result<(), String> {
    let mut depends_on_time = false;
    expr.walk(&mut |node| {
        if let Expr::Call(call) = node {
            depends_on_time |= OF_TIME.contains(&call.function.name);
        }
    });
    if depends_on_time {
        return Ok(());
    }
    let mut pinned = expr.clone();
    pin(&mut pinned, at_ms);
    // What is printed must mean the same.
    let printed = pinned.to_string();
    let pinned = parse(&printed, &ParseOptions { experimental: true })
        .map_err(|error| format!("printed as {printed}: {error}"))?;
    let times =
        if at_ms == 0 { vec![-1000, 0, 1000] } else { vec![-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms] };
    for time_ms in times {
        let answer = evaluate(&pinned, When::Instant { at_ms: time_ms }, store, experimental)
            .map_err(|message| format!("as {printed} at {time_ms}: {message}"))?;
        check_value(eval, eval.when, &answer.value)
            .map_err(|message| format!("as {printed} at {time_ms}: {message}"))?;
    }
    Ok(())
}

/// Puts `@` on everything that has none and is not inside a subquery with one.
fn pin(expr: &mut Expr, at_ms: i64) {
    let at = |slot: &mut Option<At>| {
        slot.get_or_insert(At::Time(at_ms));
    };
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Vector(selector) => at(&mut selector.modifiers.at),
        Expr::Matrix(matrix) => at(&mut matrix.selector.modifiers.at),
        Expr::Subquery(subquery) => at(&mut subquery.modifiers.at),
        Expr::Paren(paren) => pin(&mut paren.expr, at_ms),
        Expr::Unary(unary) => pin(&mut unary.expr, at_ms),
        Expr::Binary(binary) => {
            pin(&mut binary.left, at_ms);
            pin(&mut binary.right, at_ms);
        }
        Expr::Aggregate(aggregate) => {
            pin(&mut aggregate.expr, at_ms);
            aggregate.parameter.iter_mut().for_each(|parameter| pin(parameter, at_ms));
        }
        Expr::Call(call) => {
            let args = if call.function.name == "info" { 1 } else { call.args.len() };
            call.args.iter_mut().take(args).for_each(|arg| pin(arg, at_ms));
        }
    }
}

fn as_range(
    eval: &Eval,
    expr: &Expr,
    at_ms: i64,
    store: &dyn MetricStore,
    experimental: bool,
) -> Result<(), String> {
    let of_query = ["start()", "end()", "step()", "range()"];
    let names_query = of_query.iter().any(|call| eval.query.to_ascii_lowercase().contains(call));
    if eval.ordered || eval.string.is_some() || eval.range_vector.is_some() || names_query {
        return Ok(());
    }
    let when = When::Range { start_ms: at_ms - 60_000, end_ms: at_ms + 60_000, step_ms: 60_000 };
    let answer =
        evaluate(expr, when, store, experimental).map_err(|message| format!("as a range: {message}"))?;
    let QueryValue::Matrix(matrix) = answer.value else { return Err("a range is no matrix".to_owned()) };
    let mut middle = Vec::new();
    for series in matrix {
        for point in series.points.into_iter().filter(|point| point.timestamp_ms == at_ms) {
            middle.push(model::VectorSample {
                labels: series.labels.clone(),
                timestamp_ms: at_ms,
                value: point.value,
            });
        }
    }
    if let Some(expected) = eval.scalar {
        let found = middle.first().map_or(f64::NAN, |sample| sample.value.as_float());
        return if compare::almost_equal(found, expected) {
            Ok(())
        } else {
            Err(format!("as a range: expected {expected}, found {found}"))
        };
    }
    let lines: Vec<SeriesLine> = eval.series.clone();
    compare::vector(&middle, &lines, false).map_err(|message| format!("as a range: {message}"))
}
