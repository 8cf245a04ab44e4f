//! What went wrong with ClickHouse, by what the caller should do.

use store::{StopReason, StoreError};

/// Longest part of a server's message that is repeated.
const MESSAGE_BYTES_MAX: usize = 600;

/// Why a store over ClickHouse could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is no address.
    #[error(
        "`{url}` is not a URL of ClickHouse's HTTP interface: {reason}; write it like `http://127.0.0.1:8123`"
    )]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot start: {0}")]
    Client(String),
    /// The server is older than what this store relies on.
    #[error("ClickHouse {found} is too old; use {oldest} or later")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest that will do.
        oldest: String,
    },
    /// A table exists and lacks what we need, or may not be used.
    #[error("table `{table}` cannot be used: {reason}")]
    Table {
        /// Its name.
        table: String,
        /// The server's words.
        reason: String,
    },
    /// The server cannot be reached, or refuses.
    #[error("{0}")]
    Server(String),
}

/// Why one request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No answer, or the connection broke.
    #[error("ClickHouse at {url} cannot be reached: {message}")]
    Unreachable { url: String, message: String },
    /// The server's own words.
    #[error("ClickHouse refuses: {message} (code {code})")]
    Server { code: u32, message: String },
    /// The answer is not what was asked for.
    #[error("ClickHouse's answer cannot be read: {0}")]
    Garbled(String),
    /// The query was stopped.
    #[error(transparent)]
    Stopped(#[from] StopReason),
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// The same request may succeed soon.
    Retry,
    /// There is no room.
    Full,
    /// An operator has to change something first; nothing is lost by waiting for that.
    Fix,
    /// Another attempt would fail the same way.
    GiveUp,
}

impl Error {
    pub(crate) fn server(code: u32, text: &str) -> Self {
        let mut message = text.trim().lines().next().unwrap_or_default();
        if let Some((end, _)) = message.char_indices().find(|(at, _)| *at >= MESSAGE_BYTES_MAX) {
            message = &message[..end];
        }
        Error::Server { code, message: message.to_owned() }
    }

    pub(crate) fn advice(&self) -> Advice {
        match self {
            Error::Unreachable { .. } => Advice::Retry,
            Error::Server { code, .. } => advice(*code),
            Error::Garbled(_) | Error::Stopped(_) => Advice::GiveUp,
        }
    }
}

/// ClickHouse's own error numbers (`system.errors`).
fn advice(code: u32) -> Advice {
    match code {
        // Timeouts, too much at once, broken connections, memory, read-only replicas, too many
        // parts, Keeper, quorum, and an insert whose fate is unknown.
        3 | 159 | 198 | 202 | 203 | 209 | 210 | 225 | 236 | 241 | 242 | 252 | 279 | 285 | 286 | 289 | 319
        | 364 | 394 | 439 | 473 | 999 => Advice::Retry,
        243 => Advice::Full,
        // Unknown columns, tables, databases or settings; read-only users; passwords; grants; quotas.
        16 | 47 | 60 | 81 | 115 | 164 | 192 | 193 | 194 | 201 | 291 | 452 | 497 | 516 => Advice::Fix,
        _ => Advice::GiveUp,
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match (error.advice(), error) {
            (_, Error::Stopped(reason)) => StoreError::Stopped(reason),
            (Advice::Full, error) => StoreError::Full(error.to_string()),
            (Advice::Retry, error @ Error::Server { .. }) => StoreError::Busy(error.to_string()),
            (Advice::Retry | Advice::Fix, error) => StoreError::Unavailable(error.to_string()),
            (Advice::GiveUp, error) => StoreError::Io(std::io::Error::other(error.to_string())),
        }
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        OpenError::Server(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_follows_from_the_code() {
        for (code, expected) in [
            (252, Advice::Retry),
            (241, Advice::Retry),
            (319, Advice::Retry),
            (243, Advice::Full),
            (516, Advice::Fix),
            (497, Advice::Fix),
            (60, Advice::Fix),
            (62, Advice::GiveUp),
            (27, Advice::GiveUp),
        ] {
            assert_eq!(Error::server(code, "").advice(), expected, "{code}");
        }
    }

    #[test]
    fn a_writer_is_told_to_keep_what_can_still_be_stored() {
        let of = |code| StoreError::from(Error::server(code, "Code: …\nstack"));
        assert!(matches!(of(252), StoreError::Busy(_)));
        assert!(matches!(of(243), StoreError::Full(_)));
        assert!(matches!(of(516), StoreError::Unavailable(_)), "a wrong password is not the sender's fault");
        assert!(matches!(of(62), StoreError::Io(_)));
        let gone = Error::Unreachable { url: "http://x".into(), message: "refused".into() };
        assert!(matches!(StoreError::from(gone), StoreError::Unavailable(_)));
        assert!(matches!(
            StoreError::from(Error::Stopped(StopReason::Canceled)),
            StoreError::Stopped(StopReason::Canceled)
        ));
    }

    #[test]
    fn messages_are_one_line_of_bounded_length() {
        let Error::Server { message, .. } = Error::server(1, &format!("first ü{}\nsecond", "é".repeat(2000)))
        else {
            panic!("a server error")
        };
        assert!(message.starts_with("first") && message.len() <= MESSAGE_BYTES_MAX + 4);
    }
}
