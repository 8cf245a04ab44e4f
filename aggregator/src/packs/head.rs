//! The comments at the head of a shipped rule file.

use model::Matcher;

const ALWAYS: &str = "Evaluated always.";
const WHEN: &str = "Evaluated when: ";

/// What they say.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The first sentence, without its full stop.
    pub(super) title: &'static str,
    /// When the pack is on.
    pub(super) when: When,
}

/// When a pack is on by itself.
#[derive(Clone, Debug)]
pub(super) enum When {
    Always,
    /// While series of this selector are there.
    Series {
        selector: &'static str,
        matchers: Vec<Matcher>,
    },
    /// The head does not say, or its selector does not parse; the tests refuse to ship that.
    Never,
}

impl Head {
    pub(super) fn of(text: &'static str) -> Self {
        let comments = || text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        let first = comments().next().unwrap_or_default();
        let title = first.split_once('.').map_or(first, |(sentence, _)| sentence);
        Head { title, when: comments().find_map(When::of).unwrap_or(When::Never) }
    }
}

impl When {
    fn of(line: &'static str) -> Option<Self> {
        if line == ALWAYS {
            return Some(When::Always);
        }
        let selector = line.strip_prefix(WHEN)?;
        let matchers = promql::parse_selector(selector).ok()?.matchers;
        Some(When::Series { selector, matchers })
    }

    /// The selector, as written.
    pub(super) fn selector(&self) -> Option<&'static str> {
        match self {
            When::Series { selector, .. } => Some(selector),
            When::Always | When::Never => None,
        }
    }
}
