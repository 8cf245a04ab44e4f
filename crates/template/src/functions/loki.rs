//! The functions of LogQL's templates: Loki's own, and what it takes from sprig.

mod conversions;
mod decimal;
mod numbers;
mod strings;
#[cfg(test)]
mod tests;
mod times;

use super::Functions;

pub(super) fn functions(mut set: Functions) -> Functions {
    strings::add(&mut set);
    numbers::add(&mut set);
    times::add(&mut set);
    conversions::add(&mut set);
    for name in ["__line__", "__timestamp__"] {
        set.add(name, 0, move |call| match call.root() {
            crate::Value::Object(object) => {
                object.method(name, &[]).unwrap_or_else(|| Err(format!("{name} is unknown here")))
            }
            _ => Err(format!("{name} is unknown here")),
        });
    }
    set
}
