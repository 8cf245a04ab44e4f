//! Rules that are offered from elsewhere, such as a git repository: all rules of a source are taken
//! in place of those that it offered before, or none.

use super::{Alerting, Settings, revision::in_background};
use crate::{
    journal::Change,
    owner::Owner,
    problem::Problems,
    rules::{GroupDefinition, Offer, Texts},
};
use std::sync::PoisonError;

impl Alerting {
    /// Takes all rules of `source`, whose files are named `SOURCE/…`. Rules of files, of other
    /// sources and of the program go on untouched, and so do groups that did not change.
    ///
    /// # Errors
    /// Every problem found; nothing has changed then.
    pub async fn offer(&self, source: &str, offer: Offer) -> Result<(), Problems> {
        let _one_at_a_time = self.changing.lock().await;
        let alone =
            Settings { rules: Vec::new(), built_in_rules: offer.files.clone(), ..self.settings.clone() };
        let querier = self.parts.querier.clone();
        let mut loaded = in_background(move || super::read_rules(&alone, querier.as_ref())).await?;
        let groups = self.engine.groups();
        let others = groups.iter().filter(|group| !is_of(source, &group.definition.file));
        loaded.groups.extend(others.map(|group| group.definition.as_ref().clone()));
        self.engine.replace(loaded).await;
        keep(&self.owner, vec![Texts::put(source, &offer)]).await;
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.offers.insert(source.to_owned(), offer);
        Ok(())
    }

    /// The revision of `source` in force, when it was taken, and how many files it has.
    pub fn offered(&self, source: &str) -> Option<(String, i64, usize)> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.offers.get(source).map(|offer| (offer.revision.clone(), offer.at_ms, offer.files.len()))
    }

    /// Groups in force that were offered.
    pub(super) fn offered_groups(&self) -> Vec<GroupDefinition> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = self.engine.groups();
        let is_offered = |file: &str| texts.offers.keys().any(|source| is_of(source, file));
        let offered = groups.iter().filter(|group| is_offered(&group.definition.file));
        offered.map(|group| group.definition.as_ref().clone()).collect()
    }

    /// Keeps what rule files held when they were taken, for a start at which they are wrong.
    pub(super) async fn keep_files(&self, files: Vec<(String, String)>) {
        keep(&self.owner, vec![Texts::put_files(&files, (self.parts.clock)())]).await;
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).files = Some(files);
    }
}

fn is_of(source: &str, file: &str) -> bool {
    file.strip_prefix(source).is_some_and(|rest| rest.starts_with('/'))
}

/// Makes records durable; without them only the next start is worse off.
pub(super) async fn keep(owner: &Owner, records: Vec<Change>) {
    if let Err(error) = owner.act(move |_, changes, _| changes.extend(records)).await {
        tracing::error!(%error, "rules in force were not kept for the next start");
    }
}
