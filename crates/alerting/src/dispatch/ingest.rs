//! From an alert as it was posted to one that can be held.

use super::PostError;
use crate::{Annotations, alert::Alert, timestamp::Written};
use model::Labels;

/// An alert as a client of the API gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PostedAlert {
    /// Pairs; those with an empty value are left out.
    pub labels: Vec<(String, String)>,
    /// Pairs.
    pub annotations: Vec<(String, String)>,
    /// When it began; now when not given.
    pub starts_at_ms: Option<i64>,
    /// When it ends; after `resolve_timeout` when not given.
    pub ends_at_ms: Option<i64>,
    /// How the beginning was written.
    pub starts_written: Written,
    /// How the end was written.
    pub ends_written: Written,
    /// Where it comes from, as a link.
    pub generator_url: String,
}

/// The alert, with its times filled in.
///
/// # Errors
/// When it has no labels, or ends before it begins.
pub fn ingest(posted: PostedAlert, resolve_timeout_ms: i64, now_ms: i64) -> Result<Alert, PostError> {
    let invalid = |message: String| Err(PostError::Invalid(message));
    let starts_at_ms = posted.starts_at_ms.or(posted.ends_at_ms).unwrap_or(now_ms);
    let ends_at_ms = posted.ends_at_ms.unwrap_or(now_ms.saturating_add(resolve_timeout_ms));
    if ends_at_ms < starts_at_ms {
        return invalid("start time must be before end time".to_owned());
    }
    for (kind, pairs) in [("label set", &posted.labels), ("annotations", &posted.annotations)] {
        if pairs.iter().any(|(name, _)| name.is_empty()) {
            return invalid(format!("invalid {kind}: invalid name \"\""));
        }
    }
    let labels = Labels::from_pairs(posted.labels);
    if labels.is_empty() {
        return invalid("at least one label pair required".to_owned());
    }
    let starts_as_it_ends = posted.starts_at_ms.is_none() && posted.ends_at_ms.is_some();
    Ok(Alert {
        starts_written: if starts_as_it_ends { posted.ends_written } else { posted.starts_written },
        ends_written: posted.ends_written,
        labels,
        annotations: Annotations::from_pairs(posted.annotations),
        starts_at_ms,
        ends_at_ms,
        updated_at_ms: now_ms,
        generator_url: posted.generator_url,
        timeout: posted.ends_at_ms.is_none(),
        held: false,
        rendered: crate::Rendered::default(),
        measure: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(starts_at_ms: Option<i64>, ends_at_ms: Option<i64>) -> PostedAlert {
        let labels = vec![("alertname".to_owned(), "a".to_owned()), ("empty".to_owned(), String::new())];
        let annotations = vec![("empty".to_owned(), String::new())];
        PostedAlert { labels, annotations, starts_at_ms, ends_at_ms, ..PostedAlert::default() }
    }

    #[test]
    fn times_are_filled_in() {
        for (starts, ends, expected) in [
            (None, None, (100, 600, true)),
            (Some(50), None, (50, 600, true)),
            (Some(50), Some(70), (50, 70, false)),
            (None, Some(70), (70, 70, false)),
        ] {
            let alert = ingest(posted(starts, ends), 500, 100).unwrap();
            assert_eq!((alert.starts_at_ms, alert.ends_at_ms, alert.timeout), expected);
            assert_eq!(alert.labels.len(), 1);
            assert_eq!(alert.annotations.get("empty"), Some(""), "an annotation may be empty");
        }
    }

    #[test]
    fn malformed_alerts_are_refused() {
        let message = |posted| ingest(posted, 500, 100).unwrap_err().to_string();
        assert_eq!(message(posted(Some(50), Some(40))), "start time must be before end time");
        assert_eq!(
            message(posted(Some(601), None)),
            "start time must be before end time",
            "it would have timed out"
        );
        assert_eq!(message(PostedAlert::default()), "at least one label pair required");
        let unnamed = PostedAlert { labels: vec![(String::new(), "x".into())], ..posted(None, None) };
        assert!(message(unnamed).contains("invalid name"));
    }
}
