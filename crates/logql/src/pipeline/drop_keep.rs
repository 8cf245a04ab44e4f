//! `drop` and `keep`.

use super::labels::{ERROR, ERROR_DETAILS, RowLabels};
use crate::ast::LabelChoice;
use model::Matcher;

pub(super) struct Choices {
    choices: Vec<(String, Option<Matcher>)>,
}

impl Choices {
    pub(super) fn new(choices: &[LabelChoice]) -> Self {
        let choices = choices.iter().map(|choice| match choice {
            LabelChoice::Name(name) => (name.clone(), None),
            LabelChoice::Matching(matcher) => (matcher.name().to_owned(), Some(matcher.clone())),
        });
        Choices { choices: choices.collect() }
    }

    pub(super) fn drop_from(&self, labels: &mut RowLabels) {
        for (name, matcher) in &self.choices {
            let chosen = match matcher {
                None => true,
                Some(matcher) => labels.get(name).is_some_and(|value| matcher.matches(value)),
            };
            match name.as_str() {
                _ if !chosen => {}
                ERROR => labels.reset_error(),
                ERROR_DETAILS => labels.reset_error_details(),
                name => labels.remove(name),
            }
        }
    }

    pub(super) fn keep_in(&self, labels: &mut RowLabels) {
        labels.retain(|name, value| {
            let mut named = self.choices.iter().filter(|(chosen, _)| chosen == name);
            named.any(|(_, matcher)| matcher.as_ref().is_none_or(|matcher| matcher.matches(value)))
        });
    }
}
