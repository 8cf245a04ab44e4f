//! Log output: structured events on standard error, as text or JSON lines.

use tracing_subscriber::{EnvFilter, fmt};

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
    let filter =
        EnvFilter::try_new(&text).map_err(|error| format!("invalid log filter `{text}`: {error}"))?;
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
