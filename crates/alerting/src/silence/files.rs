//! Silences as files, kept in git: planned and recurring maintenance, each with an owner, a reason
//! and an end.
//!
//! All files are read as a whole: every problem is told with its place, and nothing changes then.
//! Silences from files cannot be changed through the API; their ids follow from their names.

use super::{Silence, SilenceMatcher, takes_everything};
use crate::{
    matchers::parse_matchers,
    problem::{Place, Problem, Problems, parse_yaml_file, read_file},
    rules::rule_files,
    time_interval::{IntervalYaml, TimeInterval},
    timestamp,
};
use model::{MatchOp, Matcher};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, path::PathBuf};

/// Most silences in all files.
const SILENCES_MAX: usize = 10_000;

/// A silence of a file.
#[derive(Clone, Debug)]
pub struct FileSilence {
    /// As the API shows it.
    pub silence: Silence,
    /// The file.
    pub file: String,
    /// Its name there.
    pub name: String,
    pub(super) matchers: Vec<Matcher>,
    /// It mutes only then.
    schedule: Option<TimeInterval>,
}

/// What the files hold, and what about them is suspicious.
#[derive(Clone, Debug, Default)]
pub struct LoadedSilences {
    /// In order of file and place.
    pub silences: Vec<FileSilence>,
    /// Such as one that has expired.
    pub warnings: Vec<Problem>,
}

impl FileSilence {
    /// Whether it mutes at `now_ms`.
    pub(super) fn is_active(&self, now_ms: i64) -> bool {
        let silence = &self.silence;
        (silence.starts_at_ms..silence.ends_at_ms).contains(&now_ms)
            && self.schedule.as_ref().is_none_or(|schedule| schedule.contains(now_ms))
    }

    /// As the API shows it at `now_ms`: outside its schedule it waits.
    pub(super) fn view(&self, now_ms: i64) -> Silence {
        let waits = !self.is_active(now_ms) && now_ms < self.silence.ends_at_ms;
        Silence { dormant: waits, ..self.silence.clone() }
    }

    /// Whether four fifths of its time have passed: somebody should look whether it is still
    /// wanted.
    pub(super) fn is_expiring(&self, now_ms: i64) -> bool {
        let silence = &self.silence;
        let life_ms = silence.ends_at_ms.saturating_sub(silence.starts_at_ms);
        now_ms < silence.ends_at_ms && now_ms >= silence.ends_at_ms.saturating_sub(life_ms / 5)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileYaml {
    silences: Vec<Spanned<SilenceYaml>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceYaml {
    name: Spanned<String>,
    matchers: Vec<Spanned<String>>,
    owner: String,
    reason: String,
    ticket: Option<String>,
    starts: Option<Spanned<String>>,
    expires: Spanned<String>,
    #[serde(default)]
    schedule: Vec<IntervalYaml>,
}

/// Reads every file among `paths`; a folder stands for its `*.yml` and `*.yaml` files.
///
/// # Errors
/// Every problem of every file.
pub fn load_silences(paths: &[PathBuf], now_ms: i64) -> Result<LoadedSilences, Problems> {
    let mut problems = Vec::new();
    let mut loaded = LoadedSilences::default();
    let mut names = BTreeMap::new();
    for path in rule_files(paths, &mut problems) {
        let file = path.display().to_string();
        let text = read_file(&path).map_err(|problem| vec![problem]);
        let parsed = text.and_then(|text| parse_yaml_file::<FileYaml>(&text, &file));
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(mistakes) => {
                problems.extend(mistakes);
                continue;
            }
        };
        for written in &parsed.silences {
            match written.value.build(&file, Place::of(written), now_ms) {
                Ok(silence) => keep(silence, written, &mut names, &mut loaded, &mut problems, now_ms),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if loaded.silences.len() > SILENCES_MAX {
        let message = format!("more than {SILENCES_MAX} silences in files");
        problems.push(Place::default().problem("silences", message));
    }
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

fn keep(
    silence: FileSilence,
    written: &Spanned<SilenceYaml>,
    names: &mut BTreeMap<String, String>,
    loaded: &mut LoadedSilences,
    problems: &mut Vec<Problem>,
    now_ms: i64,
) {
    let place = Place::of(&written.value.name);
    if let Some(other) = names.insert(silence.name.clone(), silence.file.clone()) {
        let message = format!("silence `{}` stands in `{other}` already", silence.name);
        problems.push(place.problem(&silence.file, message));
    }
    if silence.silence.ends_at_ms <= now_ms {
        let at = timestamp::millis(silence.silence.ends_at_ms);
        let owner = &written.value.owner;
        let message = format!("silence `{}` of {owner} expired at {at}; remove it", silence.name);
        loaded.warnings.push(place.problem(&silence.file, message));
    }
    loaded.silences.push(silence);
}

impl SilenceYaml {
    fn build(&self, file: &str, place: Place, now_ms: i64) -> Result<FileSilence, Problem> {
        for (field, text) in [("name", &self.name.value), ("owner", &self.owner), ("reason", &self.reason)] {
            if text.trim().is_empty() {
                return Err(place.problem(file, format!("`{field}` of a silence must not be empty")));
            }
        }
        let mut matchers = Vec::new();
        for text in &self.matchers {
            let read = parse_matchers(&text.value);
            matchers.extend(read.map_err(|error| Place::of(text).problem(file, error))?);
        }
        if matchers.iter().all(takes_everything) {
            let name = &self.name.value;
            let message = format!("silence `{name}`: at least one matcher must not match the empty string");
            return Err(place.problem(file, message));
        }
        let starts_at_ms = self.starts.as_ref().map_or(Ok(0), |at| instant(file, at))?;
        let ends_at_ms = instant(file, &self.expires)?;
        if ends_at_ms <= starts_at_ms {
            return Err(Place::of(&self.expires).problem(file, "`expires` must be later than `starts`"));
        }
        let mut comment = self.reason.clone();
        if let Some(ticket) = &self.ticket {
            comment.push_str(&format!(" ({ticket})"));
        }
        let schedule = TimeInterval::of(self.name.value.clone(), &self.schedule, file)?;
        Ok(FileSilence {
            silence: Silence {
                id: id_of(&self.name.value),
                matchers: matchers.iter().map(shown).collect(),
                starts_at_ms,
                ends_at_ms,
                updated_at_ms: now_ms,
                created_by: self.owner.clone(),
                comment,
                dormant: false,
            },
            file: file.to_owned(),
            name: self.name.value.clone(),
            matchers,
            schedule: (!self.schedule.is_empty()).then_some(schedule),
        })
    }
}

fn shown(matcher: &Matcher) -> SilenceMatcher {
    SilenceMatcher {
        name: matcher.name().to_owned(),
        value: matcher.value().to_owned(),
        is_regex: matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex),
        is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex),
    }
}

fn instant(file: &str, at: &Spanned<String>) -> Result<i64, Problem> {
    let parsed = timestamp::parse(&at.value).map_err(|error| Place::of(at).problem(file, error))?;
    parsed.ok_or_else(|| Place::of(at).problem(file, "a time must be given"))
}

/// A UUID (version 8) that follows from the name, so that a silence keeps it over restarts.
fn id_of(name: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_128(name.as_bytes());
    let hex = format!("{hash:032x}");
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silence::{SilenceError, SilenceState, Silences};
    use model::Labels;

    const DAY: i64 = 86_400_000;

    fn load(text: &str, now_ms: i64) -> Result<LoadedSilences, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.yml");
        std::fs::write(&path, text).unwrap();
        load_silences(std::slice::from_ref(&path), now_ms)
            .map_err(|problems| problems.to_string().replace(&path.display().to_string(), "s.yml"))
    }

    const BACKUP: &str = "silences:\n- name: backup\n  matchers: ['instance=~\"db-.*\"', alertname!=Down]\n  owner: dba\n  \
        reason: backups\n  ticket: OPS-1\n  expires: 1970-02-01T00:00:00Z\n  schedule: [{times: [{start_time: '02:00', end_time: '04:00'}]}]\n";

    #[test]
    fn recurring_maintenance_mutes_at_its_time_only() {
        let mut silences = Silences::default();
        silences.set_files(load(BACKUP, 0).unwrap().silences);
        let db = Labels::from_pairs([("alertname", "DiskSlow"), ("instance", "db-1")]);
        let down = Labels::from_pairs([("alertname", "Down"), ("instance", "db-1")]);
        let hour = DAY / 24;
        for (at, labels, muted) in [
            (hour, &db, false),
            (2 * hour, &db, true),
            (3 * hour, &down, false),
            (4 * hour, &db, false),
            (5 * DAY + 3 * hour, &db, true),
            (31 * DAY + 3 * hour, &db, false),
        ] {
            assert_eq!(silences.muting(labels, at).len(), usize::from(muted), "{at} {labels}");
        }
        let state = |at| silences.views(at)[0].state(at);
        assert_eq!(
            (state(hour), state(3 * hour), state(40 * DAY)),
            (SilenceState::Pending, SilenceState::Active, SilenceState::Expired)
        );
        let shown = &silences.views(0)[0];
        assert_eq!((shown.created_by.as_str(), shown.comment.as_str()), ("dba", "backups (OPS-1)"));
        assert_eq!((shown.id.len(), shown.id.as_bytes()[14]), (36, b'8'));
        let id = shown.id.clone();
        assert!(
            matches!(silences.expire(&id, 0), Err(SilenceError::OfFile { .. })),
            "a file's silence ends in its file"
        );
    }

    #[test]
    fn forgotten_silences_are_named() {
        let late = load(BACKUP, 40 * DAY).unwrap();
        assert!(
            late.warnings[0].message.contains("`backup` of dba expired at 1970-02-01"),
            "{:?}",
            late.warnings
        );
        let mut silences = Silences::default();
        silences.set_files(load(BACKUP, 0).unwrap().silences);
        let figures = |at| {
            let figures = silences.file_figures(at);
            (figures.active, figures.waiting, figures.expiring, figures.expired)
        };
        assert_eq!(
            (figures(0), figures(30 * DAY), figures(40 * DAY)),
            ((0, 1, 0, 0), (0, 1, 1, 0), (0, 0, 0, 1))
        );
    }

    /// As through the API: who names what is not muted means it.
    #[test]
    fn all_but_some_may_be_muted() {
        let text = BACKUP.replace("['instance=~\"db-.*\"', alertname!=Down]", "[alertname!=Down]");
        let mut silences = Silences::default();
        silences.set_files(load(&text, 0).unwrap().silences);
        let muted = |name| silences.muting(&Labels::from_pairs([("alertname", name)]), 3 * DAY / 24).len();
        assert_eq!((muted("DiskSlow"), muted("Down")), (1, 0));
    }

    #[test]
    fn problems_say_where() {
        for (change, expected) in [
            (("owner: dba\n", "owner: ''\n"), "s.yml:2:3: `owner` of a silence must not be empty"),
            (("  expires: 1970-02-01T00:00:00Z\n", ""), "missing field `expires`"),
            (("expires: 1970-02-01T00:00:00Z", "expires: soon"), "`soon` is not a time"),
            (
                ("['instance=~\"db-.*\"', alertname!=Down]", "['a=~\".*\"']"),
                "s.yml:2:3: silence `backup`: at least one matcher must not match the empty string",
            ),
            (("'02:00'", "'2'"), "not a time of the form HH:MM"),
            (("ticket", "tiket"), "did you mean `ticket`"),
        ] {
            let error = load(&BACKUP.replace(change.0, change.1), 0).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let twice = format!("{BACKUP}{}", BACKUP.trim_start_matches("silences:\n"));
        assert!(load(&twice, 0).unwrap_err().contains("stands in `s.yml` already"));
    }
}
