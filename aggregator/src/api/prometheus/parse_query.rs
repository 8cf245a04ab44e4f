//! `GET` and `POST /api/v1/parse_query`: a query's syntax tree as JSON.

use super::{
    answer::{ApiError, Success},
    params::Params,
};
use crate::app::AppState;
use axum::extract::State;
use model::Matcher;
use promql::{
    Expr, ValueType,
    ast::{
        Aggregate, At, Binary, Call, Cardinality, DurationExpr, DurationScope, Extension, Matching,
        Modifiers, Subquery, VectorSelector,
    },
};
use serde_json::{Value, json};

pub(super) async fn parse_query(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let (parse_options, _) = params.options(&app)?;
    let expr = promql::parse(params.get("query"), &parse_options)?;
    Ok(Success::of(&tree(&expr)))
}

/// The parser bounds the depth, and so this recursion.
fn tree(expr: &Expr) -> Value {
    match expr {
        Expr::Number(node) => json!({ "type": "numberLiteral", "val": number(node.value) }),
        Expr::String(node) => json!({ "type": "stringLiteral", "val": node.text() }),
        Expr::Vector(node) => selector(node, "vectorSelector"),
        Expr::Matrix(node) => {
            let mut found = selector(&node.selector, "matrixSelector");
            found["range"] = json!(ms(&node.range));
            found
        }
        Expr::Subquery(node) => subquery(node),
        Expr::Paren(node) => json!({ "type": "parenExpr", "expr": tree(&node.expr) }),
        Expr::Unary(node) => {
            let op = if node.negative { "-" } else { "+" };
            json!({ "type": "unaryExpr", "op": op, "expr": tree(&node.expr) })
        }
        Expr::Binary(node) => binary(node),
        Expr::Aggregate(node) => aggregate(node),
        Expr::Call(node) => call(node),
    }
}

/// In full, never with an exponent, which is how `Display` prints a float.
fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => value.to_string(),
    }
}

fn selector(node: &VectorSelector, kind: &str) -> Value {
    let (timestamp, start_or_end) = at(&node.modifiers);
    json!({
        "type": kind,
        "name": node.name.as_deref().unwrap_or_default(),
        "offset": node.modifiers.offset.as_ref().map_or(0, ms),
        "matchers": node.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "timestamp": timestamp,
        "startOrEnd": start_or_end,
        "anchored": node.extension == Some(Extension::Anchored),
        "smoothed": node.extension == Some(Extension::Smoothed),
    })
}

fn matcher(matcher: &Matcher) -> Value {
    json!({ "type": matcher.op().as_str(), "name": matcher.name(), "value": matcher.value() })
}

/// `timestamp` and `startOrEnd`; at most one of them is not null.
fn at(modifiers: &Modifiers) -> (Value, Value) {
    match modifiers.at {
        None => (Value::Null, Value::Null),
        Some(At::Time(ms)) => (json!(ms), Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
    }
}

/// Milliseconds; 0 for what only the query's step or range decides.
fn ms(duration: &DurationExpr) -> i64 {
    duration.resolve_ms(DurationScope { step_ms: 0, range_ms: 0 }).unwrap_or(0)
}

fn subquery(node: &Subquery) -> Value {
    let (timestamp, start_or_end) = at(&node.modifiers);
    json!({
        "type": "subquery",
        "expr": tree(&node.expr),
        "range": ms(&node.range),
        "offset": node.modifiers.offset.as_ref().map_or(0, ms),
        "step": node.step.as_ref().map_or(0, ms),
        "timestamp": timestamp,
        "startOrEnd": start_or_end,
    })
}

fn binary(node: &Binary) -> Value {
    let sides = [node.left.value_type(), node.right.value_type()];
    let matches = !sides.contains(&ValueType::Scalar);
    json!({
        "type": "binaryExpr",
        "op": node.op.as_str(),
        "lhs": tree(&node.left),
        "rhs": tree(&node.right),
        "matching": matches.then(|| matching(&node.matching)),
        "bool": node.return_bool,
    })
}

fn matching(matching: &Matching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": { "lhs": matching.fill_left, "rhs": matching.fill_right },
    })
}

fn aggregate(node: &Aggregate) -> Value {
    json!({
        "type": "aggregation",
        "op": node.op.as_str(),
        "expr": tree(&node.expr),
        "param": node.parameter.as_ref().map(tree),
        "grouping": node.grouping,
        "without": node.without,
    })
}

fn call(node: &Call) -> Value {
    let function = node.function;
    let variadic = match function.args_max {
        usize::MAX => -1,
        most => (most - function.args_min) as i64,
    };
    json!({
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": function.args.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
            "variadic": variadic,
            "returnType": function.returns.as_str(),
        },
        "args": node.args.iter().map(tree).collect::<Vec<_>>(),
    })
}
