//! The functions a template may call, as registries that the caller chooses from.
//!
//! Every registry includes Go's built-in functions. A function sees its arguments and the
//! execution's time and data, never anything outside.

pub(crate) mod access;
mod alertmanager;
mod builtin;
mod loki;
mod prometheus;
mod text;

use crate::{Value, go_time};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

pub use prometheus::sample;

/// What an execution offers its functions.
pub(crate) trait Runtime {
    fn now_ns(&self) -> i64;
    /// The data that the execution began with.
    fn root(&self) -> &Value;
    fn text_bytes_max(&self) -> usize;
    fn run_template(&self, name: &str, data: &Value) -> Result<String, String>;
}

/// One call: the arguments, and what the execution offers.
pub struct Call<'a> {
    /// The arguments, as many as the function asked for.
    pub args: &'a [Value],
    pub(crate) runtime: &'a dyn Runtime,
}

impl Call<'_> {
    /// The argument at `index`, or nothing.
    pub fn value(&self, index: usize) -> Value {
        self.args.get(index).cloned().unwrap_or(Value::Nil)
    }

    /// The text at `index`.
    ///
    /// # Errors
    /// When the argument is no text.
    pub fn str(&self, index: usize) -> Result<&str, String> {
        match self.args.get(index) {
            Some(Value::String(text) | Value::Html(text)) => Ok(text),
            other => Err(wrong_type("string", other)),
        }
    }

    /// The integer at `index`.
    ///
    /// # Errors
    /// When the argument is no integer.
    pub fn int(&self, index: usize) -> Result<i64, String> {
        match self.args.get(index) {
            Some(Value::Int(value) | Value::Duration(value)) => Ok(*value),
            other => Err(wrong_type("int", other)),
        }
    }

    /// The instant at `index`.
    ///
    /// # Errors
    /// When the argument is no time.
    pub fn time(&self, index: usize) -> Result<&jiff::ZonedDateTime, String> {
        match self.args.get(index) {
            Some(Value::Time(time)) => Ok(time),
            other => Err(wrong_type("time.Time", other)),
        }
    }

    /// The time of the execution, in UTC.
    pub fn now(&self) -> jiff::ZonedDateTime {
        go_time::utc(i128::from(self.runtime.now_ns()))
    }

    /// The data that the execution began with.
    pub fn root(&self) -> &Value {
        self.runtime.root()
    }

    /// The longest text that the execution allows, for functions that repeat or pad.
    pub fn text_bytes_max(&self) -> usize {
        self.runtime.text_bytes_max()
    }

    /// Executes a defined template and returns what it writes.
    ///
    /// # Errors
    /// When there is none of that name, or it fails.
    pub fn run_template(&self, name: &str, data: &Value) -> Result<String, String> {
        self.runtime.run_template(name, data)
    }
}

fn wrong_type(expected: &str, got: Option<&Value>) -> String {
    format!("wrong type for value; expected {expected}; got {}", got.map_or("nothing", Value::type_name))
}

/// How arguments are evaluated.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Control {
    All,
    /// Up to the first argument whose truth is `stop_at`.
    ShortCircuit {
        stop_at: bool,
    },
}

type Run = dyn Fn(&Call<'_>) -> Result<Value, String> + Send + Sync;

/// A function with the number of arguments it takes.
#[derive(Clone)]
pub struct Function {
    args_min: usize,
    args_max: usize,
    pub(crate) control: Control,
    pub(crate) run: Arc<Run>,
}

impl Function {
    /// A function of `args_min..=args_max` arguments (`usize::MAX` for any number).
    pub fn new(
        args_min: usize,
        args_max: usize,
        run: impl Fn(&Call<'_>) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Function { args_min, args_max, control: Control::All, run: Arc::new(run) }
    }

    /// What is wrong with this number of arguments, if anything.
    pub(crate) fn refuses(&self, name: &str, count: usize) -> Option<String> {
        let at_least = if self.args_max == self.args_min { "" } else { "at least " };
        if count < self.args_min {
            return Some(format!(
                "wrong number of args for {name}: want {at_least}{} got {count}",
                self.args_min
            ));
        }
        let too_many = count > self.args_max;
        too_many.then(|| format!("wrong number of args for {name}: want {} got {count}", self.args_max))
    }
}

/// Functions by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Functions {
    by_name: Arc<HashMap<String, Function>>,
}

impl Functions {
    /// No functions at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The function of this name.
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.by_name.get(name)
    }

    /// Adds or replaces a function of a fixed number of arguments.
    pub fn add(
        &mut self,
        name: &str,
        args: usize,
        run: impl Fn(&Call<'_>) -> Result<Value, String> + Send + Sync + 'static,
    ) {
        self.insert(name, Function::new(args, args, run));
    }

    /// Adds or replaces a function of `args_min` or more arguments, up to `args_max`.
    pub fn add_variadic(
        &mut self,
        name: &str,
        args_min: usize,
        args_max: usize,
        run: impl Fn(&Call<'_>) -> Result<Value, String> + Send + Sync + 'static,
    ) {
        self.insert(name, Function::new(args_min, args_max, run));
    }

    /// Adds or replaces a function.
    pub fn insert(&mut self, name: &str, function: Function) {
        Arc::make_mut(&mut self.by_name).insert(name.to_owned(), function);
    }

    /// The names, in ascending order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// Go's own functions.
pub fn go_builtin() -> Functions {
    static SET: LazyLock<Functions> = LazyLock::new(builtin::functions);
    SET.clone()
}

/// The functions of Prometheus' rule annotations and labels.
///
/// `query`, `externalURL` and `pathPrefix` answer as if there were no data and no address; a
/// caller that has them replaces them in [`crate::Options::functions`].
pub fn prometheus() -> Functions {
    static SET: LazyLock<Functions> = LazyLock::new(|| prometheus::functions(builtin::functions()));
    SET.clone()
}

/// The functions of Alertmanager's notification templates.
pub fn alertmanager() -> Functions {
    static SET: LazyLock<Functions> = LazyLock::new(|| alertmanager::functions(builtin::functions()));
    SET.clone()
}

/// The functions of LogQL's `line_format` and `label_format`.
///
/// `__line__` and `__timestamp__` call the methods of those names on the data.
pub fn loki() -> Functions {
    static SET: LazyLock<Functions> = LazyLock::new(|| loki::functions(builtin::functions()));
    SET.clone()
}
