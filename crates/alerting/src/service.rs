//! The running whole: rules, dispatcher, journal and deliveries behind one handle.

use crate::{
    config::Config,
    dispatch::{AlertView, Dispatcher, GroupView, PostError, PostedAlert, ingest},
    journal::{Journal, JournalError, Table},
    metrics::Metrics,
    notify::deliver::Means,
    owner::{Owner, OwnerError},
    problem::{Problem, Problems},
    querier::{Querier, SampleSink},
    rules::{DEFAULT_INTERVAL_MS, Environment, Group, LoadedRules, RuleEngine, parse_rules, read_files},
    silence::{Silence, SilenceError},
};
use model::Labels;
use std::{
    hash::{BuildHasher, Hasher},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// What alerting is told by its user.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Rule files, or folders of them.
    pub rules: Vec<PathBuf>,
    /// Rule files that come with the program: name and text.
    pub built_in_rules: Vec<(String, String)>,
    /// Between evaluations of groups that do not say; 0 for a minute, as Prometheus has it.
    pub evaluation_interval_ms: i64,
    /// A file in Alertmanager's format; without one, alerts are recorded and nobody is told.
    pub alertmanager_config: Option<PathBuf>,
    /// Where the journal is kept.
    pub state_dir: PathBuf,
    /// Where people reach this server, for links.
    pub external_url: String,
    /// `$externalLabels` of templates.
    pub external_labels: Labels,
}

/// What alerting is given by the process.
#[derive(Clone)]
pub struct Parts {
    /// Answers expressions.
    pub querier: Arc<dyn Querier>,
    /// Takes recorded series.
    pub sink: Arc<dyn SampleSink>,
    /// Makes webhook requests; follows no redirects.
    pub client: reqwest::Client,
    /// Reads the wall clock, in milliseconds.
    pub clock: fn() -> i64,
}

/// Why alerting did not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error(transparent)]
    Problems(#[from] Problems),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("failed to start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a silence was not changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SilenceChangeError {
    #[error(transparent)]
    Silence(#[from] SilenceError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
}

/// What the last reload came to.
#[derive(Clone, Debug, Default)]
pub struct ReloadStatus {
    /// When.
    pub at_ms: i64,
    /// What was wrong; the revision before it is in force then.
    pub problems: Vec<Problem>,
    /// What is suspicious in the revision in force.
    pub warnings: Vec<Problem>,
}

/// See the module.
pub struct Alerting {
    settings: Settings,
    parts: Parts,
    owner: Owner,
    engine: RuleEngine,
    metrics: Metrics,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Changes of the set of rules, one at a time.
    changing: tokio::sync::Mutex<()>,
    /// Rules that come with the program: those of the settings at first.
    built_in: Mutex<Vec<(String, String)>>,
    reload: Mutex<ReloadStatus>,
    started_ms: i64,
}

impl Alerting {
    /// Reads rules and configuration, opens the journal and starts evaluating. Call it within a
    /// tokio runtime.
    ///
    /// # Errors
    /// When a file has problems or the journal cannot be opened.
    pub async fn start(
        settings: Settings,
        parts: Parts,
        own: &daemon::metrics::Metrics,
    ) -> Result<Self, StartError> {
        let (loaded, config) = read_in_background(settings.clone(), parts.querier.clone()).await?;
        let started_ms = (parts.clock)();
        let journal = Journal::open(&settings.state_dir)?;
        let records = journal.load(Table::RuleGroups)?.into_iter().collect();
        let dispatcher = Dispatcher::restored(Arc::new(config), &journal, started_ms)?;
        let metrics = Metrics::default();
        metrics.register(own);
        let means = Means {
            client: parts.client.clone(),
            external_url: settings.external_url.clone(),
            metrics: metrics.clone(),
            clock: parts.clock,
        };
        let (owner, thread) = Owner::start(dispatcher, journal, means, tokio::runtime::Handle::current())?;
        let environment = Environment {
            querier: parts.querier.clone(),
            sink: parts.sink.clone(),
            external_url: settings.external_url.clone(),
            external_labels: settings.external_labels.clone(),
        };
        let engine = RuleEngine::new(environment, owner.clone(), metrics.clone(), parts.clock);
        let reload =
            ReloadStatus { at_ms: started_ms, problems: Vec::new(), warnings: loaded.warnings.clone() };
        engine.start(loaded, records).await;
        metrics.reloaded(true);
        let built_in = Mutex::new(settings.built_in_rules.clone());
        Ok(Alerting {
            settings,
            parts,
            owner,
            engine,
            metrics,
            thread: Mutex::new(Some(thread)),
            changing: tokio::sync::Mutex::default(),
            built_in,
            reload: Mutex::new(reload),
            started_ms,
        })
    }

    /// Reads rules and configuration again. All of it is good, or nothing changes.
    ///
    /// # Errors
    /// Every problem found.
    pub async fn reload(&self) -> Result<(), Problems> {
        let _one_at_a_time = self.changing.lock().await;
        let at_ms = (self.parts.clock)();
        let mut settings = self.settings.clone();
        settings.built_in_rules.clone_from(&self.built_in.lock().unwrap_or_else(PoisonError::into_inner));
        let read = read_in_background(settings, self.parts.querier.clone()).await;
        self.metrics.reloaded(read.is_ok());
        let (loaded, config) = match read {
            Ok(read) => read,
            Err(problems) => {
                let mut status = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
                status.at_ms = at_ms;
                status.problems.clone_from(&problems.0);
                return Err(problems);
            }
        };
        let warnings = loaded.warnings.clone();
        self.engine.replace(loaded).await;
        let config = Arc::new(config);
        let taken = self.owner.act(move |dispatcher, _, now_ms| dispatcher.reload(config, now_ms)).await;
        if let Err(error) = taken {
            let file = self.settings.alertmanager_config.clone().unwrap_or_default();
            let message = error.to_string();
            let problem = Problem { file: file.display().to_string(), line: 0, column: 0, message };
            return Err(Problems(vec![problem]));
        }
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) =
            ReloadStatus { at_ms, problems: Vec::new(), warnings };
        Ok(())
    }

    /// Replaces the rules that come with the program; files and routes are not read again.
    ///
    /// # Errors
    /// Every problem found; the rules before stay in force then.
    pub async fn replace_built_in(&self, rules: Vec<(String, String)>) -> Result<(), Problems> {
        let _one_at_a_time = self.changing.lock().await;
        let alone = Settings { rules: Vec::new(), built_in_rules: rules.clone(), ..self.settings.clone() };
        let querier = self.parts.querier.clone();
        let read = in_background(move || read_rules(&alone, querier.as_ref()));
        let mut loaded = read.await?;
        let before =
            std::mem::replace(&mut *self.built_in.lock().unwrap_or_else(PoisonError::into_inner), rules);
        let groups = self.engine.groups();
        let is_own = |group: &&Arc<Group>| before.iter().all(|(file, _)| *file != group.definition.file);
        loaded.groups.extend(groups.iter().filter(is_own).map(|group| group.definition.as_ref().clone()));
        self.engine.replace(loaded).await;
        Ok(())
    }

    /// What the last reload came to.
    pub fn reload_status(&self) -> ReloadStatus {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every rule group as it was after its last evaluation, by file and name.
    pub fn rules(&self) -> Vec<Arc<Group>> {
        self.engine.groups()
    }

    /// When alerting started.
    pub fn started_ms(&self) -> i64 {
        self.started_ms
    }

    /// Alerts that are not over.
    ///
    /// # Errors
    /// When alerting is busy or has stopped.
    pub async fn alerts(&self) -> Result<Vec<AlertView>, OwnerError> {
        self.owner.read(Dispatcher::alerts).await
    }

    /// Groups with an alert that is not over.
    ///
    /// # Errors
    /// As [`Alerting::alerts`].
    pub async fn groups(&self) -> Result<Vec<GroupView>, OwnerError> {
        self.owner.read(Dispatcher::groups).await
    }

    /// The notification configuration in force.
    ///
    /// # Errors
    /// As [`Alerting::alerts`].
    pub async fn config(&self) -> Result<Arc<Config>, OwnerError> {
        self.owner.read(|dispatcher, _| dispatcher.config().clone()).await
    }

    /// Takes alerts; they are durable on return. Those that are malformed are left out, and named.
    ///
    /// # Errors
    /// When alerting is busy, has stopped, or could not write.
    pub async fn post(&self, posted: Vec<PostedAlert>) -> Result<Vec<PostError>, OwnerError> {
        let take = move |dispatcher: &mut Dispatcher, now_ms: i64| {
            let timeout_ms = dispatcher.config().resolve_timeout_ms;
            let mut one = |alert| dispatcher.post(ingest(alert, timeout_ms, now_ms)?, now_ms);
            posted.into_iter().filter_map(|alert| one(alert).err()).collect()
        };
        self.owner.act(move |dispatcher, _, now_ms| take(dispatcher, now_ms)).await
    }

    /// Every silence, in order of id.
    ///
    /// # Errors
    /// As [`Alerting::alerts`].
    pub async fn silences(&self) -> Result<Vec<Silence>, OwnerError> {
        self.owner.read(|dispatcher, _| dispatcher.silences().iter().cloned().collect()).await
    }

    /// One silence.
    ///
    /// # Errors
    /// As [`Alerting::alerts`].
    pub async fn silence(&self, id: &str) -> Result<Option<Silence>, OwnerError> {
        let id = id.to_owned();
        self.owner.read(move |dispatcher, _| dispatcher.silences().get(&id).cloned()).await
    }

    /// Creates a silence (empty id) or changes one, and returns its id.
    ///
    /// # Errors
    /// When it is malformed or unknown, or alerting cannot take it now.
    pub async fn set_silence(&self, wanted: Silence) -> Result<String, SilenceChangeError> {
        let fresh = random_uuid();
        let set = self.owner.act(move |dispatcher, _, now_ms| dispatcher.set_silence(wanted, fresh, now_ms));
        Ok(set.await??)
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// When it is unknown, or alerting cannot take the change now.
    pub async fn expire_silence(&self, id: &str) -> Result<(), SilenceChangeError> {
        let id = id.to_owned();
        let expired = self.owner.act(move |dispatcher, _, now_ms| dispatcher.expire_silence(&id, now_ms));
        Ok(expired.await??)
    }

    /// Stops: no more evaluations, attempts under way get a moment to end, what is left stays in
    /// the outbox.
    pub async fn stop(&self) {
        self.engine.stop().await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let owner = self.owner.clone();
        let joined = tokio::task::spawn_blocking(move || {
            owner.stop();
            thread.join().is_ok()
        });
        if !matches!(joined.await, Ok(true)) {
            tracing::error!("the alerting thread panicked");
        }
    }
}

/// Reads rules and configuration away from the threads that serve sockets.
async fn read_in_background(
    settings: Settings,
    querier: Arc<dyn Querier>,
) -> Result<(LoadedRules, Config), Problems> {
    let read = move || {
        let rules = read_rules(&settings, querier.as_ref());
        let config =
            settings.alertmanager_config.as_deref().map_or_else(|| Ok(Config::default()), Config::load);
        match (rules, config) {
            (Ok(rules), Ok(config)) => Ok((rules, config)),
            (rules, config) => {
                let all = rules.err().into_iter().chain(config.err());
                Err(Problems(all.flat_map(|problems| problems.0).collect()))
            }
        }
    };
    in_background(read).await
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
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
    let given_ms = settings.evaluation_interval_ms;
    let interval_ms = if given_ms > 0 { given_ms } else { DEFAULT_INTERVAL_MS };
    let mut loaded = LoadedRules::with_default_interval(interval_ms);
    let mut problems = Vec::new();
    read_files(&settings.rules, querier, &mut loaded, &mut problems);
    for (name, text) in &settings.built_in_rules {
        parse_rules(name, text, querier, &mut loaded, &mut problems);
    }
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

/// A version 4 UUID from the randomness that the standard library seeds its hash maps with.
fn random_uuid() -> String {
    let random = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests;
