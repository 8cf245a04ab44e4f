//! A log query over lines as they arrive.

use crate::{
    Entry, ParseError,
    ast::Expr,
    eval::entry_of,
    parse,
    pipeline::{Pipeline, Scratch},
};
use model::{Labels, LogEntryRef, Matcher};
use store::StreamId;

/// Decides lines one at a time. Not shared between threads; cheap to make.
pub struct Tail {
    matchers: Vec<Matcher>,
    pipeline: Pipeline,
    scratch: Scratch,
    /// Numbers each line as a stream of its own, so that no labels are taken over.
    next: u64,
}

impl Tail {
    /// Compiles a log query.
    ///
    /// # Errors
    /// When the query does not parse or is a metric query.
    pub fn new(query: &str) -> Result<Self, ParseError> {
        let Expr::Log(log) = parse(query)? else {
            return Err(ParseError::new("only log queries can be tailed"));
        };
        let pipeline = Pipeline::compile(&log.stages)?;
        Ok(Tail { matchers: log.matchers, pipeline, scratch: Scratch::default(), next: 0 })
    }

    /// Whether lines of this stream are wanted at all.
    pub fn wants_stream(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.value(matcher.name())))
    }

    /// The line as the query answers it, or `None` when it does not pass.
    pub fn matches(&mut self, labels: &Labels, entry: LogEntryRef<'_>) -> Option<Entry> {
        if !self.wants_stream(labels) {
            return None;
        }
        self.next += 1;
        self.pipeline.load(&mut self.scratch, StreamId(self.next), labels, entry.metadata);
        let passes = self.pipeline.run(&mut self.scratch, entry.timestamp_ns, entry.line);
        passes.then(|| entry_of(&self.scratch, entry.timestamp_ns, entry.line, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::LabelsRef;

    #[test]
    fn lines_pass_through_the_pipeline() {
        let mut tail = Tail::new(r#"{app="web"} |= "GET" | logfmt | status >= 500"#).unwrap();
        let web = Labels::from_pairs([("app", "web")]);
        let other = Labels::from_pairs([("app", "db")]);
        let entry =
            |line| LogEntryRef { timestamp_ns: 1, line, metadata: LabelsRef::from_trusted_bytes(&[]) };
        assert!(tail.matches(&other, entry("GET status=500")).is_none());
        assert!(tail.matches(&web, entry("GET status=200")).is_none());
        let found = tail.matches(&web, entry("GET status=503")).unwrap();
        assert_eq!(
            found.parsed,
            [("GET".to_owned(), String::new()), ("status".to_owned(), "503".to_owned())][1..]
        );
        assert!(Tail::new("rate({app=\"web\"}[5m])").is_err());
    }
}
