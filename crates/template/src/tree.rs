//! The syntax tree, which prints itself as Go does in error messages.

use crate::Function;
use std::{fmt, sync::Arc};

/// One template: the text of a file, or one `define` in it.
pub(crate) struct Tree {
    /// By which `template` calls it.
    pub(crate) name: String,
    /// The name of the text it was parsed from, for positions.
    pub(crate) source_name: String,
    /// The text it was parsed from, for positions.
    pub(crate) source: Arc<str>,
    pub(crate) body: Vec<Node>,
}

impl Tree {
    /// Whether it holds nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.body.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
    }
}

pub(crate) enum Node {
    Text(String),
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { position: usize, name: String, argument: Option<Pipeline> },
    Break,
    Continue,
}

/// `if`, `with` or `range` with what follows.
pub(crate) struct Branch {
    pub(crate) pipeline: Pipeline,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// `$x := a | b c | d`.
pub(crate) struct Pipeline {
    pub(crate) position: usize,
    /// Variables that take the value, with their `$`.
    pub(crate) variables: Vec<String>,
    /// `=` rather than `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand with its arguments.
pub(crate) struct Command {
    pub(crate) position: usize,
    pub(crate) operands: Vec<Operand>,
}

pub(crate) struct Operand {
    pub(crate) position: usize,
    pub(crate) kind: OperandKind,
}

pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64, String),
    Float(f64, String),
    /// The value and how it was written.
    String(Arc<str>, String),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`; the first part has the `$`.
    Variable(Vec<String>),
    Function(String, Function),
    Pipeline(Box<Pipeline>),
    /// Fields of a parenthesised pipeline or a function's result.
    Chain(Box<Operand>, Vec<String>),
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        write_joined(f, &self.commands, " | ")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(f, &self.operands, " ")
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Int(_, text) | OperandKind::Float(_, text) | OperandKind::String(_, text) => {
                f.write_str(text)
            }
            OperandKind::Field(path) => write!(f, ".{}", path.join(".")),
            OperandKind::Variable(path) => f.write_str(&path.join(".")),
            OperandKind::Function(name, _) => f.write_str(name),
            OperandKind::Pipeline(pipeline) => write!(f, "({pipeline})"),
            OperandKind::Chain(operand, path) => write!(f, "{operand}.{}", path.join(".")),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display], separator: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}
