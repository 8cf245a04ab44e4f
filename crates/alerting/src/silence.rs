//! Silences: "tell nobody of alerts like these until then".
//!
//! A silence is never removed when it ends; it stays listed as expired for [`KEPT_MS`].
//!
//! Bounds: at most [`SILENCES_MAX`] silences of [`MATCHERS_MAX`] matchers each.

mod active;
mod files;

pub use active::ActiveSilences;
pub use files::{FileSilence, LoadedSilences, load_silences};

use crate::matchers;
use model::{Labels, MatchOp, Matcher};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long an expired silence is kept.
pub const KEPT_MS: i64 = 120 * 3_600_000;
/// Most silences, the expired ones included.
pub const SILENCES_MAX: usize = 100_000;
/// Most matchers of one silence.
pub const MATCHERS_MAX: usize = 64;

/// Where a silence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SilenceState {
    Active,
    Pending,
    Expired,
}

impl SilenceState {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            SilenceState::Active => "active",
            SilenceState::Pending => "pending",
            SilenceState::Expired => "expired",
        }
    }
}

/// A matcher of a silence, in the API's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceMatcher {
    /// The label.
    pub name: String,
    /// The text or expression.
    pub value: String,
    /// Whether `value` is a regular expression.
    pub is_regex: bool,
    /// Whether a match, rather than its absence, is asked for.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

impl std::fmt::Display for SilenceMatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&matchers::written(&self.name, self.op(), &self.value))
    }
}

impl SilenceMatcher {
    /// How it compares.
    pub fn op(&self) -> MatchOp {
        match (self.is_regex, self.is_equal) {
            (false, true) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (true, false) => MatchOp::NotRegex,
        }
    }

    /// Ready for use.
    ///
    /// # Errors
    /// When the regular expression does not compile, or there is no name.
    pub fn compile(&self) -> Result<Matcher, String> {
        if self.name.is_empty() {
            return Err("invalid label name \"\"".to_owned());
        }
        crate::matchers::matcher(&self.name, self.op(), &self.value)
            .map_err(|error| format!("invalid regular expression {}: {error}", model::quote(&self.value)))
    }
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// A version 4 UUID.
    pub id: String,
    /// All must match.
    pub matchers: Vec<SilenceMatcher>,
    /// From when.
    pub starts_at_ms: i64,
    /// Until when.
    pub ends_at_ms: i64,
    /// When it was changed last.
    pub updated_at_ms: i64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// It recurs, and does not mute now.
    #[serde(default, skip)]
    pub dormant: bool,
}

impl Silence {
    /// Where the silence stands at `now_ms`.
    pub fn state(&self, now_ms: i64) -> SilenceState {
        if now_ms < self.starts_at_ms || self.dormant {
            SilenceState::Pending
        } else if now_ms < self.ends_at_ms {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }
}

/// What is wrong with a request about silences, by what the caller should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SilenceError {
    #[error("silence invalid: {0}")]
    Invalid(String),
    #[error("Failed to create silence: {0}")]
    WrongTimes(&'static str),
    #[error("silence `{name}` comes from the file `{file}`; change it there")]
    OfFile { name: String, file: String },
    #[error("silence not found")]
    NotFound,
    #[error("there are {SILENCES_MAX} silences already")]
    TooMany,
}

/// All silences with their matchers compiled.
#[derive(Debug, Default)]
pub struct Silences {
    silences: BTreeMap<String, (Silence, Vec<Matcher>)>,
    files: Vec<FileSilence>,
}

/// How many silences of files there are, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFigures {
    /// Mute now.
    pub active: usize,
    /// Will.
    pub waiting: usize,
    /// Of both, those of whose time four fifths have passed.
    pub expiring: usize,
    /// Mute no more and should be removed.
    pub expired: usize,
}

/// A change of silences that is decided but not in force yet: silences as they are to be, in order; the
/// last is the one asked for.
#[derive(Debug, Default)]
pub(crate) struct Planned(Vec<(Silence, Vec<Matcher>)>);

impl Planned {
    /// The silences to store.
    pub(crate) fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.0.iter().map(|(silence, _)| silence)
    }

    /// The id of the one asked for; "" when nothing changes.
    pub(crate) fn id(&self) -> &str {
        self.0.last().map_or("", |(silence, _)| &silence.id)
    }
}

impl Silences {
    /// Adds a silence as it was stored; one that does not compile any more is reported.
    ///
    /// # Errors
    /// When a matcher does not compile.
    pub fn restore(&mut self, silence: Silence) -> Result<(), SilenceError> {
        let matchers = compile(&silence.matchers)?;
        self.silences.insert(silence.id.clone(), (silence, matchers));
        Ok(())
    }

    /// Replaces the silences that files hold.
    pub fn set_files(&mut self, files: Vec<FileSilence>) {
        self.files = files;
    }

    /// What the silences of files do at `now_ms`.
    pub fn file_figures(&self, now_ms: i64) -> FileFigures {
        let mut figures = FileFigures::default();
        for file in &self.files {
            match file.view(now_ms).state(now_ms) {
                SilenceState::Active => figures.active += 1,
                SilenceState::Pending => figures.waiting += 1,
                SilenceState::Expired => figures.expired += 1,
            }
            figures.expiring += usize::from(file.is_expiring(now_ms));
        }
        figures
    }

    /// Every silence as it is at `now_ms`, those of files too, in order of id.
    pub fn views(&self, now_ms: i64) -> Vec<Silence> {
        let files = self.files.iter().map(|file| file.view(now_ms));
        let mut views: Vec<_> = self.iter().cloned().chain(files).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    fn file_of(&self, id: &str) -> Option<&FileSilence> {
        self.files.iter().find(|file| file.silence.id == id)
    }

    /// Every silence that was made through the API, in order of id.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.silences.values().map(|(silence, _)| silence)
    }

    /// The silence called `id`.
    pub fn get(&self, id: &str) -> Option<&Silence> {
        let made = self.silences.get(id).map(|(silence, _)| silence);
        made.or_else(|| self.file_of(id).map(|file| &file.silence))
    }

    /// The silences that mute at `now_ms`.
    pub fn active(&self, now_ms: i64) -> ActiveSilences<'_> {
        ActiveSilences::of(self, now_ms)
    }

    /// Ids of the silences that mute `labels` at `now_ms`. For many labels, ask
    /// [`Silences::active`] once.
    pub fn muting(&self, labels: &Labels, now_ms: i64) -> Vec<String> {
        self.active(now_ms).muting(labels)
    }

    /// What it takes to create a silence (empty id) or to change one. A start of 0 is now. When matchers,
    /// or a start that has passed, change, the old silence expires and a new one with `fresh_id` takes its
    /// place.
    ///
    /// # Errors
    /// When the silence is not well formed, unknown, or one too many.
    pub(crate) fn plan_set(
        &self,
        mut wanted: Silence,
        fresh_id: String,
        now_ms: i64,
    ) -> Result<Planned, SilenceError> {
        self.refuse_file(&wanted.id)?;
        let matchers = validated(&wanted, now_ms)?;
        if wanted.starts_at_ms == 0 {
            wanted.starts_at_ms = now_ms;
        }
        wanted.updated_at_ms = now_ms;
        let mut planned = Planned::default();
        if !wanted.id.is_empty() {
            let previous = self.get(&wanted.id).ok_or(SilenceError::NotFound)?;
            if may_update(previous, &wanted, now_ms) {
                if previous.state(now_ms) == SilenceState::Active {
                    wanted.starts_at_ms = previous.starts_at_ms;
                }
                return Ok(Planned(vec![(wanted, matchers)]));
            }
            planned = self.plan_expire(&wanted.id, now_ms)?;
        }
        if self.silences.len() >= SILENCES_MAX {
            return Err(SilenceError::TooMany);
        }
        wanted.id = fresh_id;
        wanted.starts_at_ms = wanted.starts_at_ms.max(now_ms);
        planned.0.push((wanted, matchers));
        Ok(planned)
    }

    /// What it takes to end a silence now. Ending one that has ended changes nothing.
    ///
    /// # Errors
    /// When it is not known.
    pub(crate) fn plan_expire(&self, id: &str, now_ms: i64) -> Result<Planned, SilenceError> {
        self.refuse_file(id)?;
        let (silence, matchers) = self.silences.get(id).ok_or(SilenceError::NotFound)?;
        let mut ended = silence.clone();
        match silence.state(now_ms) {
            SilenceState::Expired => return Ok(Planned::default()),
            SilenceState::Active => {}
            SilenceState::Pending => ended.starts_at_ms = now_ms,
        }
        (ended.ends_at_ms, ended.updated_at_ms) = (now_ms, now_ms);
        Ok(Planned(vec![(ended, matchers.clone())]))
    }

    /// Puts a change into force.
    pub(crate) fn apply(&mut self, planned: Planned) {
        for (silence, matchers) in planned.0 {
            self.silences.insert(silence.id.clone(), (silence, matchers));
        }
    }

    fn refuse_file(&self, id: &str) -> Result<(), SilenceError> {
        match self.file_of(id) {
            Some(file) => Err(SilenceError::OfFile { name: file.name.clone(), file: file.file.clone() }),
            None => Ok(()),
        }
    }

    /// Forgets silences that expired long ago and returns their ids.
    pub fn collect_expired(&mut self, now_ms: i64) -> Vec<String> {
        let old = |(silence, _): &&(Silence, Vec<Matcher>)| silence.ends_at_ms + KEPT_MS < now_ms;
        let ids: Vec<_> = self.silences.values().filter(old).map(|(silence, _)| silence.id.clone()).collect();
        for id in &ids {
            self.silences.remove(id);
        }
        ids
    }
}

fn compile(matchers: &[SilenceMatcher]) -> Result<Vec<Matcher>, SilenceError> {
    let numbered = |(number, matcher): (usize, &SilenceMatcher)| {
        let invalid = |error| SilenceError::Invalid(format!("invalid label matcher {number}: {error}"));
        matcher.compile().map_err(invalid)
    };
    matchers.iter().enumerate().map(numbered).collect()
}

fn validated(silence: &Silence, now_ms: i64) -> Result<Vec<Matcher>, SilenceError> {
    let invalid = |message: String| Err(SilenceError::Invalid(message));
    if silence.ends_at_ms <= silence.starts_at_ms {
        return Err(SilenceError::WrongTimes("start time must be before end time"));
    }
    if silence.ends_at_ms < now_ms {
        return Err(SilenceError::WrongTimes("end time can't be in the past"));
    }
    if silence.matchers.is_empty() {
        return invalid("at least one matcher required".to_owned());
    }
    if silence.matchers.len() > MATCHERS_MAX {
        return invalid(format!("more than {MATCHERS_MAX} matchers"));
    }
    let matchers = compile(&silence.matchers)?;
    if matchers.iter().all(takes_everything) {
        return invalid("at least one matcher must not match the empty string".to_owned());
    }
    Ok(matchers)
}

/// Whether a matcher takes absent labels, and so almost every alert. One that says which alerts it
/// does not take is meant so.
fn takes_everything(matcher: &Matcher) -> bool {
    matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) && matcher.matches_empty()
}

/// Whether `wanted` is the same silence with other words or another end.
fn may_update(previous: &Silence, wanted: &Silence, now_ms: i64) -> bool {
    if previous.matchers != wanted.matchers {
        return false;
    }
    match previous.state(now_ms) {
        // A client that read the start in whole seconds still means the same one.
        SilenceState::Active => {
            previous.starts_at_ms.abs_diff(wanted.starts_at_ms) < 1000 && wanted.ends_at_ms >= now_ms
        }
        SilenceState::Pending => wanted.starts_at_ms >= now_ms,
        SilenceState::Expired => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Silences {
        pub(super) fn set(
            &mut self,
            wanted: Silence,
            id: String,
            now_ms: i64,
        ) -> Result<Vec<Silence>, SilenceError> {
            let planned = self.plan_set(wanted, id, now_ms)?;
            let changed = planned.silences().cloned().collect();
            self.apply(planned);
            Ok(changed)
        }

        pub(super) fn expire(&mut self, id: &str, now_ms: i64) -> Result<Option<Silence>, SilenceError> {
            let planned = self.plan_expire(id, now_ms)?;
            let changed = planned.silences().next().cloned();
            self.apply(planned);
            Ok(changed)
        }
    }

    pub(super) fn silence_of(id: &str, matchers: &str, starts_at_ms: i64, ends_at_ms: i64) -> Silence {
        let matchers = crate::matchers::parse_matchers(matchers).unwrap();
        let written = |matcher: &Matcher| SilenceMatcher {
            name: matcher.name().to_owned(),
            value: matcher.value().to_owned(),
            is_regex: matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex),
            is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex),
        };
        let matchers = matchers.iter().map(written).collect();
        Silence { id: id.into(), matchers, ..silence("", starts_at_ms, ends_at_ms) }
    }

    fn silence(value: &str, starts_at_ms: i64, ends_at_ms: i64) -> Silence {
        let matcher =
            SilenceMatcher { name: "alertname".into(), value: value.into(), is_regex: false, is_equal: true };
        Silence {
            id: String::new(),
            matchers: vec![matcher],
            starts_at_ms,
            ends_at_ms,
            updated_at_ms: 0,
            created_by: "on call".into(),
            comment: "work".into(),
            dormant: false,
        }
    }

    #[test]
    fn life_of_a_silence() {
        let mut silences = Silences::default();
        let labels = Labels::from_pairs([("alertname", "a")]);
        silences.set(silence("a", 20, 100), "1".into(), 10).unwrap();
        let begun_now = silences.set(silence("other", 0, 100), "0".into(), 10).unwrap();
        assert_eq!(begun_now[0].starts_at_ms, 10);
        assert!(silences.muting(&labels, 10).is_empty());
        assert_eq!(silences.muting(&labels, 20), ["1"]);
        assert!(silences.muting(&labels, 100).is_empty());
        silences.expire("1", 50).unwrap();
        assert_eq!(silences.get("1").unwrap().state(50), SilenceState::Expired);
        assert_eq!(silences.expire("1", 60), Ok(None));
        assert_eq!(silences.expire("2", 60), Err(SilenceError::NotFound));
        assert_eq!(silences.collect_expired(50 + KEPT_MS), [""; 0]);
        assert_eq!(silences.collect_expired(51 + KEPT_MS), ["1"]);
    }

    #[test]
    fn changes_keep_the_id_only_when_the_silence_is_the_same() {
        let mut silences = Silences::default();
        silences.set(silence("a", 5, 100), "1".into(), 10).unwrap();
        assert_eq!(silences.get("1").unwrap().starts_at_ms, 10, "a past start is now");
        let with_id = |value: &str, start, end| Silence { id: "1".into(), ..silence(value, start, end) };
        let changed = silences.set(with_id("a", 10, 50), "2".into(), 20).unwrap();
        assert_eq!((changed.len(), changed[0].id.as_str(), changed[0].ends_at_ms), (1, "1", 50));
        let changed = silences.set(with_id("b", 10, 50), "2".into(), 30).unwrap();
        assert_eq!(
            changed.iter().map(|s| (s.id.as_str(), s.starts_at_ms, s.ends_at_ms)).collect::<Vec<_>>(),
            [("1", 10, 30), ("2", 30, 50)]
        );
        let unknown = Silence { id: "9".into(), ..silence("a", 40, 50) };
        assert_eq!(silences.set(unknown, "3".into(), 40), Err(SilenceError::NotFound));
    }

    #[test]
    fn malformed_silences_are_refused() {
        let mut silences = Silences::default();
        let of = |name: &str, value: &str, is_regex| {
            let matcher = SilenceMatcher { name: name.into(), value: value.into(), is_regex, is_equal: true };
            Silence { matchers: vec![matcher], ..silence("", 10, 20) }
        };
        for (bad, expected) in [
            (silence("a", 20, 10), "Failed to create silence: start time must be before end time"),
            (silence("a", 1, 5), "Failed to create silence: end time can't be in the past"),
            (silence("", 10, 20), "silence invalid: at least one matcher must not match the empty string"),
            (of("", "b", false), "silence invalid: invalid label matcher 0: invalid label name \"\""),
            (
                of("a", "(", true),
                "silence invalid: invalid label matcher 0: invalid regular expression \"(\": ",
            ),
            (Silence { matchers: vec![], ..silence("a", 10, 20) }, "silence invalid: at least one matcher"),
        ] {
            let error = silences.set(bad, "1".into(), 8).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_silence_may_be_for_everything_but_some_alerts() {
        for (matchers, is_taken) in [
            (r#"alertname!~"a|b""#, true),
            ("x!=y", true),
            (r#"x!="""#, true),
            (r#"x="",y!=z"#, true),
            (r#"x="",y=~".*""#, false),
        ] {
            let set = Silences::default().set(silence_of("", matchers, 10, 20), "1".into(), 8);
            assert_eq!(set.is_ok(), is_taken, "{matchers}: {set:?}");
        }
    }
}
