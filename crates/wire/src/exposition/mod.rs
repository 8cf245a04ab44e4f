//! Prometheus' text format 0.0.4 and OpenMetrics 1.0 in, 0.0.4 out.
//!
//! The parser takes what both have in common, and of OpenMetrics `# UNIT`, `# EOF`, times in
//! seconds and exemplars. It reads names in quotes (`{"a.b", c="d"} 1`) in both. A line that does
//! not parse refuses the whole text, as in Prometheus: a half-understood scrape is a wrong one.

mod line;
mod parse;
#[cfg(test)]
mod tests;
mod write;

pub use parse::{ParseOptions, Syntax, parse};
pub use write::write;
