//! Log output: structured events on standard error, as text or JSON lines.

use serde::{Deserialize, Deserializer, de::Error};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt};

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Starts logging. `filter` is a level or `target=level` list such as `info,tsdb=debug`;
/// `BELLWETHER_LOG` in the environment overrides it. Calling it twice changes nothing.
///
/// # Errors
/// When the filter cannot be read; readable after "failed to start logging:".
pub fn init(format: Format, filter: &str) -> Result<(), String> {
    let text = std::env::var("BELLWETHER_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = read_filter(&text)?;
    // Left on, a failure to write is itself printed to standard error, which panics when nobody reads
    // that any more: `bellwether serve 2>&1 | head` would lose one task after the other.
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let started = match format {
        Format::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

/// Reads a filter that [`init`] takes.
fn read_filter(text: &str) -> Result<EnvFilter, String> {
    // A word alone would be a target of which everything is logged, and nothing of any other: silence,
    // where a level is mistyped.
    let is_level =
        |word: &&str| word.is_empty() || word.contains(['=', '[']) || word.parse::<LevelFilter>().is_ok();
    if let Some(word) = text.split(',').find(|word| !is_level(word)) {
        return Err(format!(
            "invalid log filter `{text}`: `{word}` is no level; there are error, warn, info, debug, trace, off, \
             and TARGET=LEVEL"
        ));
    }
    EnvFilter::try_new(text).map_err(|error| format!("invalid log filter `{text}`: {error}"))
}

/// For a setting that holds a filter, so that a wrong one is told with its place.
///
/// # Errors
/// When [`init`] would refuse it.
pub fn deserialize_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_filter(&text).map_err(D::Error::custom)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::read_filter;

    #[test]
    fn a_mistyped_level_is_refused() {
        for good in ["info", "INFO", "off", "warn,tsdb=debug", "tsdb=trace", "info,hyper=off", ""] {
            assert!(read_filter(good).is_ok(), "{good}");
        }
        for (bad, word) in [("inof", "`inof`"), ("info,tsdb", "`tsdb`"), ("tsdb=debgu", "debgu")] {
            let message = read_filter(bad).map(drop).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
