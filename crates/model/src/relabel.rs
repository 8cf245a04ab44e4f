//! Relabelling: the steps that decide which series go on and under which labels, as Prometheus'
//! `relabel_configs` and `write_relabel_configs` do.
//!
//! A [`RelabelStep`] is checked when it is made; applying a list of them cannot fail.

use crate::{
    Labels, LabelsBuilder,
    go_regex::{self, Dot},
};
use md5::{Digest, Md5};
use regex::Regex;

/// What a step does. The names are Prometheus'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "described with `RelabelStep::apply`")]
pub enum RelabelAction {
    #[default]
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

const ACTIONS: [(&str, RelabelAction); 11] = [
    ("replace", RelabelAction::Replace),
    ("keep", RelabelAction::Keep),
    ("drop", RelabelAction::Drop),
    ("keepequal", RelabelAction::KeepEqual),
    ("dropequal", RelabelAction::DropEqual),
    ("hashmod", RelabelAction::HashMod),
    ("labelmap", RelabelAction::LabelMap),
    ("labeldrop", RelabelAction::LabelDrop),
    ("labelkeep", RelabelAction::LabelKeep),
    ("lowercase", RelabelAction::Lowercase),
    ("uppercase", RelabelAction::Uppercase),
];

impl RelabelAction {
    /// From its name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, action)| *action)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        ACTIONS.iter().find(|(_, action)| *action == self).map_or("replace", |(name, _)| name)
    }
}

/// A step as it is written down; what is `None` takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelabelSpec {
    /// What to do; `replace` unless given.
    pub action: RelabelAction,
    /// Labels whose values are joined to the text that is looked at.
    pub source_labels: Vec<String>,
    /// Between the joined values; `;` unless given.
    pub separator: Option<String>,
    /// Must match the whole text; `(.*)` unless given.
    pub regex: Option<String>,
    /// Divisor of `hashmod`.
    pub modulus: u64,
    /// The label that is set; may refer to groups of the expression (`${1}`).
    pub target_label: Option<String>,
    /// The value that is set; `$1` unless given.
    pub replacement: Option<String>,
}

/// What is wrong with a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RelabelError {
    #[error("{0}")]
    Regex(String),
    #[error("`{0}` needs `target_label`")]
    NoTarget(&'static str),
    #[error("`{label}` is no label name to set with `{action}`")]
    BadLabel { action: &'static str, label: String },
    #[error("`hashmod` needs a `modulus` above 0")]
    NoModulus,
    #[error("`{field}` has no meaning for `{action}`: leave it out")]
    Meaningless { action: &'static str, field: &'static str },
}

/// One step, ready for use.
#[derive(Clone, Debug)]
pub struct RelabelStep {
    action: RelabelAction,
    source_labels: Vec<String>,
    separator: String,
    regex: Regex,
    modulus: u64,
    target_label: String,
    replacement: String,
}

impl TryFrom<&RelabelSpec> for RelabelStep {
    type Error = RelabelError;

    fn try_from(spec: &RelabelSpec) -> Result<Self, RelabelError> {
        check(spec)?;
        let regex = spec.regex.as_deref().unwrap_or("(.*)");
        Ok(RelabelStep {
            action: spec.action,
            source_labels: spec.source_labels.clone(),
            separator: spec.separator.clone().unwrap_or_else(|| ";".to_owned()),
            regex: go_regex::compile_anchored(regex, Dot::Any).map_err(RelabelError::Regex)?,
            modulus: spec.modulus,
            target_label: spec.target_label.clone().unwrap_or_default(),
            replacement: spec.replacement.clone().unwrap_or_else(|| "$1".to_owned()),
        })
    }
}

/// Refuses a step that lacks something or says something that would be passed over.
fn check(spec: &RelabelSpec) -> Result<(), RelabelError> {
    use RelabelAction as A;
    let action = spec.action.as_str();
    let needs_target = matches!(
        spec.action,
        A::Replace | A::HashMod | A::Lowercase | A::Uppercase | A::KeepEqual | A::DropEqual
    );
    match spec.target_label.as_deref().unwrap_or("") {
        "" if needs_target => return Err(RelabelError::NoTarget(action)),
        // The target of `replace` may be made of groups: it is judged when it is known.
        label if label.contains('$') && needs_target && spec.action != A::Replace => {
            return Err(RelabelError::BadLabel { action, label: label.to_owned() });
        }
        _ => {}
    }
    if spec.action == A::HashMod && spec.modulus == 0 {
        return Err(RelabelError::NoModulus);
    }
    let is_by_name = matches!(spec.action, A::LabelDrop | A::LabelKeep);
    let is_by_value = matches!(spec.action, A::KeepEqual | A::DropEqual);
    let is_case = matches!(spec.action, A::Lowercase | A::Uppercase);
    let meaningless = [
        ("source_labels", is_by_name && !spec.source_labels.is_empty()),
        ("target_label", is_by_name && spec.target_label.is_some()),
        ("modulus", (is_by_name || is_by_value) && spec.modulus != 0),
        ("separator", (is_by_name || is_by_value) && spec.separator.is_some()),
        ("regex", is_by_value && spec.regex.is_some()),
        ("replacement", (is_by_name || is_by_value || is_case) && spec.replacement.is_some()),
    ];
    match meaningless.iter().find(|(_, is_given)| *is_given) {
        Some(&(field, _)) => Err(RelabelError::Meaningless { action, field }),
        None => Ok(()),
    }
}

/// The labels under which a series goes on, or `None` when it does not.
pub fn relabel(steps: &[RelabelStep], labels: &Labels) -> Option<Labels> {
    let mut builder = labels.to_builder();
    for step in steps {
        if !step.apply(&mut builder) {
            return None;
        }
    }
    Some(builder.build()).filter(|labels| !labels.is_empty())
}

impl RelabelStep {
    /// Applies the step; `false` means that the series does not go on.
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let text = self.source(labels);
        match self.action {
            RelabelAction::Keep => return self.regex.is_match(&text),
            RelabelAction::Drop => return !self.regex.is_match(&text),
            RelabelAction::KeepEqual => return labels.get(&self.target_label).unwrap_or("") == text,
            RelabelAction::DropEqual => return labels.get(&self.target_label).unwrap_or("") != text,
            RelabelAction::Replace => self.replace(&text, labels),
            RelabelAction::HashMod => {
                labels.set(&self.target_label, &(hash(&text) % self.modulus.max(1)).to_string());
            }
            RelabelAction::Lowercase => {
                labels.set(&self.target_label, &text.to_lowercase());
            }
            RelabelAction::Uppercase => {
                labels.set(&self.target_label, &text.to_uppercase());
            }
            RelabelAction::LabelMap => self.map_names(labels),
            RelabelAction::LabelDrop => labels.retain(|name| !self.regex.is_match(name)),
            RelabelAction::LabelKeep => labels.retain(|name| self.regex.is_match(name)),
        }
        true
    }

    fn source(&self, labels: &LabelsBuilder) -> String {
        let values: Vec<&str> =
            self.source_labels.iter().map(|name| labels.get(name).unwrap_or("")).collect();
        values.join(&self.separator)
    }

    fn replace(&self, text: &str, labels: &mut LabelsBuilder) {
        let Some(groups) = self.regex.captures(text) else { return };
        let (mut target, mut value) = (String::new(), String::new());
        groups.expand(&self.target_label, &mut target);
        groups.expand(&self.replacement, &mut value);
        // Setting an empty value removes the label; a label without a name cannot be.
        if !target.is_empty() {
            labels.set(&target, &value);
        }
    }

    fn map_names(&self, labels: &mut LabelsBuilder) {
        for (name, value) in labels.build().iter() {
            let Some(groups) = self.regex.captures(name) else { continue };
            let mut target = String::new();
            groups.expand(&self.replacement, &mut target);
            if !target.is_empty() {
                labels.set(&target, value);
            }
        }
    }
}

/// The last eight bytes of the MD5 sum, which is what Prometheus takes: other programs that shard
/// by `hashmod` must agree.
fn hash(text: &str) -> u64 {
    let sum = Md5::digest(text.as_bytes());
    sum[8..].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use RelabelAction as A;

    fn spec(action: A) -> RelabelSpec {
        RelabelSpec { action, ..RelabelSpec::default() }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    /// What becomes of `{a="foo", b="bar", c="Baz"}`.
    fn check_step(spec: RelabelSpec, expected: Option<&str>) {
        let steps = [RelabelStep::try_from(&spec).unwrap()];
        let labels = Labels::from_pairs([("a", "foo"), ("b", "bar"), ("c", "Baz")]);
        let found = relabel(&steps, &labels).map(|labels| labels.to_string());
        assert_eq!(found.as_deref(), expected, "{spec:?}");
    }

    const SAME: Option<&str> = Some(r#"{a="foo", b="bar", c="Baz"}"#);

    #[test]
    fn replace_sets_removes_and_leaves_alone() {
        let replace =
            |sources: &[&str], regex: Option<&str>, target: &str, replacement: Option<&str>| RelabelSpec {
                source_labels: owned(sources),
                regex: regex.map(str::to_owned),
                target_label: Some(target.to_owned()),
                replacement: replacement.map(str::to_owned),
                ..spec(A::Replace)
            };
        check_step(
            replace(&["a", "b"], Some("f(.*);(.*)r"), "d", Some("ch${1}-$2")),
            Some(r#"{a="foo", b="bar", c="Baz", d="choo-ba"}"#),
        );
        check_step(replace(&["a"], Some("fo"), "a", Some("x")), SAME);
        check_step(replace(&["missing"], None, "b", None), Some(r#"{a="foo", c="Baz"}"#));
        check_step(replace(&[], None, "zone", Some("eu")), Some(r#"{a="foo", b="bar", c="Baz", zone="eu"}"#));
        check_step(
            replace(&["a"], Some("(f)(o+)"), "${1}_x", Some("$2")),
            Some(r#"{a="foo", b="bar", c="Baz", f_x="oo"}"#),
        );
        check_step(replace(&["a"], Some("(f).*"), "$1x", Some("y")), SAME);
    }

    #[test]
    fn series_are_kept_and_dropped() {
        let by_regex = |action, regex: &str| RelabelSpec {
            source_labels: owned(&["a"]),
            regex: Some(regex.to_owned()),
            ..spec(action)
        };
        check_step(by_regex(A::Keep, "f.*"), SAME);
        check_step(by_regex(A::Keep, "o.*"), None);
        check_step(by_regex(A::Drop, "f.*"), None);
        check_step(by_regex(A::Drop, "f"), SAME);
        let equal = |action, target: &str| RelabelSpec {
            source_labels: owned(&["a"]),
            target_label: Some(target.to_owned()),
            ..spec(action)
        };
        check_step(equal(A::KeepEqual, "a"), SAME);
        check_step(equal(A::KeepEqual, "b"), None);
        check_step(equal(A::DropEqual, "b"), SAME);
        check_step(equal(A::DropEqual, "a"), None);
    }

    #[test]
    fn names_are_mapped_dropped_and_kept() {
        let by_name = |action, regex: &str| RelabelSpec { regex: Some(regex.to_owned()), ..spec(action) };
        check_step(by_name(A::LabelDrop, "[ab]"), Some(r#"{c="Baz"}"#));
        check_step(by_name(A::LabelKeep, "[ab]"), Some(r#"{a="foo", b="bar"}"#));
        check_step(by_name(A::LabelKeep, "x"), None);
        let mapped = RelabelSpec { replacement: Some("m_$1".to_owned()), ..by_name(A::LabelMap, "([ab])") };
        check_step(mapped, Some(r#"{a="foo", b="bar", c="Baz", m_a="foo", m_b="bar"}"#));
    }

    #[test]
    fn values_are_hashed_and_change_case() {
        let to = |action, target: &str| RelabelSpec {
            source_labels: owned(&["c"]),
            target_label: Some(target.to_owned()),
            ..spec(action)
        };
        check_step(to(A::Lowercase, "d"), Some(r#"{a="foo", b="bar", c="Baz", d="baz"}"#));
        check_step(to(A::Uppercase, "c"), Some(r#"{a="foo", b="bar", c="BAZ"}"#));
        // The MD5 sum of "foo" is acbd18db4cc2f85c edef654fccc4a4d8.
        assert_eq!(hash("foo"), 0xedef_654f_ccc4_a4d8);
        let hashed = RelabelSpec {
            source_labels: owned(&["a"]),
            target_label: Some("shard".to_owned()),
            modulus: 1000,
            ..spec(A::HashMod)
        };
        let expected =
            format!(r#"{{a="foo", b="bar", c="Baz", shard="{}"}}"#, 0xedef_654f_ccc4_a4d8u64 % 1000);
        check_step(hashed, Some(&expected));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bad = |spec: RelabelSpec| RelabelStep::try_from(&spec).unwrap_err().to_string();
        assert_eq!(bad(spec(A::Replace)), "`replace` needs `target_label`");
        let target = Some("x".to_owned());
        assert_eq!(
            bad(RelabelSpec { target_label: target.clone(), ..spec(A::HashMod) }),
            "`hashmod` needs a `modulus` above 0"
        );
        assert!(bad(RelabelSpec { regex: Some("(".to_owned()), ..spec(A::Keep) }).contains("regexp"));
        assert_eq!(
            bad(RelabelSpec { target_label: target, ..spec(A::LabelDrop) }),
            "`target_label` has no meaning for `labeldrop`: leave it out"
        );
        assert!(RelabelAction::from_name("Replace").is_some() && RelabelAction::from_name("keeps").is_none());
    }
}
