//! LogQL: parse, print, evaluate, follow.
//!
//! * [`parse`] gives an [`ast::Expr`], with Loki's messages and positions.
//! * [`query_range`] and [`instant`] evaluate it over a [`store::LogStore`], inside the budget of a
//!   [`store::QueryContext`].
//! * [`Tail`] runs a log query over lines as they arrive.
//!
//! Evaluation is synchronous and streams: a log query holds no more lines than its limit, a metric
//! query one accumulator per series, and line filters are decided by the store.

pub mod ast;
mod deletion;
mod detect;
mod error;
mod eval;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;
mod lexer;
mod parser;
mod pipeline;
mod tail;
mod units;
mod validate;

pub use deletion::parse_deletion;
pub use detect::{Detected, detect_fields, value_kind};
pub use error::{EvalError, ParseError};
pub use eval::{Answer, Entry, LabelPairs, Params, Series, instant, query_range};
pub use parser::{QUERY_BYTES_MAX, parse, parse_matchers};
pub use tail::Tail;
pub use validate::narrows;

/// The query laid out over several lines, as `format_query` answers.
///
/// # Errors
/// When it does not parse.
pub fn format_query(text: &str) -> Result<String, ParseError> {
    parse(text).map(|expr| ast::pretty(&expr))
}
