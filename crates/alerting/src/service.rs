//! The running whole: rules, dispatcher, journal and deliveries behind one handle.

mod insight;
mod offers;
mod revision;
mod trial;

pub use insight::HistoryError;
pub use revision::{Revision, read_rules};
pub use trial::{TestError, TestOutcome};

use crate::{
    config::Config,
    dispatch::{Dispatcher, PostError, PostedAlert, ingest},
    history::{Event, Shipper},
    journal::{Journal, JournalError, Table},
    metrics::{Metrics, Reloadable},
    notify::deliver::Means,
    owner::{Owner, OwnerError},
    problem::{Problem, Problems},
    querier::{EventSink, Querier, SampleSink},
    rules::{Environment, Group, RuleEngine, Texts},
    silence::{Silence, SilenceError},
};
use model::Labels;
use std::{
    hash::{BuildHasher, Hasher},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Alerts of one transaction; between them others are served.
const POSTED_AT_ONCE: usize = 500;

/// What alerting is told by its user.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Rule files, or folders of them.
    pub rules: Vec<PathBuf>,
    /// Rule files that come with the program: name and text.
    pub built_in_rules: Vec<(String, String)>,
    /// Names of the sources that will offer rules with [`Alerting::offer`].
    pub sources: Vec<String>,
    /// Between evaluations of groups that do not say; 0 for a minute, as Prometheus has it.
    pub evaluation_interval_ms: i64,
    /// A file in Alertmanager's format; without one, alerts are recorded and nobody is told.
    pub alertmanager_config: Option<PathBuf>,
    /// Files of silences, or folders of them.
    pub silences: Vec<PathBuf>,
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
    /// Takes what happened, for the log stream; `None` keeps it in the history only.
    pub events: Option<Arc<dyn EventSink>>,
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
    /// For the history; `None` once it is closed.
    journal: Mutex<Option<Arc<Journal>>>,
    means: Means,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Changes of the set of rules, one at a time.
    changing: tokio::sync::Mutex<()>,
    /// Rules that come with the program: those of the settings at first.
    built_in: Mutex<Vec<(String, String)>>,
    shipper: Mutex<Option<Shipper>>,
    /// Looks whether the files of silences have changed.
    watch: tokio::task::AbortHandle,
    reload: Mutex<ReloadStatus>,
    /// Rules in force that came as texts.
    texts: Mutex<Texts>,
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
        let started_ms = (parts.clock)();
        let journal = Arc::new(Journal::open(&settings.state_dir)?);
        let (kept, mut text_records) = Texts::load(&journal, &settings.sources)?;
        let (revision, texts, refused) = Revision::read_at_start(&settings, kept, &parts).await?;
        let warnings = revision.warnings();
        let records = journal.load(Table::RuleGroups)?.into_iter().collect();
        let mut dispatcher = Dispatcher::restored(Arc::new(revision.config), &journal, started_ms)?;
        dispatcher.set_file_silences(revision.silences.silences);
        let metrics = Metrics::default();
        metrics.register(own);
        let means = Means {
            client: parts.client.clone(),
            querier: parts.querier.clone(),
            external_url: settings.external_url.clone(),
            metrics: metrics.clone(),
            clock: parts.clock,
        };
        let runtime = tokio::runtime::Handle::current();
        let (owner, thread) = Owner::start(dispatcher, journal.clone(), means.clone(), runtime)?;
        let shipper = match parts.events.clone() {
            Some(sink) => Some(Shipper::start(journal.clone(), sink, owner.clone(), metrics.events.clone())?),
            None => None,
        };
        let environment = Environment {
            querier: parts.querier.clone(),
            sink: parts.sink.clone(),
            external_url: settings.external_url.clone(),
            external_labels: settings.external_labels.clone(),
        };
        let engine = RuleEngine::new(environment, owner.clone(), metrics.clone(), parts.clock);
        metrics.reloaded(Reloadable::Rules, refused.is_empty());
        metrics.reloaded(Reloadable::Routes, true);
        metrics.reloaded(Reloadable::Silences, true);
        let reload = ReloadStatus { at_ms: started_ms, problems: refused, warnings };
        engine.start(revision.rules, records).await;
        text_records.push(Texts::put_files(texts.files.as_deref().unwrap_or_default(), started_ms));
        offers::keep(&owner, text_records).await;
        let built_in = Mutex::new(settings.built_in_rules.clone());
        let watch = revision::watch_silences(&settings, owner.clone(), parts.clock, &metrics);
        Ok(Alerting {
            settings,
            parts,
            owner,
            engine,
            metrics,
            journal: Mutex::new(Some(journal)),
            means,
            thread: Mutex::new(Some(thread)),
            changing: tokio::sync::Mutex::default(),
            built_in,
            shipper: Mutex::new(shipper),
            watch,
            reload: Mutex::new(reload),
            texts: Mutex::new(texts),
            started_ms,
        })
    }

    /// Whether everything that ought to run does; false after a panic.
    pub fn is_healthy(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a handle it was stopped on purpose.
        thread.as_ref().is_none_or(|thread| !thread.is_finished()) && self.engine.is_healthy()
    }

    async fn record(&self, event: Event) {
        if let Err(error) = self.owner.act(move |dispatcher, _, _| dispatcher.record(event)).await {
            tracing::debug!(%error, "an event is not in the history");
        }
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

    /// What `look` makes of the alerts, groups and silences of this moment. It runs away from the
    /// threads that serve sockets, and holds up what changes alerts for as long as it takes.
    ///
    /// # Errors
    /// When alerting is busy or has stopped.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Dispatcher, i64) -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        self.owner.read(look).await
    }

    /// The notification configuration in force.
    ///
    /// # Errors
    /// As [`Alerting::look`].
    pub async fn config(&self) -> Result<Arc<Config>, OwnerError> {
        self.owner.read(|dispatcher, _| dispatcher.config().clone()).await
    }

    /// Takes alerts; they are durable on return. Those that are malformed are left out, and named.
    ///
    /// # Errors
    /// When alerting is busy or has stopped: some may have been taken, and taking them again changes
    /// nothing. When it could not write: all are in force and told.
    pub async fn post(&self, posted: Vec<PostedAlert>) -> Result<Vec<PostError>, OwnerError> {
        let (mut refused, mut durable) = (Vec::new(), Ok(()));
        for part in posted.chunks(POSTED_AT_ONCE) {
            let part = part.to_vec();
            let take = move |dispatcher: &mut Dispatcher, now_ms: i64| -> Vec<PostError> {
                let timeout_ms = dispatcher.config().resolve_timeout_ms;
                let mut one = |alert| dispatcher.post(ingest(alert, timeout_ms, now_ms)?, now_ms);
                part.into_iter().filter_map(|alert| one(alert).err()).collect()
            };
            match self.owner.act(move |dispatcher, _, now_ms| take(dispatcher, now_ms)).await {
                Ok(of_part) => refused.extend(of_part),
                // What follows must be told too, disk or not.
                Err(OwnerError::NotDurable) => durable = Err(OwnerError::NotDurable),
                Err(error) => return Err(error),
            }
        }
        durable.map(|()| refused)
    }

    /// Every silence, in order of id.
    ///
    /// # Errors
    /// As [`Alerting::look`].
    pub async fn silences(&self) -> Result<Vec<Silence>, OwnerError> {
        self.owner.read(|dispatcher, now_ms| dispatcher.silences().views(now_ms)).await
    }

    /// One silence.
    ///
    /// # Errors
    /// As [`Alerting::look`].
    pub async fn silence(&self, id: &str) -> Result<Option<Silence>, OwnerError> {
        let id = id.to_owned();
        let find = move |dispatcher: &Dispatcher, now_ms: i64| {
            dispatcher.silences().views(now_ms).into_iter().find(|silence| silence.id == id)
        };
        self.owner.read(find).await
    }

    /// Creates a silence (empty id) or changes one, and returns its id.
    ///
    /// # Errors
    /// When it is malformed or unknown, or alerting cannot take it now.
    pub async fn set_silence(&self, wanted: Silence) -> Result<String, SilenceChangeError> {
        let fresh = random_uuid();
        let set =
            self.owner.change_silences(move |silences, now_ms| silences.plan_set(wanted, fresh, now_ms));
        Ok(set.await??)
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// When it is unknown, or alerting cannot take the change now.
    pub async fn expire_silence(&self, id: &str) -> Result<(), SilenceChangeError> {
        let id = id.to_owned();
        let expired = self.owner.change_silences(move |silences, now_ms| silences.plan_expire(&id, now_ms));
        expired.await??;
        Ok(())
    }

    /// Stops: no more evaluations, attempts under way get a moment to end, what is left stays in
    /// the outbox.
    pub async fn stop(&self) {
        self.watch.abort();
        self.engine.stop().await;
        let shipper = self.shipper.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(self.journal.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let owner = self.owner.clone();
        let joined = tokio::task::spawn_blocking(move || {
            if let Some(shipper) = shipper {
                shipper.stop();
            }
            owner.stop();
            thread.join().is_ok()
        });
        if !matches!(joined.await, Ok(true)) {
            tracing::error!("the alerting thread panicked");
        }
    }
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
