//! Go's own functions.

use super::{Call, Control, Function, Functions, access, text};
use crate::{Value, compare, format};
use std::cmp::Ordering;

const ANY: usize = usize::MAX;

pub(super) fn functions() -> Functions {
    let mut set = Functions::none();
    for (name, stop_at) in [("and", false), ("or", true)] {
        let mut function = Function::new(1, ANY, |call| Ok(call.value(0)));
        function.control = Control::ShortCircuit { stop_at };
        set.insert(name, function);
    }
    set.add("not", 1, |call| Ok(Value::Bool(!call.args[0].is_true())));
    set.add("len", 1, |call| access::length(&call.args[0]));
    set.add_variadic("index", 1, ANY, |call| access::index(&call.args[0], &call.args[1..]));
    set.add_variadic("slice", 1, 4, |call| access::slice(&call.args[0], &call.args[1..]));
    set.add_variadic("print", 0, ANY, |call| Ok(Value::from(format::sprint(call.args))));
    set.add_variadic("println", 0, ANY, |call| Ok(Value::from(format::sprintln(call.args))));
    set.add_variadic("printf", 1, ANY, |call| {
        Ok(Value::from(format::sprintf(call.str(0)?, &call.args[1..])))
    });
    set.add_variadic("html", 0, ANY, |call| Ok(Value::from(access::escape_html(&joined(call)))));
    set.add_variadic("js", 0, ANY, |call| Ok(Value::from(text::escape_js(&joined(call)))));
    set.add_variadic("urlquery", 0, ANY, |call| Ok(Value::from(text::escape_query(&joined(call)))));
    set.add_variadic("call", 1, ANY, call_value);
    set.add_variadic("eq", 2, ANY, |call| compare::equals_any(call.args).map(Value::Bool));
    set.add("ne", 2, |call| compare::equals(&call.args[0], &call.args[1]).map(|equal| Value::Bool(!equal)));
    add_order(&mut set, "lt", |order| order == Ordering::Less);
    add_order(&mut set, "le", |order| order != Ordering::Greater);
    add_order(&mut set, "gt", |order| order == Ordering::Greater);
    add_order(&mut set, "ge", |order| order != Ordering::Less);
    set
}

fn add_order(set: &mut Functions, name: &str, holds: fn(Ordering) -> bool) {
    set.add(name, 2, move |call| {
        let order = compare::order(&call.args[0], &call.args[1])?;
        Ok(Value::Bool(order.is_some_and(holds)))
    });
}

/// The arguments as text, as `print` joins them.
fn joined(call: &Call<'_>) -> String {
    format::sprint(call.args)
}

fn call_value(call: &Call<'_>) -> Result<Value, String> {
    let (function, args) = call.args.split_first().ok_or("call of nothing")?;
    match function {
        Value::Function(function) => match function.refuses("call", args.len()) {
            Some(message) => Err(message),
            None => (function.run)(&Call { args, runtime: call.runtime }),
        },
        Value::Nil => Err("call of nil".to_owned()),
        other => Err(format!("non-function {} of type {}", other.print(), other.type_name())),
    }
}
