//! Arithmetic on whatever can be read as a number; what cannot is 0, as in sprig.

use super::decimal::Decimal;
use crate::{
    Value,
    functions::{Call, Functions},
};

const ANY: usize = usize::MAX;

pub(super) fn add(set: &mut Functions) {
    set.add("int", 1, |call| Ok(Value::Int(to_int(&call.args[0]))));
    set.add("float64", 1, |call| Ok(Value::Float(to_float(&call.args[0]))));
    fold_int(set, "add", 0, i64::wrapping_add);
    fold_int(set, "mul", 1, i64::wrapping_mul);
    fold_int(set, "max", 1, i64::max);
    fold_int(set, "min", 1, i64::min);
    set.add("sub", 2, |call| Ok(Value::Int(to_int(&call.args[0]).wrapping_sub(to_int(&call.args[1])))));
    set.add("div", 2, |call| divide(call, i64::checked_div));
    set.add("mod", 2, |call| divide(call, i64::checked_rem));
    fold_decimal(set, "addf", Decimal::add, |a, b| a + b);
    fold_decimal(set, "subf", Decimal::sub, |a, b| a - b);
    fold_decimal(set, "mulf", Decimal::mul, |a, b| a * b);
    set.add_variadic("divf", 1, ANY, |call| {
        if call.args.iter().skip(1).any(|divisor| to_float(divisor) == 0.0) {
            return Err("decimal division by 0".to_owned());
        }
        Ok(decimal_or_float(call, Decimal::div, |a, b| a / b))
    });
    fold_float(set, "maxf", f64::max);
    fold_float(set, "minf", f64::min);
    set.add("ceil", 1, |call| Ok(Value::Float(to_float(&call.args[0]).ceil())));
    set.add("floor", 1, |call| Ok(Value::Float(to_float(&call.args[0]).floor())));
    set.add_variadic("round", 2, 3, |call| {
        let round_on = call.args.get(2).map_or(0.5, to_float);
        Ok(Value::Float(round(to_float(&call.args[0]), call.int(1)?, round_on)))
    });
}

fn fold_int(set: &mut Functions, name: &str, args_min: usize, combine: fn(i64, i64) -> i64) {
    set.add_variadic(name, args_min, ANY, move |call| {
        Ok(Value::Int(call.args.iter().map(to_int).reduce(combine).unwrap_or(0)))
    });
}

fn fold_float(set: &mut Functions, name: &str, combine: fn(f64, f64) -> f64) {
    set.add_variadic(name, 1, ANY, move |call| {
        Ok(Value::Float(call.args.iter().map(to_float).reduce(combine).unwrap_or(0.0)))
    });
}

type DecimalOp = fn(Decimal, Decimal) -> Option<Decimal>;
type FloatOp = fn(f64, f64) -> f64;

fn fold_decimal(set: &mut Functions, name: &str, exact: DecimalOp, float: FloatOp) {
    set.add_variadic(name, 1, ANY, move |call| Ok(decimal_or_float(call, exact, float)));
}

/// Folds the arguments as decimals, or as floats where those do not fit.
fn decimal_or_float(call: &Call<'_>, exact: DecimalOp, float: FloatOp) -> Value {
    let mut decimals = call.args.iter().map(|value| Decimal::of(to_float(value)));
    let first = decimals.next().flatten();
    let folded = decimals.fold(first, |a, b| exact(a?, b?));
    let value = folded.and_then(Decimal::value).or_else(|| call.args.iter().map(to_float).reduce(float));
    Value::Float(value.unwrap_or(0.0))
}

fn divide(call: &Call<'_>, operate: fn(i64, i64) -> Option<i64>) -> Result<Value, String> {
    let (a, b) = (to_int(&call.args[0]), to_int(&call.args[1]));
    if b == 0 {
        return Err("runtime error: integer divide by zero".to_owned());
    }
    Ok(Value::Int(operate(a, b).unwrap_or(i64::MIN)))
}

/// Rounds to `places` decimals; digits from `round_on` upwards round up.
fn round(value: f64, places: i64, round_on: f64) -> f64 {
    let scale = 10f64.powi(i32::try_from(places).unwrap_or(0).clamp(-300, 300));
    let scaled = value * scale;
    let part = scaled.fract();
    let rounded = if part >= round_on { scaled.ceil() } else { scaled.floor() };
    rounded / scale
}

pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(value) | Value::Duration(value) => *value,
        Value::Float(value) => *value as i64,
        Value::Bool(value) => i64::from(*value),
        Value::String(text) => {
            text.parse().unwrap_or_else(|_| model::parse_float(text).map_or(0, |value| value as i64))
        }
        _ => 0,
    }
}

fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(value) => *value,
        Value::Int(value) | Value::Duration(value) => *value as f64,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::String(text) => model::parse_float(text).unwrap_or(0.0),
        _ => 0.0,
    }
}
