//! Which alerts a request wants: by state, receiver and labels.

use super::{params::pairs, refusal::Refusal};
use alerting::{
    AlertView, GroupView,
    matchers::{all_match, parse_matcher},
};
use model::{
    Matcher,
    go_regex::{self, Dot},
};

/// See the module.
pub(super) struct AlertFilter {
    active: bool,
    silenced: bool,
    inhibited: bool,
    /// Groups that a time interval mutes.
    muted: bool,
    receiver: Option<regex::Regex>,
    matchers: Vec<Matcher>,
}

impl AlertFilter {
    /// Reads `active`, `silenced`, `inhibited`, `muted`, `receiver` and `filter`. `unprocessed` says
    /// nothing: every alert is processed as soon as it is taken.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn from_query(query: Option<&str>) -> Result<Self, Refusal> {
        let mut filter = AlertFilter {
            active: true,
            silenced: true,
            inhibited: true,
            muted: true,
            receiver: None,
            matchers: Vec::new(),
        };
        let pairs = pairs(query);
        check_patterns(pairs.iter().filter(|(name, _)| name == "filter").map(|(_, value)| value.as_str()))?;
        for (name, value) in pairs {
            match name.as_str() {
                "active" => filter.active = flag(&value),
                "silenced" => filter.silenced = flag(&value),
                "inhibited" => filter.inhibited = flag(&value),
                "muted" => filter.muted = flag(&value),
                "receiver" if !value.is_empty() => {
                    let regex = go_regex::compile_anchored(&value, Dot::NotNewline);
                    filter.receiver =
                        Some(regex.map_err(|error| {
                            Refusal::bad(format!("failed to parse receiver param: {error}"))
                        })?);
                }
                "filter" => filter.matchers.push(matcher(&value)?),
                _ => {}
            }
        }
        Ok(filter)
    }

    /// The matchers of all `filter` parameters.
    pub(super) fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// Whether an alert is wanted, whoever is told of it.
    pub(super) fn wants(&self, view: &AlertView<'_>) -> bool {
        let status = &view.status;
        let is_active = status.silenced_by.is_empty() && status.inhibited_by.is_empty();
        (self.active || !is_active)
            && (self.silenced || status.silenced_by.is_empty())
            && (self.inhibited || status.inhibited_by.is_empty())
            && all_match(&self.matchers, &view.alert.labels)
    }

    /// Whether a group is wanted, whatever is in it.
    pub(super) fn wants_group(&self, group: &GroupView<'_>) -> bool {
        (self.muted || !group.muted) && self.wants_receiver(group.receiver)
    }

    /// Whether alerts of a receiver are wanted.
    pub(super) fn wants_receiver(&self, name: &str) -> bool {
        self.receiver.as_ref().is_none_or(|regex| regex.is_match(name))
    }
}

/// What counts as yes in Alertmanager's API; anything else is no, and nothing at all is the default.
const YES: [&str; 11] = ["", "1", "checked", "enabled", "ok", "on", "selected", "t", "true", "y", "yes"];

fn flag(value: &str) -> bool {
    YES.contains(&value.to_ascii_lowercase().as_str())
}

/// Regular expressions of one request: each may take megabytes when compiled.
const PATTERNS_MAX: usize = 64;

/// Refuses matchers with too many regular expressions, before any is compiled.
pub(crate) fn check_patterns<'t>(matchers: impl Iterator<Item = &'t str>) -> Result<(), Refusal> {
    let patterns = |text: &str| text.matches("=~").count() + text.matches("!~").count();
    if matchers.map(patterns).sum::<usize>() > PATTERNS_MAX {
        return Err(Refusal::bad(format!("more than {PATTERNS_MAX} regular expressions")));
    }
    Ok(())
}

/// One matcher of a `filter` parameter.
pub(super) fn matcher(text: &str) -> Result<Matcher, Refusal> {
    parse_matcher(text).map_err(Refusal::bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_receivers_are_read_leniently() {
        let active = |value: &str| {
            AlertFilter::from_query(Some(&format!("active={value}&receiver=")))
                .is_ok_and(|filter| filter.active)
        };
        for (value, expected) in [("TRUE", true), ("t", true), ("yes", true), ("", true), ("maybe", false)] {
            assert_eq!(active(value), expected, "{value}");
        }
        let filter = AlertFilter::from_query(Some("receiver=")).unwrap();
        assert!(filter.wants_receiver("ops"), "an empty parameter asks for nothing");
    }

    #[test]
    fn regular_expressions_of_a_request_are_few() {
        let query = |count: usize| vec!["filter=a%3D~%22x%22"; count].join("&");
        assert!(AlertFilter::from_query(Some(&query(64))).is_ok());
        assert!(AlertFilter::from_query(Some(&query(65))).is_err());
        assert!(AlertFilter::from_query(Some(&query(65).replace("a%3D~", "a!~"))).is_err());
        let home = format!("filter=path%3D%22/{}%22", "~x/".repeat(65));
        assert!(AlertFilter::from_query(Some(&home)).is_ok(), "a value may have any number of `~`");
    }
}
