//! The silences that mute at one moment, found once for many questions.
//!
//! A silence with matchers of the form `name="value"` is looked up by the rarest of these, so that
//! thousands of silences, each for a host of its own, cost an alert no more than its labels.

use super::{SilenceState, Silences};
use crate::matchers::all_match;
use model::{Labels, MatchOp, Matcher};
use std::collections::HashMap;

/// See the module.
pub struct ActiveSilences<'a> {
    silences: Vec<(&'a str, &'a [Matcher])>,
    /// Silences that only alerts with this label and value can match.
    by_pair: HashMap<Pair<'a>, Vec<usize>>,
    /// Those that every alert must be held against.
    others: Vec<usize>,
}

type Pair<'a> = (&'a str, &'a str);

impl<'a> ActiveSilences<'a> {
    pub(super) fn of(all: &'a Silences, now_ms: i64) -> Self {
        let made = all.silences.values().filter(|(silence, _)| silence.state(now_ms) == SilenceState::Active);
        let made = made.map(|(silence, matchers)| (silence.id.as_str(), matchers.as_slice()));
        let of_files = all.files.iter().filter(|file| file.is_active(now_ms));
        let of_files = of_files.map(|file| (file.silence.id.as_str(), file.matchers.as_slice()));
        let silences: Vec<_> = made.chain(of_files).collect();

        let mut frequencies: HashMap<Pair<'_>, usize> = HashMap::new();
        for pair in silences.iter().flat_map(|(_, matchers)| pairs(matchers)) {
            *frequencies.entry(pair).or_default() += 1;
        }
        let (mut by_pair, mut others) = (HashMap::<_, Vec<usize>>::new(), Vec::new());
        for (index, (_, matchers)) in silences.iter().enumerate() {
            match pairs(matchers).min_by_key(|pair| frequencies[pair]) {
                Some(rarest) => by_pair.entry(rarest).or_default().push(index),
                None => others.push(index),
            }
        }
        ActiveSilences { silences, by_pair, others }
    }

    /// Ids of the silences that mute `labels`: those of the API in order of id, then those of files.
    pub fn muting(&self, labels: &Labels) -> Vec<String> {
        if self.silences.is_empty() {
            return Vec::new();
        }
        let candidates = labels.iter().filter_map(|pair| self.by_pair.get(&pair)).flatten();
        let mut found: Vec<usize> = candidates
            .chain(&self.others)
            .copied()
            .filter(|index| all_match(self.silences[*index].1, labels))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|index| self.silences[index].0.to_owned()).collect()
    }
}

/// The labels and values that an alert must have to match.
fn pairs(matchers: &[Matcher]) -> impl Iterator<Item = Pair<'_>> {
    matchers.iter().filter(|matcher| is_exact(matcher)).map(|matcher| (matcher.name(), matcher.value()))
}

/// Whether one value matches and no other. People write `=~` where `=` would do.
fn is_exact(matcher: &Matcher) -> bool {
    let is_literal = || !matcher.value().contains(|c| r"\.+*?()|[]{}^$".contains(c));
    let is_one = match matcher.op() {
        MatchOp::Equal => true,
        MatchOp::Regex => is_literal(),
        MatchOp::NotEqual | MatchOp::NotRegex => false,
    };
    is_one && !matcher.value().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silence::{Silence, tests::silence_of};

    /// Silences of every form, asked about alerts of every form: the answer by index is that of
    /// holding each silence against each alert.
    #[test]
    fn the_index_answers_as_every_silence_asked_in_turn() {
        let written = [
            r#"{a="1"}"#,
            r#"{a="1",b="2"}"#,
            r#"{a="1",b=""}"#,
            r#"{b="2",c="x"}"#,
            r#"{a=~"1|2"}"#,
            r#"{a=~"2",b=~".*"}"#,
            r#"{a!="1",b="2"}"#,
            r#"{a="1",a="2"}"#,
            r#"{c!~"x"}"#,
        ];
        let mut silences = Silences::default();
        for (index, matchers) in written.iter().enumerate() {
            silences.restore(silence_of(&index.to_string(), matchers, 0, 100)).unwrap();
        }
        silences.restore(silence_of("later", r#"{a="1"}"#, 50, 100)).unwrap();
        let active = silences.active(10);
        for a in ["", "1", "2"] {
            for b in ["", "1", "2"] {
                for c in ["", "x"] {
                    let labels = Labels::from_pairs([("a", a), ("b", b), ("c", c)]);
                    let each = |silence: &&Silence| {
                        let matchers: Vec<_> =
                            silence.matchers.iter().map(|matcher| matcher.compile().unwrap()).collect();
                        silence.state(10) == SilenceState::Active && all_match(&matchers, &labels)
                    };
                    let expected: Vec<_> =
                        silences.iter().filter(each).map(|silence| silence.id.clone()).collect();
                    assert_eq!(active.muting(&labels), expected, "{labels}");
                }
            }
        }
    }
}
