//! Rules as texts: those that were offered from elsewhere (a git repository), and those of files
//! as they were when they were last good.
//!
//! Both are kept in the journal, so that a start does not hang on what a repository or a folder
//! holds at that moment: what was good goes on, what is wrong is told.

use super::load::{LoadedRules, parse_rules, read_files};
use crate::{
    journal::{Change, Journal, JournalError, Table},
    problem::{Problem, Problems},
    querier::Querier,
    rules::DEFAULT_INTERVAL_MS,
    service::Settings,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The journal's key of the files' texts.
const FILES: &str = "files";

/// All rule files of one source at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What the source calls it.
    pub revision: String,
    /// When it was offered.
    pub at_ms: i64,
    /// Name and text of each file; names begin with the source's.
    pub files: Vec<(String, String)>,
}

/// Rules in force that are known as texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    /// By source.
    pub(crate) offers: BTreeMap<String, Offer>,
    /// What the files held; `None` to read them.
    pub(crate) files: Option<Vec<(String, String)>>,
}

impl Texts {
    /// What the journal holds of `sources`, and the removal of what it holds of others.
    pub(crate) fn load(journal: &Journal, sources: &[String]) -> Result<(Self, Vec<Change>), JournalError> {
        let mut offers: BTreeMap<String, Offer> = journal.load(Table::RuleTexts)?.into_iter().collect();
        let files = offers.remove(FILES).map(|offer| offer.files);
        let (offers, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            offers.into_iter().partition(|(source, _)| sources.contains(source));
        let removals = gone.into_keys().map(|source| Change::remove(Table::RuleTexts, source)).collect();
        Ok((Texts { offers, files }, removals))
    }

    /// The record of an offer.
    pub(crate) fn put(source: &str, offer: &Offer) -> Change {
        Change::put(Table::RuleTexts, source, offer)
    }

    /// The record of what the files hold.
    pub(crate) fn put_files(files: &[(String, String)], at_ms: i64) -> Change {
        let offer = Offer { revision: String::new(), at_ms, files: files.to_vec() };
        Change::put(Table::RuleTexts, FILES, &offer)
    }
}

/// The rules of files, of offers, and those that come with the program.
///
/// # Errors
/// Every problem of every file.
pub(crate) fn read(
    settings: &Settings,
    texts: &Texts,
    querier: &dyn Querier,
) -> Result<LoadedRules, Problems> {
    let given_ms = settings.evaluation_interval_ms;
    let interval_ms = if given_ms > 0 { given_ms } else { DEFAULT_INTERVAL_MS };
    let mut loaded = LoadedRules::with_default_interval(interval_ms);
    let mut problems = Vec::new();
    match &texts.files {
        None => read_files(&settings.rules, querier, &mut loaded, &mut problems),
        Some(files) => {
            for (name, text) in files {
                parse_rules(name, text, querier, &mut loaded, &mut problems);
            }
            loaded.texts.clone_from(files);
        }
    }
    let offered = texts.offers.values().flat_map(|offer| &offer.files);
    for (name, text) in offered.chain(&settings.built_in_rules) {
        parse_rules(name, text, querier, &mut loaded, &mut problems);
    }
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

/// As [`read`], at a start: what is wrong makes room for what was good before. Returns the rules,
/// the texts in force, and the problems of what is not.
///
/// # Errors
/// Every problem, when files are wrong and nothing good of them is known.
pub(crate) fn read_at_start(
    settings: &Settings,
    mut texts: Texts,
    querier: &dyn Querier,
) -> Result<(LoadedRules, Texts, Vec<Problem>), Problems> {
    let kept = texts.files.take();
    let mut refused = Vec::new();
    let files = match read(settings, &Texts::default(), querier) {
        Ok(good) => good.texts,
        Err(problems) => {
            let Some(kept) = kept else { return Err(problems) };
            refused.extend(problems.0);
            kept
        }
    };
    let in_force = Texts { offers: BTreeMap::new(), files: Some(files) };
    let mut good = in_force.clone();
    for (source, offer) in texts.offers {
        // A later release may be stricter than the one that took the offer.
        let alone = Texts { offers: [(source.clone(), offer.clone())].into(), ..in_force.clone() };
        match read(settings, &alone, querier) {
            Ok(_) => drop(good.offers.insert(source, offer)),
            Err(problems) => refused.extend(problems.0),
        }
    }
    Ok((read(settings, &good, querier)?, good, refused))
}
