//! What the user's files say: rules, routes and receivers, silences. All of it is good, or nothing
//! of it is taken.

use super::{Alerting, Parts, ReloadStatus, Settings};
use crate::{
    config::Config,
    history::{Event, EventKind},
    metrics::{Metrics, Reloadable},
    owner::{Owner, OwnerError},
    problem::{Place, Problem, Problems},
    querier::Querier,
    rules::{self, Group, LoadedRules, Texts, rule_files},
    silence::{LoadedSilences, load_silences},
};
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

/// Between two looks at the files of silences.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// See the module.
pub struct Revision {
    pub(super) rules: LoadedRules,
    pub(super) config: Config,
    pub(super) silences: LoadedSilences,
}

impl Revision {
    /// Reads the files away from the threads that serve sockets.
    pub(super) async fn read(settings: &Settings, parts: &Parts, own: &Metrics) -> Result<Self, Problems> {
        let (settings, querier, now_ms) = (settings.clone(), parts.querier.clone(), (parts.clock)());
        let own = own.clone();
        in_background(move || {
            let rules = read_rules(&settings, querier.as_ref());
            let config =
                settings.alertmanager_config.as_deref().map_or_else(|| Ok(Config::default()), Config::load);
            let silences = load_silences(&settings.silences, now_ms);
            own.reloaded(Reloadable::Rules, rules.is_ok());
            own.reloaded(Reloadable::Routes, config.is_ok());
            own.reloaded(Reloadable::Silences, silences.is_ok());
            match (rules, config, silences) {
                (Ok(rules), Ok(config), Ok(silences)) => Ok(Revision { rules, config, silences }),
                (rules, config, silences) => {
                    let all = rules.err().into_iter().chain(config.err()).chain(silences.err());
                    Err(Problems(all.flat_map(|problems| problems.0).collect()))
                }
            }
        })
        .await
    }

    /// As [`Revision::read`], at a start: where rules are wrong, those that were good before are
    /// taken instead. Returns the texts in force and what is wrong, too.
    pub(super) async fn read_at_start(
        settings: &Settings,
        kept: Texts,
        parts: &Parts,
    ) -> Result<(Self, Texts, Vec<Problem>), Problems> {
        let (settings, querier, now_ms) = (settings.clone(), parts.querier.clone(), (parts.clock)());
        in_background(move || {
            let read = rules::read_at_start(&settings, kept, querier.as_ref());
            let config =
                settings.alertmanager_config.as_deref().map_or_else(|| Ok(Config::default()), Config::load);
            let silences = load_silences(&settings.silences, now_ms);
            match (read, config, silences) {
                (Ok((rules, texts, refused)), Ok(config), Ok(silences)) => {
                    for problem in &refused {
                        tracing::error!(%problem, "a rule file is wrong; the rules that were good before are in force");
                    }
                    Ok((Revision { rules, config, silences }, texts, refused))
                }
                (read, config, silences) => {
                    let all = read.err().into_iter().chain(config.err()).chain(silences.err());
                    Err(Problems(all.flat_map(|problems| problems.0).collect()))
                }
            }
        })
        .await
    }

    pub(super) fn warnings(&self) -> Vec<Problem> {
        self.rules.warnings.iter().chain(&self.silences.warnings).cloned().collect()
    }
}

pub(super) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

/// The rules of the settings' files, then those that come with the program.
///
/// # Errors
/// Every problem of every file.
pub fn read_rules(settings: &Settings, querier: &dyn Querier) -> Result<LoadedRules, Problems> {
    rules::read(settings, &Texts::default(), querier)
}

impl Alerting {
    /// Reads rules, configuration and silences again. All of it is good, or nothing changes.
    ///
    /// # Errors
    /// Every problem found.
    pub async fn reload(&self) -> Result<(), Problems> {
        let revision = self.read().await?;
        self.take(revision).await
    }

    /// Reads the files again and changes nothing yet. Problems are remembered as those of the last
    /// reload.
    ///
    /// # Errors
    /// Every problem found.
    pub async fn read(&self) -> Result<Revision, Problems> {
        let at_ms = (self.parts.clock)();
        let mut settings = self.settings.clone();
        settings.built_in_rules.clone_from(&self.built_in.lock().unwrap_or_else(PoisonError::into_inner));
        let read = Revision::read(&settings, &self.parts, &self.metrics).await;
        if let Err(problems) = &read {
            self.note_problems(&problems.0, at_ms);
            self.record(Event::new(EventKind::ReloadRejected, at_ms).error(problems.to_string())).await;
        }
        read
    }

    /// Replaces the rules that come with the program; files and routes are not read again.
    ///
    /// # Errors
    /// Every problem found; the rules before stay in force then.
    pub async fn replace_built_in(&self, rules: Vec<(String, String)>) -> Result<(), Problems> {
        let _one_at_a_time = self.changing.lock().await;
        let alone = Settings { rules: Vec::new(), built_in_rules: rules.clone(), ..self.settings.clone() };
        let querier = self.parts.querier.clone();
        let mut loaded = in_background(move || read_rules(&alone, querier.as_ref())).await?;
        let before =
            std::mem::replace(&mut *self.built_in.lock().unwrap_or_else(PoisonError::into_inner), rules);
        let groups = self.engine.groups();
        let is_own = |group: &&Arc<Group>| before.iter().all(|(file, _)| *file != group.definition.file);
        loaded.groups.extend(groups.iter().filter(is_own).map(|group| group.definition.as_ref().clone()));
        self.engine.replace(loaded).await;
        Ok(())
    }

    fn note_problems(&self, problems: &[Problem], at_ms: i64) {
        let mut status = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        status.at_ms = at_ms;
        status.problems = problems.to_vec();
    }

    /// Puts what was read into force. It must be run to its end: rule groups are stopped before
    /// their successors start.
    ///
    /// # Errors
    /// When alerting is busy or has stopped; nothing has changed then.
    pub async fn take(&self, revision: Revision) -> Result<(), Problems> {
        let _one_at_a_time = self.changing.lock().await;
        let warnings = revision.warnings();
        let (config, silences) = (Arc::new(revision.config), revision.silences.silences);
        let taken = self.owner.act(move |dispatcher, _, now_ms| {
            dispatcher.record(Event::new(EventKind::Reloaded, now_ms));
            dispatcher.set_file_silences(silences);
            dispatcher.reload(config, now_ms);
        });
        // What is not durable yet is in force all the same, and goes to disk with what follows.
        if let Err(error) = taken.await
            && error != OwnerError::NotDurable
        {
            let file = self.settings.alertmanager_config.clone().unwrap_or_default();
            let problem = Place::default().problem(&file.display().to_string(), error.to_string());
            return Err(Problems(vec![problem]));
        }
        let mut rules = revision.rules;
        let files = std::mem::take(&mut rules.texts);
        // What was offered is not in files, and stays.
        rules.groups.extend(self.offered_groups());
        self.engine.replace(rules).await;
        self.keep_files(files).await;
        let status = ReloadStatus { at_ms: (self.parts.clock)(), problems: Vec::new(), warnings };
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) = status;
        Ok(())
    }
}

/// What tells whether a file has changed.
type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

fn stamp(paths: &[PathBuf]) -> Stamp {
    // A file that cannot be looked at is one that differs from any other; reading it tells why.
    let files = rule_files(paths, &mut Vec::new());
    let look = |path: PathBuf| match std::fs::metadata(&path) {
        Ok(metadata) => (path, metadata.modified().ok(), metadata.len()),
        Err(_) => (path, None, 0),
    };
    files.into_iter().map(look).collect()
}

/// Takes the files of silences again whenever one has changed: maintenance is often planned in a
/// hurry. A bad file changes nothing and is told.
pub(super) fn watch_silences(
    settings: &Settings,
    owner: Owner,
    clock: fn() -> i64,
    own: &Metrics,
) -> tokio::task::AbortHandle {
    let (paths, own) = (settings.silences.clone(), own.clone());
    let task = tokio::spawn(async move {
        let mut before = stamp(&paths);
        while !paths.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = stamp(&paths);
            if now == before {
                continue;
            }
            before = now;
            let read = load_silences(&paths, clock());
            own.reloaded(Reloadable::Silences, read.is_ok());
            let taken = match read {
                Ok(loaded) => {
                    tracing::info!(silences = loaded.silences.len(), "files of silences were read again");
                    owner.act(move |dispatcher, _, _| dispatcher.set_file_silences(loaded.silences)).await
                }
                Err(problems) => {
                    tracing::error!(%problems, "files of silences were not taken; those before stay in force");
                    let event = Event::new(EventKind::ReloadRejected, clock()).error(problems.to_string());
                    owner.act(move |dispatcher, _, _| dispatcher.record(event)).await
                }
            };
            if let Err(error) = taken {
                tracing::warn!(%error, "files of silences are tried again");
                before.clear();
            }
        }
    });
    task.abort_handle()
}
