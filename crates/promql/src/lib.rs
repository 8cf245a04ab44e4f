//! PromQL: parse, evaluate.

pub mod ast;
pub mod function;
pub mod parser;
mod position;
mod quote;

pub use ast::{Expr, ValueType};
pub use parser::{ParseError, ParseOptions, parse, parse_selector};
pub use position::{Position, Span};
