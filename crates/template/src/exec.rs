//! Runs a parsed template over data.

use crate::{
    Definitions, ExecError, Function, Functions, ParseError, Value,
    error::{RUNS_TOO_LONG, WRITES_TOO_MUCH, line_and_column},
    functions::{Call, Control, Runtime, access},
    html, parse,
    tree::{Branch, Command, Node, Operand, OperandKind, Pipeline, Tree},
};
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

/// A parsed template, ready to be executed from any thread.
#[derive(Clone)]
pub struct Template {
    main: Arc<Tree>,
    definitions: Definitions,
}

/// What a missing map key gives, as Go's `Option("missingkey=…")`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// Nothing, printed as `<no value>`.
    Default,
    /// The zero value of the map's values: "" in a map of strings. What all our callers use.
    #[default]
    Zero,
    /// An error.
    Error,
}

/// Upper bounds of one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes walked and functions called.
    pub steps_max: u64,
    /// Templates calling templates.
    pub depth_max: usize,
    /// Bytes written, and bytes of any text a function makes.
    pub output_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { steps_max: 1_000_000, depth_max: 100, output_bytes_max: 1 << 20 }
    }
}

/// How a template is executed.
#[derive(Clone, Default)]
pub struct Options {
    /// What a missing map key gives.
    pub missing_key: MissingKey,
    /// Escape what actions write, for HTML.
    pub html: bool,
    /// Upper bounds.
    pub limits: Limits,
    /// The time that `now` tells: nanoseconds since the epoch.
    pub now_ns: i64,
    /// Functions that replace those of the same name known at parsing, such as a `query` bound to
    /// one evaluation's instant.
    pub functions: Functions,
}

impl Template {
    /// Parses a text; `name` stands in error messages.
    ///
    /// # Errors
    /// When the text does not parse or names a function that is not in `functions`.
    pub fn parse(name: &str, text: &str, functions: &Functions) -> Result<Self, ParseError> {
        Self::parse_with(name, text, functions, Definitions::default())
    }

    /// As [`Template::parse`], with templates defined elsewhere that this one may call and redefine.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse_with(
        name: &str,
        text: &str,
        functions: &Functions,
        mut definitions: Definitions,
    ) -> Result<Self, ParseError> {
        let parsed = parse::parse(name, text, functions)?;
        definitions.extend(parsed.definitions);
        Ok(Template { main: Arc::new(parsed.main), definitions })
    }

    /// Whether there is nothing to execute: the text is the same for any data.
    pub fn as_constant(&self) -> Option<&str> {
        match self.main.body.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Executes with default options.
    ///
    /// # Errors
    /// When an operation fails or a limit is passed.
    pub fn execute(&self, data: &Value) -> Result<String, ExecError> {
        self.execute_with(data, &Options::default())
    }

    /// Executes with these options.
    ///
    /// # Errors
    /// As [`Template::execute`].
    pub fn execute_with(&self, data: &Value, options: &Options) -> Result<String, ExecError> {
        let steps = Cell::new(0);
        let html = RefCell::default();
        let run =
            Run { definitions: &self.definitions, options, root: data, steps: &steps, html: &html, depth: 0 };
        run.tree(&self.main, data)
    }
}

/// What all templates of one execution share.
#[derive(Clone, Copy)]
struct Run<'a> {
    definitions: &'a Definitions,
    options: &'a Options,
    root: &'a Value,
    steps: &'a Cell<u64>,
    /// Where in the HTML text we are, when that is what is written.
    html: &'a RefCell<html::Context>,
    depth: usize,
}

impl<'a> Run<'a> {
    fn tree(&self, tree: &'a Tree, data: &Value) -> Result<String, ExecError> {
        let mut exec =
            Exec { run: *self, tree, variables: vec![("$".to_owned(), data.clone())], out: String::new() };
        match exec.walk(data, &tree.body) {
            Ok(()) | Err(Flow::Break | Flow::Continue) => Ok(exec.out),
            Err(Flow::Failed(error)) => Err(*error),
        }
    }
}

impl Runtime for Run<'_> {
    fn now_ns(&self) -> i64 {
        self.options.now_ns
    }

    fn root(&self) -> &Value {
        self.root
    }

    fn text_bytes_max(&self) -> usize {
        self.options.limits.output_bytes_max
    }

    fn run_template(&self, name: &str, data: &Value) -> Result<String, String> {
        let Some(tree) = self.definitions.get(name) else {
            return Err(format!("template: no template {name:?} associated with template"));
        };
        if self.depth >= self.options.limits.depth_max {
            return Err(format!("exceeded maximum template depth ({})", self.options.limits.depth_max));
        }
        Run { depth: self.depth + 1, ..*self }.tree(tree, data).map_err(|error| error.to_string())
    }
}

/// The function that makes a pipeline's value.
fn last_function(pipeline: &Pipeline) -> Option<&str> {
    match &pipeline.commands.last()?.operands.first()?.kind {
        OperandKind::Function(name, _) => Some(name),
        _ => None,
    }
}

/// Why walking stopped.
enum Flow {
    Break,
    Continue,
    Failed(Box<ExecError>),
}

/// One template being executed.
struct Exec<'a> {
    run: Run<'a>,
    tree: &'a Tree,
    /// Variables in scope, innermost last, with their `$`.
    variables: Vec<(String, Value)>,
    out: String,
}

impl<'a> Exec<'a> {
    fn fail<T>(&self, position: usize, node: &dyn ToString, message: impl Into<String>) -> Result<T, Flow> {
        let (line, column) = line_and_column(&self.tree.source, position);
        Err(Flow::Failed(Box::new(ExecError {
            name: self.tree.source_name.clone(),
            line,
            column,
            executing: self.tree.name.clone(),
            node: node.to_string(),
            message: message.into(),
        })))
    }

    fn step(&self, position: usize, node: &dyn ToString) -> Result<(), Flow> {
        let steps = self.run.steps.get() + 1;
        self.run.steps.set(steps);
        if steps > self.run.options.limits.steps_max {
            return self.fail(position, node, RUNS_TOO_LONG);
        }
        Ok(())
    }

    fn write(&mut self, position: usize, text: &str) -> Result<(), Flow> {
        if self.out.len() + text.len() > self.run.options.limits.output_bytes_max {
            return self.fail(position, &"output", WRITES_TOO_MUCH);
        }
        self.out.push_str(text);
        Ok(())
    }

    fn walk(&mut self, dot: &Value, nodes: &'a [Node]) -> Result<(), Flow> {
        let scope = self.variables.len();
        for node in nodes {
            self.node(dot, node)?;
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn node(&mut self, dot: &Value, node: &'a Node) -> Result<(), Flow> {
        match node {
            Node::Text(text) if self.run.options.html => {
                let text = self.run.html.borrow_mut().feed(text);
                self.write(0, &text)
            }
            Node::Text(text) => self.write(0, text),
            Node::Action(pipeline) => {
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.variables.is_empty() { self.print(pipeline, &value) } else { Ok(()) }
            }
            Node::If(branch) => self.branch(dot, branch, false),
            Node::With(branch) => self.branch(dot, branch, true),
            Node::Range(branch) => self.range(dot, branch),
            Node::Template { position, name, argument } => {
                self.step(*position, name)?;
                let data = match argument {
                    Some(pipeline) => self.pipeline(dot, pipeline)?,
                    None => Value::Nil,
                };
                self.call_template(*position, name, &data)
            }
            Node::Break => Err(Flow::Break),
            Node::Continue => Err(Flow::Continue),
        }
    }

    fn print(&mut self, pipeline: &Pipeline, value: &Value) -> Result<(), Flow> {
        match value {
            Value::Function(_) => {
                self.fail(pipeline.position, pipeline, format!("can't print {pipeline} of type func"))
            }
            value if self.run.options.html => {
                let text = self.run.html.borrow_mut().escape(value, last_function(pipeline));
                self.write(pipeline.position, &text)
            }
            Value::Html(text) | Value::String(text) => self.write(pipeline.position, text),
            other => self.write(pipeline.position, &other.print()),
        }
    }

    fn call_template(&mut self, position: usize, name: &str, data: &Value) -> Result<(), Flow> {
        let Some(tree) = self.run.definitions.get(name) else {
            return self.fail(position, &name, format!("template {name:?} not defined"));
        };
        let limits = self.run.options.limits;
        if self.run.depth >= limits.depth_max {
            return self.fail(
                position,
                &name,
                format!("exceeded maximum template depth ({})", limits.depth_max),
            );
        }
        let run = Run { depth: self.run.depth + 1, ..self.run };
        let text = run.tree(tree, data).map_err(|error| Flow::Failed(Box::new(error)))?;
        self.write(position, &text)
    }

    fn branch(&mut self, dot: &Value, branch: &'a Branch, rebinds: bool) -> Result<(), Flow> {
        let scope = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        if value.is_true() {
            self.walk(if rebinds { &value } else { dot }, &branch.body)?;
        } else {
            self.walk(dot, &branch.otherwise)?;
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn range(&mut self, dot: &Value, branch: &'a Branch) -> Result<(), Flow> {
        let scope = self.variables.len();
        let pipeline = &branch.pipeline;
        let value = self.pipeline_value(dot, pipeline)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::List(items) => {
                items.iter().enumerate().map(|(i, item)| (Value::Int(i as i64), item.clone())).collect()
            }
            Value::Map(map) => {
                map.entries.iter().map(|(key, item)| (Value::from(key.as_str()), item.clone())).collect()
            }
            Value::Object(object) if object.items().is_some() => {
                let items = object.items().unwrap_or_default();
                items.into_iter().enumerate().map(|(i, item)| (Value::Int(i as i64), item)).collect()
            }
            Value::Object(object) if object.is_map() => {
                object.entries().into_iter().map(|(key, item)| (Value::from(key), item)).collect()
            }
            Value::Int(count) => {
                let steps_left = self.run.options.limits.steps_max.saturating_sub(self.run.steps.get());
                if u64::try_from(*count).is_ok_and(|count| count > steps_left) {
                    return self.fail(pipeline.position, pipeline, RUNS_TOO_LONG);
                }
                (0..*count).map(|i| (Value::Int(i), Value::Int(i))).collect()
            }
            Value::Nil => Vec::new(),
            other => {
                let message = format!("range can't iterate over {}", other.print_nested());
                return self.fail(pipeline.position, pipeline, message);
            }
        };
        if items.is_empty() {
            self.walk(dot, &branch.otherwise)?;
        }
        for (key, item) in items {
            self.variables.truncate(scope);
            self.step(pipeline.position, pipeline)?;
            match pipeline.variables.as_slice() {
                [] => {}
                [single] => self.bind(pipeline, single, item.clone())?,
                [first, second, ..] => {
                    self.bind(pipeline, first, key)?;
                    self.bind(pipeline, second, item.clone())?;
                }
            }
            match self.walk(&item, &branch.body) {
                Err(Flow::Break) => break,
                Ok(()) | Err(Flow::Continue) => {}
                Err(failed) => return Err(failed),
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    // --- pipelines

    fn pipeline(&mut self, dot: &Value, pipeline: &'a Pipeline) -> Result<Value, Flow> {
        let value = self.pipeline_value(dot, pipeline)?;
        for name in &pipeline.variables {
            self.bind(pipeline, name, value.clone())?;
        }
        Ok(value)
    }

    fn bind(&mut self, pipeline: &Pipeline, name: &str, value: Value) -> Result<(), Flow> {
        if !pipeline.assigns {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(existing, _)| existing == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => self.fail(pipeline.position, pipeline, format!("undefined variable: {name}")),
        }
    }

    fn pipeline_value(&mut self, dot: &Value, pipeline: &'a Pipeline) -> Result<Value, Flow> {
        self.step(pipeline.position, pipeline)?;
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(dot, command, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    /// Evaluates a command; `last` is the value piped into it.
    fn command(&mut self, dot: &Value, command: &'a Command, last: Option<Value>) -> Result<Value, Flow> {
        let [first, rest @ ..] = command.operands.as_slice() else {
            return Ok(Value::Nil);
        };
        let has_args = !rest.is_empty() || last.is_some();
        match &first.kind {
            OperandKind::Function(name, function) => {
                self.function(dot, command.position, command, name, function, rest, last)
            }
            OperandKind::Field(path) => {
                let args = self.args(dot, rest, last)?;
                self.path(dot.clone(), path, first, args)
            }
            OperandKind::Variable(path) => {
                let args = self.args(dot, rest, last)?;
                let value = self.variable(&path[0], first)?;
                if path.len() == 1 && !args.is_empty() {
                    return self.not_a_function(first);
                }
                self.path(value, &path[1..], first, args)
            }
            OperandKind::Chain(operand, path) => {
                let args = self.args(dot, rest, last)?;
                let value = self.operand(dot, operand)?;
                self.path(value, path, first, args)
            }
            _ if has_args => self.not_a_function(first),
            OperandKind::Nil => self.fail(first.position, first, "nil is not a command"),
            _ => self.operand(dot, first),
        }
    }

    fn not_a_function<T>(&self, operand: &Operand) -> Result<T, Flow> {
        self.fail(operand.position, operand, format!("can't give argument to non-function {operand}"))
    }

    fn args(
        &mut self,
        dot: &Value,
        operands: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Vec<Value>, Flow> {
        let mut values = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            values.push(self.operand(dot, operand)?);
        }
        values.extend(last);
        Ok(values)
    }

    fn operand(&mut self, dot: &Value, operand: &'a Operand) -> Result<Value, Flow> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(value) => Ok(Value::Bool(*value)),
            OperandKind::Int(value, _) => Ok(Value::Int(*value)),
            OperandKind::Float(value, _) => Ok(Value::Float(*value)),
            OperandKind::String(text, _) => Ok(Value::String(text.clone())),
            OperandKind::Field(path) => self.path(dot.clone(), path, operand, Vec::new()),
            OperandKind::Variable(path) => {
                let value = self.variable(&path[0], operand)?;
                self.path(value, &path[1..], operand, Vec::new())
            }
            OperandKind::Function(name, function) => {
                self.function(dot, operand.position, operand, name, function, &[], None)
            }
            OperandKind::Pipeline(pipeline) => {
                let scope = self.variables.len();
                let value = self.pipeline(dot, pipeline)?;
                self.variables.truncate(scope);
                Ok(value)
            }
            OperandKind::Chain(inner, path) => {
                let value = self.operand(dot, inner)?;
                self.path(value, path, operand, Vec::new())
            }
        }
    }

    fn variable(&self, name: &str, operand: &Operand) -> Result<Value, Flow> {
        match self.variables.iter().rev().find(|(existing, _)| existing == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(operand.position, operand, format!("undefined variable: {name}")),
        }
    }

    /// Follows fields from `value`; the last one takes the arguments.
    fn path(
        &self,
        value: Value,
        path: &[String],
        operand: &Operand,
        args: Vec<Value>,
    ) -> Result<Value, Flow> {
        let mut value = value;
        for (i, name) in path.iter().enumerate() {
            let args = if i + 1 == path.len() { args.as_slice() } else { &[] };
            let missing_key = self.run.options.missing_key;
            value = match access::field(&value, name, args, missing_key) {
                Ok(value) => value,
                Err(message) => return self.fail(operand.position, operand, message),
            };
        }
        Ok(value)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a call, and where it stands for messages")]
    fn function(
        &mut self,
        dot: &Value,
        position: usize,
        node: &dyn ToString,
        name: &str,
        function: &'a Function,
        operands: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value, Flow> {
        self.step(position, node)?;
        if let Control::ShortCircuit { stop_at } = function.control {
            return self.short_circuit(dot, position, node, name, operands, last, stop_at);
        }
        let args = self.args(dot, operands, last)?;
        let replaced = self.run.options.functions.get(name);
        let function = replaced.unwrap_or(function);
        if let Some(message) = function.refuses(name, args.len()) {
            return self.fail(position, node, message);
        }
        let call = Call { args: &args, runtime: &self.run };
        let value = match (function.run)(&call) {
            Ok(value) => value,
            Err(message) => return self.fail(position, node, format!("error calling {name}: {message}")),
        };
        let too_long =
            value.as_str().is_some_and(|text| text.len() > self.run.options.limits.output_bytes_max);
        if too_long {
            return self.fail(position, node, format!("error calling {name}: result is too long"));
        }
        Ok(value)
    }

    /// `and` and `or`, which evaluate no argument after the deciding one.
    #[allow(clippy::too_many_arguments, reason = "the parts of a call, and where it stands for messages")]
    fn short_circuit(
        &mut self,
        dot: &Value,
        position: usize,
        node: &dyn ToString,
        name: &str,
        operands: &'a [Operand],
        last: Option<Value>,
        stop_at: bool,
    ) -> Result<Value, Flow> {
        let mut result = None;
        for operand in operands {
            let value = self.operand(dot, operand)?;
            if value.is_true() == stop_at {
                return Ok(value);
            }
            result = Some(value);
        }
        match last.or(result) {
            Some(value) => Ok(value),
            None => {
                self.fail(position, node, format!("wrong number of args for {name}: want at least 1 got 0"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
