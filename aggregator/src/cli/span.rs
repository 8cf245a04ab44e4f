//! The time range of a command's question.

use crate::config::parse_duration_ms;
use anyhow::Context;
use daemon::clock;

/// From when to when.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Span {
    /// How far back, such as 15m, 2h or 7d
    #[arg(long, value_name = "DURATION", conflicts_with = "start")]
    since: Option<String>,
    /// First instant: Unix seconds, or RFC 3339
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Last instant: Unix seconds, or RFC 3339; now when absent
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
}

impl Span {
    /// Whether a range is asked for at all.
    pub(crate) fn is_given(&self) -> bool {
        self.since.is_some() || self.start.is_some()
    }

    /// Whether its end is given.
    pub(crate) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Start and end in nanoseconds; without either, the last `default` before now.
    pub(crate) fn resolve(&self, default: &str) -> anyhow::Result<(i64, i64)> {
        self.resolve_at(clock::now_ns(), default)
    }

    fn resolve_at(&self, now_ns: i64, default: &str) -> anyhow::Result<(i64, i64)> {
        let end = self.end.as_deref().map_or(Ok(now_ns), parse_time)?;
        let start = match &self.start {
            Some(text) => parse_time(text)?,
            None => end.saturating_sub(parse_duration(self.since.as_deref().unwrap_or(default))?),
        };
        anyhow::ensure!(start < end, "the range ends before it begins; check --start and --end");
        Ok((start, end))
    }
}

/// Nanoseconds since the epoch.
pub(crate) fn parse_time(text: &str) -> anyhow::Result<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        anyhow::ensure!(seconds.abs() < 9e9, "`{text}` is no time in seconds");
        return Ok((seconds * 1e9) as i64);
    }
    let time: jiff::Timestamp = text
        .parse()
        .with_context(|| format!("`{text}` is no time; write Unix seconds or 2026-11-20T10:00:00Z"))?;
    i64::try_from(time.as_nanosecond()).with_context(|| format!("`{text}` is too far away"))
}

/// Nanoseconds.
pub(crate) fn parse_duration(text: &str) -> anyhow::Result<i64> {
    let milliseconds = parse_duration_ms(text).map_err(anyhow::Error::msg)?;
    milliseconds.checked_mul(1_000_000).with_context(|| format!("`{text}` is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(since: Option<&str>, start: Option<&str>, end: Option<&str>) -> Span {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Span { since: owned(since), start: owned(start), end: owned(end) }
    }

    #[test]
    fn ranges() {
        const SECOND: i64 = 1_000_000_000;
        let now = 1_000_000 * SECOND;
        for (asked, expected) in [
            (span(None, None, None), (now - 3600 * SECOND, now)),
            (span(Some("5m"), None, None), (now - 300 * SECOND, now)),
            (span(None, Some("100"), Some("200.5")), (100 * SECOND, 200 * SECOND + SECOND / 2)),
            (span(None, Some("1970-01-01T00:01:00Z"), Some("70")), (60 * SECOND, 70 * SECOND)),
        ] {
            assert_eq!(asked.resolve_at(now, "1h").unwrap(), expected, "{asked:?}");
        }
        assert!(span(None, Some("10"), Some("5")).resolve_at(now, "1h").is_err());
        assert!(span(None, Some("soon"), None).resolve_at(now, "1h").is_err());
    }
}
