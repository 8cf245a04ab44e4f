//! `retention.logs_streams`: log streams that are kept for an age of their own.

use crate::config::Duration;
use anyhow::{Context, bail};
use logql::ast::{Expr, LogExpr};
use serde::{Deserialize, Serialize};

/// One rule; the first whose selector matches a stream counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRetentionConfig {
    /// The streams, as in a query: `{app="debug"}`.
    pub selector: String,
    /// How long their lines are kept, `0` for ever.
    pub age: Duration,
}

impl StreamRetentionConfig {
    /// As the log store takes it.
    ///
    /// # Errors
    /// When the selector does not parse or is more than a selector.
    pub(crate) fn rule(&self) -> anyhow::Result<logstore::StreamRetention> {
        let shown = || format!("`retention.logs_streams` has the selector `{}`", self.selector);
        let Expr::Log(LogExpr { matchers, stages }) = logql::parse(&self.selector).with_context(shown)?
        else {
            bail!("{}, which is a metric query; write a selector such as {{app=\"debug\"}}", shown());
        };
        if !stages.is_empty() {
            bail!("{}, which filters lines; write a selector alone, such as {{app=\"debug\"}}", shown());
        }
        let age = (self.age.0 > 0).then(|| std::time::Duration::from_millis(self.age.0));
        Ok(logstore::StreamRetention { matchers, age })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(selector: &str, age_ms: u64) -> anyhow::Result<logstore::StreamRetention> {
        StreamRetentionConfig { selector: selector.to_owned(), age: Duration(age_ms) }.rule()
    }

    #[test]
    fn only_selectors_make_rules() {
        let kept = rule(r#"{app="debug", env=~"dev.*"}"#, 86_400_000).unwrap();
        assert_eq!((kept.matchers.len(), kept.age.unwrap().as_secs()), (2, 86_400));
        assert!(rule(r#"{app="audit"}"#, 0).unwrap().age.is_none());
        for bad in [r#"{app="x"} |= "a""#, r#"count_over_time({app="x"}[5m])"#, "{app=", ""] {
            let error = format!("{:#}", rule(bad, 0).unwrap_err());
            assert!(error.contains("logs_streams"), "{error}");
        }
    }
}
