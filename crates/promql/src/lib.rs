//! PromQL: parse, evaluate.
//!
//! [`parse`] turns text into an [`Expr`]; [`instant`] and [`range`] evaluate it over a
//! [`store::MetricStore`]. Parsing and evaluation are plain synchronous code: run them on a CPU pool
//! and stop them through their [`store::QueryContext`].

mod annotation;
pub mod ast;
pub mod description;
mod eval;
pub mod function;
mod go_float;
mod histogram;
mod kahan;
pub mod parser;
mod position;
mod quantile;
mod quote;

pub use annotation::Annotations;
pub use ast::{Expr, ValueType};
pub use eval::{Answer, EvalError, EvalOptions, MatrixSeries, Point, QueryValue, instant, range};
pub use histogram::bound as exponential_bound;
pub use parser::{ParseError, ParseOptions, parse, parse_selector, parse_selector_among};
pub use position::{Position, Span};

#[cfg(test)]
mod testing;
