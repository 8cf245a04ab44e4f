//! Types: every expression has what its place asks for.

use super::*;

/// Checks `expr` and everything inside it.
pub(super) fn check(expr: &Expr) -> Parsed<()> {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Vector(selector) => check_selects(selector)?,
        Expr::Matrix(matrix) => check_selects(&matrix.selector)?,
        Expr::Paren(node) => check(&node.expr)?,
        Expr::Subquery(node) => {
            check(&node.expr)?;
            let found = node.expr.value_type();
            if found != ValueType::Vector {
                let message =
                    format!("subquery is only allowed on instant vector, got {} instead", found.as_str());
                return Err(error(node.span, message));
            }
        }
        Expr::Unary(node) => {
            check(&node.expr)?;
            let found = node.expr.value_type();
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                    quote(found.describe())
                );
                return Err(error(node.span, message));
            }
        }
        Expr::Binary(node) => check_binary(node)?,
        Expr::Aggregate(node) => {
            expect(&node.expr, ValueType::Vector, "aggregation expression")?;
            if let (Some(parameter), Some(wanted)) = (&node.parameter, node.op.parameter()) {
                expect(parameter, wanted, "aggregation parameter")?;
            }
        }
        Expr::Call(node) => check_call(node)?,
    }
    Ok(())
}

/// A selector without a condition that refuses the empty value would select everything.
pub(super) fn check_selects(selector: &VectorSelector) -> Parsed<()> {
    if selector.matchers.iter().all(model::Matcher::matches_empty) {
        let message = "vector selector must contain at least one non-empty matcher";
        return Err(error(selector.span, message.to_owned()));
    }
    Ok(())
}

fn expect(expr: &Expr, wanted: ValueType, context: &str) -> Parsed<()> {
    check(expr)?;
    let found = expr.value_type();
    if found == wanted {
        return Ok(());
    }
    let (wanted, found) = (wanted.describe(), found.describe());
    Err(error(expr.span(), format!("expected type {wanted} in {context}, got {found}")))
}

fn check_binary(node: &Binary) -> Parsed<()> {
    check(&node.left)?;
    check(&node.right)?;
    let (left, right) = (node.left.value_type(), node.right.value_type());
    let scalars = [left, right] == [ValueType::Scalar; 2];
    let vectors = [left, right] == [ValueType::Vector; 2];
    let fail_at = |position: Position, message: String| Err(ParseError { position, message });
    let fail = |message: String| fail_at(node.span.start, message);
    if node.return_bool && !node.op.is_comparison() {
        return fail_at(node.op_start, "bool modifier can only be used on comparison operators".to_owned());
    }
    if node.op.is_comparison() && !node.return_bool && scalars {
        return fail_at(node.op_start, "comparisons between scalars must use BOOL modifier".to_owned());
    }
    let both = node.matching.include.iter().find(|label| node.matching.labels.contains(label));
    if let (true, Some(label)) = (node.matching.on, both) {
        let message = format!("label {} must not occur in ON and GROUP clause at once", quote(label));
        return fail_at(node.op_start, message);
    }
    for (side, found) in [(&node.left, left), (&node.right, right)] {
        if !matches!(found, ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return Err(error(side.span(), message.to_owned()));
        }
    }
    let has_fill = node.matching.fill_left.is_some() || node.matching.fill_right.is_some();
    if !vectors {
        if !node.matching.labels.is_empty() {
            return fail("vector matching only allowed between instant vectors".to_owned());
        }
        if has_fill {
            return fail("filling in missing series only allowed between instant vectors".to_owned());
        }
        if node.op.is_set() {
            return fail(format!(
                "set operator {} not allowed in binary scalar expression",
                quote(node.op.as_str())
            ));
        }
    } else if node.op.is_set() {
        if node.matching.cardinality != Cardinality::ManyToMany {
            return fail(format!("no grouping allowed for {} operation", quote(node.op.as_str())));
        }
        if has_fill {
            return fail("filling in missing series not allowed for set operators".to_owned());
        }
    }
    Ok(())
}

fn check_call(node: &Call) -> Parsed<()> {
    let function = node.function;
    let (name, found) = (quote(function.name), node.args.len());
    let fail = |message: String| Err(error(node.span, message));
    if function.args_min == function.args_max && found != function.args_min {
        return fail(format!("expected {} argument(s) in call to {name}, got {found}", function.args_min));
    }
    if found < function.args_min {
        return fail(format!(
            "expected at least {} argument(s) in call to {name}, got {found}",
            function.args_min
        ));
    }
    if found > function.args_max {
        return fail(format!(
            "expected at most {} argument(s) in call to {name}, got {found}",
            function.args_max
        ));
    }
    for (index, arg) in node.args.iter().enumerate() {
        if function.name == "info" && index == 1 {
            check_info_selector(arg)?;
            continue;
        }
        expect(arg, function.arg_type(index), &format!("call to function {name}"))?;
    }
    Ok(())
}

/// The second argument of `info` is a bare `{…}`: it names labels, not series.
fn check_info_selector(arg: &Expr) -> Parsed<()> {
    let fail = |message: &str| Err(error(arg.span(), message.to_owned()));
    match arg {
        Expr::Vector(selector) if selector.name.is_some() => {
            fail("expected label selectors only, got vector selector instead")
        }
        Expr::Vector(selector) if selector.modifiers != Modifiers::default() => {
            fail("expected label selectors only, without modifiers")
        }
        Expr::Vector(_) => Ok(()),
        _ => fail("expected label selectors only"),
    }
}
