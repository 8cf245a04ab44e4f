//! Go's `text/template`: the language of alert annotations, notifications, and LogQL's
//! `line_format` and `label_format`.
//!
//! ```
//! use template::{Functions, Map, Template, Value, functions};
//!
//! let functions: Functions = functions::prometheus();
//! let template = Template::parse("greeting", "{{ .name | toUpper }}", &functions)?;
//! let data = Value::from(Map::of_strings([("name", "bell")]));
//! assert_eq!(template.execute(&data)?, "BELL");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A template is parsed once and executed often, from any thread. Nothing in it can reach a file,
//! a network or a clock: functions are handed in ([`Functions`]), and so is the time
//! ([`Options::now_ns`]).
//!
//! Bounds: execution is held to [`Limits`] of steps, depth and output bytes; parsing to
//! 100 levels. No template can make a process run long or out of memory.

mod compare;
mod definitions;
mod error;
mod exec;
mod format;
pub mod functions;
#[cfg(test)]
mod fuzz;
mod go_duration;
mod go_time;
mod html;
mod lexer;
mod object;
mod parse;
mod tree;
mod value;

pub use definitions::Definitions;
pub use error::{ExecError, ParseError};
pub use exec::{Limits, MissingKey, Options, Template};
pub use functions::{Call, Function, Functions};
pub use go_duration::{duration_to_string, parse_duration};
pub use go_time::{format_time, parse_time, time_to_string};
pub use object::Object;
pub use value::{Map, Value};

pub use format::sprintf;
