//! LogQL: parse, print, evaluate, follow.
//!
//! * [`parse`] gives an [`ast::Expr`], with Loki's messages and positions.
//! * [`query_range`] and [`instant`] evaluate it over a [`store::LogStore`], inside the budget of a
//!   [`store::QueryContext`].
//! * [`Tail`] runs a log query over lines as they arrive.
//! * [`around`], [`facets`], [`histogram`] and [`patterns`] answer what people ask about the lines of
//!   a query besides the lines.
//!
//! Evaluation is synchronous and streams: a log query holds no more lines than its limit, a metric
//! query one accumulator per series, and line filters are decided by the store.

pub mod ast;
mod deletion;
mod detect;
mod drain;
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
pub use eval::{
    Anchor, Answer, Around, Entry, Facet, FacetRequest, Facets, Histogram, HistogramRequest, LabelPairs,
    MinedPattern, Params, PatternRequest, Patterns, Series, around, facets, histogram, instant, patterns,
    query_range,
};
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

/// Nanoseconds as Go prints a duration, which Loki's messages do: `961h0m0s`.
pub fn go_duration(nanoseconds: i64) -> String {
    template::duration_to_string(nanoseconds)
}
