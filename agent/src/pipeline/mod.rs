//! What happens to a line between its file and the batch: kept or dropped, and redacted.
//!
//! Stages run in the order of the configuration. They see the line as text and cannot split or
//! join lines. Regular expressions run in time linear in the line, so no pattern can hold the
//! agent up.

use regex::Regex;
use std::borrow::Cow;

/// What a redacted part is replaced with when the configuration does not say.
const REDACTED: &str = "<redacted>";

/// One stage, as configured: exactly one of the keys `drop`, `keep` and `redact`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Lines that match are dropped, and counted as filtered.
    #[serde(default)]
    pub drop: Option<String>,
    /// Lines that do not match are dropped, and counted as filtered.
    #[serde(default)]
    pub keep: Option<String>,
    /// What matches is replaced.
    #[serde(default)]
    pub redact: Option<String>,
    /// The replacement; `$1` stands for the first group.
    #[serde(default)]
    pub replacement: Option<String>,
}

#[derive(Clone, Debug)]
enum Stage {
    Drop(Regex),
    Keep(Regex),
    Redact(Regex, String),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipeline {
    stages: Vec<Stage>,
}

impl Pipeline {
    /// # Errors
    /// A message that names the stage by its place.
    pub(crate) fn new(stages: &[StageConfig]) -> Result<Self, String> {
        let built: Result<Vec<Stage>, String> = stages
            .iter()
            .enumerate()
            .map(|(i, stage)| build(stage).map_err(|error| format!("stage {}: {error}", i + 1)))
            .collect();
        Ok(Pipeline { stages: built? })
    }

    /// The line as it is to be shipped; `None` when it is not.
    pub(crate) fn apply<'a>(&self, line: Cow<'a, str>) -> Option<Cow<'a, str>> {
        let mut line = line;
        for stage in &self.stages {
            match stage {
                Stage::Drop(pattern) if pattern.is_match(&line) => return None,
                Stage::Keep(pattern) if !pattern.is_match(&line) => return None,
                Stage::Redact(pattern, replacement) => {
                    if let Cow::Owned(redacted) = pattern.replace_all(&line, replacement.as_str()) {
                        line = Cow::Owned(redacted);
                    }
                }
                Stage::Drop(_) | Stage::Keep(_) => {}
            }
        }
        Some(line)
    }
}

fn build(stage: &StageConfig) -> Result<Stage, String> {
    let compile = |pattern: &str| Regex::new(pattern).map_err(|error| error.to_string());
    if stage.replacement.is_some() && stage.redact.is_none() {
        return Err("`replacement` belongs to `redact`".to_owned());
    }
    match (&stage.drop, &stage.keep, &stage.redact) {
        (Some(pattern), None, None) => Ok(Stage::Drop(compile(pattern)?)),
        (None, Some(pattern), None) => Ok(Stage::Keep(compile(pattern)?)),
        (None, None, Some(pattern)) => {
            let replacement = stage.replacement.clone().unwrap_or_else(|| REDACTED.to_owned());
            Ok(Stage::Redact(compile(pattern)?, replacement))
        }
        _ => Err("give exactly one of `drop`, `keep` and `redact`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(key: &str, pattern: &str) -> StageConfig {
        let pattern = |name: &str| (name == key).then(|| pattern.to_owned());
        StageConfig {
            drop: pattern("drop"),
            keep: pattern("keep"),
            redact: pattern("redact"),
            replacement: None,
        }
    }

    #[test]
    fn stages_run_in_order() {
        let replace =
            StageConfig { replacement: Some("user=$1***".into()), ..stage("redact", r"user=(\w)\w*") };
        let stages =
            [stage("redact", r"\d{4}-\d{4}"), replace, stage("drop", "DEBUG"), stage("keep", "redacted")];
        let pipeline = Pipeline::new(&stages).unwrap();
        let apply = |line: &'static str| pipeline.apply(Cow::Borrowed(line)).map(Cow::into_owned);
        assert_eq!(apply("card 1234-5678 user=alice").as_deref(), Some("card <redacted> user=a***"));
        assert_eq!(apply("DEBUG 1234-5678"), None);
        assert_eq!(apply("nothing to see"), None);
    }

    #[test]
    fn a_bad_stage_is_named() {
        let both = StageConfig { keep: Some("b".into()), ..stage("drop", "a") };
        assert!(
            Pipeline::new(&[stage("drop", "a"), both]).unwrap_err().starts_with("stage 2: give exactly one")
        );
        assert!(Pipeline::new(&[stage("drop", "(")]).unwrap_err().starts_with("stage 1: "));
    }
}
