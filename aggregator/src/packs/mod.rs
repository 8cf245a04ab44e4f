//! Packs: the shipped rule files, each evaluated when there is something for it to watch.
//!
//! A pack is a file of `rules/`. Comments at its head give its title and say when it is on:
//! `# Evaluated always.`, or `# Evaluated when: SELECTOR`, a selector of series that only the
//! watched program has. Every [`watch::LOOK_INTERVAL`] the store's index is asked whether such series
//! exist; a pack goes on at once and goes off when there have been none for [`KEPT_MS`], so that
//! an exporter's outage never resolves an alert. A pack that is off is not loaded and costs that
//! one question.
//!
//! Nothing of this is kept on disk: after a restart the store itself says what was there lately.

mod head;
mod mode;
mod watch;

#[cfg(test)]
mod shipped_tests;
#[cfg(test)]
mod tests;

pub(crate) use mode::{PackMode, PackModes};
pub(crate) use watch::run;

use crate::shipped;
use head::{Head, When};
use model::TimeRange;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use store::{MetricStore, QueryContext, StoreError};

/// How long a pack stays on without its metrics.
const KEPT_MS: i64 = 24 * 3_600_000;
/// How far back a look goes: as far as an instant selector.
const LOOK_BACK_MS: i64 = 5 * 60_000;

/// A shipped rule file.
#[derive(Clone, Debug)]
pub(crate) struct Pack {
    /// The file's name without its extension.
    name: &'static str,
    text: &'static str,
    head: Head,
    mode: PackMode,
    /// When its metrics were last there.
    seen_ms: Option<i64>,
    looked: bool,
    on: bool,
}

/// A pack as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PackView {
    name: &'static str,
    title: &'static str,
    mode: PackMode,
    /// Whether its rules are evaluated.
    on: bool,
    /// The selector of the series that switch it on; `None` for a pack that always is.
    when: Option<&'static str>,
    last_seen_ms: Option<i64>,
    /// Alerting rules in it.
    alerts: usize,
}

/// Every pack and whether it is on.
pub(crate) struct Packs {
    packs: Mutex<Vec<Pack>>,
}

impl Packs {
    /// All shipped packs, none looked at yet. Those that `modes` does not name are automatic, or
    /// off when `shipped_rules` is false.
    pub(crate) fn new(modes: &PackModes, shipped_rules: bool) -> Self {
        Packs::of(shipped::rules(), |name| modes.of(name), shipped_rules)
    }

    fn of(
        files: Vec<(&'static str, &'static str)>,
        mode: impl Fn(&str) -> Option<PackMode>,
        shipped_rules: bool,
    ) -> Self {
        let otherwise = if shipped_rules { PackMode::Auto } else { PackMode::Off };
        let pack = |(name, text)| {
            let (head, mode) = (Head::of(text), mode(name).unwrap_or(otherwise));
            Pack { name, text, head, mode, seen_ms: None, looked: false, on: false }
        };
        Packs { packs: Mutex::new(files.into_iter().map(pack).collect()) }
    }

    /// Asks the store what is there, and says whether a pack went on or off. The first look goes
    /// back as far as a pack stays on without its metrics.
    pub(crate) fn look(&self, metrics: &dyn MetricStore, now_ms: i64) -> bool {
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for pack in packs.iter_mut() {
            match pack.is_there(metrics, now_ms) {
                Ok(true) => pack.seen_ms = Some(now_ms),
                Ok(false) => {}
                // Not knowing is no reason to switch.
                Err(error) => {
                    tracing::warn!(pack = pack.name, %error, "failed to look for the metrics of a rule pack");
                    continue;
                }
            }
            pack.looked = true;
            let on = pack.wanted(now_ms);
            if on != pack.on {
                tracing::info!(pack = pack.name, on, "a rule pack was switched");
                pack.on = on;
                changed = true;
            }
        }
        changed
    }

    /// Files and texts of the packs that are on.
    pub(crate) fn rules(&self) -> Vec<(String, String)> {
        let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        let on = packs.iter().filter(|pack| pack.on);
        on.map(|pack| (format!("shipped:{}.yml", pack.name), pack.text.to_owned())).collect()
    }

    /// Every pack, by name.
    pub(crate) fn views(&self) -> Vec<PackView> {
        let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs.iter().map(Pack::view).collect()
    }
}

impl Pack {
    /// Whether a series that the pack watches is there. The first look goes back further.
    fn is_there(&self, metrics: &dyn MetricStore, now_ms: i64) -> Result<bool, StoreError> {
        let matchers = match &self.head.when {
            When::Always => return Ok(true),
            When::Series { matchers, .. } if self.mode == PackMode::Auto => matchers,
            When::Series { .. } | When::Never => return Ok(false),
        };
        let back_ms = if self.looked { LOOK_BACK_MS } else { KEPT_MS };
        let range = TimeRange::new(now_ms - back_ms, now_ms);
        let found = metrics.series(std::slice::from_ref(matchers), range, 1, &QueryContext::default())?;
        Ok(!found.is_empty())
    }

    fn wanted(&self, now_ms: i64) -> bool {
        match self.mode {
            PackMode::On => true,
            PackMode::Off => false,
            PackMode::Auto => self.seen_ms.is_some_and(|seen_ms| now_ms - seen_ms <= KEPT_MS),
        }
    }

    fn view(&self) -> PackView {
        PackView {
            name: self.name,
            title: self.head.title,
            mode: self.mode,
            on: self.on,
            when: self.head.when.selector(),
            last_seen_ms: self.head.when.selector().and(self.seen_ms),
            alerts: alerts(self.text).count(),
        }
    }
}

/// Names of the alerting rules in a rule file, repeats included.
fn alerts(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("alert: "))
}
