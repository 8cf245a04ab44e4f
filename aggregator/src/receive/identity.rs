//! Who sends, from the headers that agents add to every batch.
//!
//! | header | meaning |
//! |---|---|
//! | `X-Bellwether-Agent`, `-Boot`, `-Sequence` | the batch's identity: a repeat is stored once |
//! | `X-Bellwether-Job`, `-Instance`, `-Interval-Ms`, `-Version` | the host, for `up` |
//! | `X-Bellwether-Goodbye: 1` | the agent is about to stop |
//!
//! Requests without them are as welcome; a repeat of one is then told by its samples alone.

use super::failure::Failure;
use crate::agents::Report;
use axum::http::HeaderMap;
use model::BatchId;

/// Longest text in one of the headers.
const TEXT_BYTES_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) batch: Option<BatchId>,
    pub(super) report: Option<Report>,
}

impl Identity {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let Some(agent) = text(headers, "x-bellwether-agent")? else {
            return Ok(Identity::default());
        };
        let boot = number(headers, "x-bellwether-boot")?;
        let sequence = number(headers, "x-bellwether-sequence")?;
        let batch = match (boot, sequence) {
            (Some(boot), Some(sequence)) => Some(BatchId { agent: agent.clone(), boot, sequence }),
            (None, None) => None,
            _ => return Err(bad("x-bellwether-boot and x-bellwether-sequence come together")),
        };
        let report = match (text(headers, "x-bellwether-job")?, text(headers, "x-bellwether-instance")?) {
            (Some(job), Some(instance)) => Some(Report {
                agent,
                job,
                instance,
                interval_ms: number(headers, "x-bellwether-interval-ms")?
                    .and_then(|interval| i64::try_from(interval).ok())
                    .unwrap_or(10_000),
                version: text(headers, "x-bellwether-version")?.unwrap_or_default(),
                goodbye: text(headers, "x-bellwether-goodbye")?.is_some_and(|value| value == "1"),
            }),
            _ => None,
        };
        Ok(Identity { batch, report })
    }
}

fn bad(problem: &str) -> Failure {
    Failure::Malformed(format!("bad batch identity: {problem}"))
}

/// The header's text, `None` when it is missing or empty.
fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(value) if value.len() <= TEXT_BYTES_MAX => {
            Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
        }
        _ => Err(bad(&format!("{name} is not printable or too long"))),
    }
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, Failure> {
    match text(headers, name)? {
        None => Ok(None),
        Some(value) => match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(bad(&format!("{name} `{value}` is not a number"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Identity, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().expect("a header value"));
        }
        Identity::read(&headers)
    }

    #[test]
    fn identity_is_whole_or_absent() {
        assert!(read(&[]).unwrap().batch.is_none());
        assert!(read(&[("x-bellwether-boot", "1")]).unwrap().batch.is_none());
        let whole = [("x-bellwether-agent", "a"), ("x-bellwether-boot", "1"), ("x-bellwether-sequence", "2")];
        let id = BatchId { agent: "a".into(), boot: 1, sequence: 2 };
        assert_eq!(read(&whole).unwrap().batch, Some(id));
        assert!(read(&whole[..2]).is_err());
        assert!(read(&[("x-bellwether-agent", "a"), ("x-bellwether-boot", "-1")]).is_err());
        assert!(read(&[("x-bellwether-agent", &"x".repeat(300))]).is_err());
    }

    #[test]
    fn a_host_reports_itself_and_says_goodbye() {
        let host = [
            ("x-bellwether-agent", "a"),
            ("x-bellwether-job", "node"),
            ("x-bellwether-instance", "h1"),
            ("x-bellwether-interval-ms", "5000"),
            ("x-bellwether-goodbye", "1"),
        ];
        let report = read(&host).unwrap().report.unwrap();
        assert_eq!((report.instance.as_str(), report.interval_ms, report.goodbye), ("h1", 5000, true));
        assert!(read(&host[..2]).unwrap().report.is_none());
    }
}
