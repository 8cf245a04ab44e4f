//! Parameters of a URL, checked: an unknown one is an error, so that a typing mistake does not
//! look like an empty answer.

use crate::api::alertmanager::{filter::check_patterns, params::pairs, refusal::Refusal};
use alerting::matchers::parse_matchers;
use daemon::clock;
use model::Matcher;

/// See the module.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string that may hold the parameters of `known`.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        let found = pairs(query);
        match found.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                Err(Refusal::bad(format!("unknown parameter `{name}`; there are `{}`", known.join("`, `"))))
            }
            None => Ok(Params(found)),
        }
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// Every `matcher`, each one or several in braces.
    pub(super) fn matchers(&self) -> Result<Vec<Matcher>, Refusal> {
        check_patterns(self.all("matcher"))?;
        let mut matchers = Vec::new();
        for text in self.all("matcher") {
            let read = parse_matchers(text);
            matchers.extend(read.map_err(|error| Refusal::bad(format!("matcher `{text}`: {error}")))?);
        }
        Ok(matchers)
    }

    /// A number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Refusal::bad(format!("`{text}` in `{name}` is not a number")))
    }

    /// An instant: RFC 3339, seconds since the epoch, or how long ago, such as `2h`.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if let Ok(seconds) = text.parse::<f64>() {
            return Ok(Some((seconds * 1000.0) as i64));
        }
        if let Ok(ago_ms) = model::parse_duration_ms(text) {
            return Ok(Some(clock::now_ms().saturating_sub(ago_ms)));
        }
        let wrong = || {
            format!(
                "`{text}` in `{name}` is neither RFC 3339, nor seconds since the epoch, nor a duration such as `2h`"
            )
        };
        alerting::timestamp::parse(text).ok().flatten().map(Some).ok_or_else(|| Refusal::bad(wrong()))
    }
}
