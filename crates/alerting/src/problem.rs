//! What is wrong with a file, and where.

use daemon::config::ConfigError;
use serde::de::DeserializeOwned;
use std::{fmt, path::Path};

/// Largest rule, configuration or template file, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;

/// One problem of one file. `line` and `column` count from 1; 0 when the place is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, readable by itself.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// All problems of a set of files; never empty.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    pub(crate) fn of<T>(spanned: &serde_saphyr::Spanned<T>) -> Self {
        let at = spanned.referenced;
        Place { line: at.line() as usize, column: at.column() as usize }
    }

    pub(crate) fn problem(self, file: &str, message: impl Into<String>) -> Problem {
        Problem { file: file.to_owned(), line: self.line, column: self.column, message: message.into() }
    }
}

/// Reads YAML strictly.
///
/// # Errors
/// All mistakes of form of the file.
pub(crate) fn parse_yaml_file<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, Vec<Problem>> {
    let parsed = daemon::config::parse_yaml_with_all_mistakes(text, file);
    parsed.map_err(|mistakes| mistakes.into_iter().map(|error| problem_of(error, file)).collect())
}

fn problem_of(error: ConfigError, file: &str) -> Problem {
    match error {
        ConfigError::Invalid { path, line, column, message } => Problem { file: path, line, column, message },
        other => Place::default().problem(file, other.to_string()),
    }
}

/// Reads a whole file, held to [`FILE_BYTES_MAX`].
pub(crate) fn read_file(path: &Path) -> Result<String, Problem> {
    let name = path.display().to_string();
    let unreadable =
        |error: std::io::Error| Place::default().problem(&name, format!("failed to read: {error}"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(Place::default().problem(&name, format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}
