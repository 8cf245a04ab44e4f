//! Rules from git repositories: looked at in intervals and when a webhook says so, judged as a
//! whole with all other rules, and taken or refused as a whole.
//!
//! A repository can be broken, hostile, huge or away. Whatever it is, rules in force go on: they
//! are changed only by [`Alerting::offer`], which takes a revision entirely or not at all and keeps
//! the last good one in the journal, from which the next start goes on without the repository.
//!
//! Bounds: one fetch at a time for each repository, those of [`fetch`] and [`command`];
//! [`PROBLEMS_MAX`] problems are kept of a refused revision; a webhook is heeded at most every
//! [`HOOK_PAUSE`].

mod command;
mod config;
mod fetch;
mod hook;
mod metrics;

pub use config::{GitSource, RuleSource};
pub(crate) use config::{Repository, split};
pub(crate) use hook::{HookError, verify};

use alerting::{Alerting, Offer, Problem};
use daemon::{Shutdown, clock};
use fetch::{FetchError, Files, fetch, head};
use metrics::GitMetrics;
use serde::Serialize;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Problems of a refused revision that are kept.
const PROBLEMS_MAX: usize = 20;
/// Between two looks that webhooks ask for.
const HOOK_PAUSE: Duration = Duration::from_secs(2);

/// How a repository stands, as the API shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) branch: Option<String>,
    pub(crate) subfolder: String,
    /// The revision whose rules are in force.
    pub(crate) revision: Option<String>,
    /// When it was taken.
    pub(crate) taken_at_ms: Option<i64>,
    /// Its rule files.
    pub(crate) files: usize,
    /// When the repository was last seen.
    pub(crate) seen_at_ms: Option<i64>,
    /// The newest revision seen.
    pub(crate) newest_revision: Option<String>,
    /// Why the newest revision is not in force.
    pub(crate) problems: Vec<ProblemJson>,
    /// Why the repository could not be seen.
    pub(crate) error: Option<String>,
}

/// A problem as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProblemJson {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl From<&Problem> for ProblemJson {
    fn from(problem: &Problem) -> Self {
        let Problem { file, line, column, message } = problem.clone();
        ProblemJson { file, line, column, message }
    }
}

/// One repository at work.
struct Source {
    repository: Repository,
    status: Mutex<Status>,
    look_now: Notify,
}

/// Every repository. Clones share them.
#[derive(Clone)]
pub(crate) struct RuleRepositories {
    sources: Arc<[Arc<Source>]>,
}

impl RuleRepositories {
    /// The repositories before anything was fetched.
    pub(crate) fn new(repositories: Vec<Repository>) -> Self {
        let source = |repository: Repository| {
            let status = Status {
                name: repository.name.clone(),
                url: repository.shown_url(),
                branch: repository.branch.clone(),
                subfolder: repository.subfolder.clone(),
                ..Status::default()
            };
            Arc::new(Source { repository, status: Mutex::new(status), look_now: Notify::new() })
        };
        RuleRepositories { sources: repositories.into_iter().map(source).collect() }
    }

    /// How alerting calls them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.repository.source()).collect()
    }

    /// How each stands.
    pub(crate) fn status(&self) -> Vec<Status> {
        self.sources.iter().map(|source| source.status()).collect()
    }

    /// The repository of a name.
    pub(crate) fn find(&self, name: &str) -> Option<&Repository> {
        self.sources.iter().map(|source| &source.repository).find(|repository| repository.name == name)
    }

    /// Looks at a repository soon.
    pub(crate) fn look_now(&self, name: &str) {
        if let Some(source) = self.sources.iter().find(|source| source.repository.name == name) {
            source.look_now.notify_one();
        }
    }

    /// Starts to look, until `shutdown`. `scratch` is a folder for what is fetched.
    pub(crate) fn start(
        &self,
        alerting: &Arc<Alerting>,
        own: &daemon::metrics::Metrics,
        scratch: PathBuf,
        shutdown: &Shutdown,
    ) {
        if self.sources.is_empty() {
            return;
        }
        let metrics = GitMetrics::register(own);
        for source in self.sources.iter() {
            // Counts from now, so that a repository that is never reached is noticed.
            metrics.seen(&source.repository.name, clock::now_ms());
            source.update(|status| {
                if let Some((revision, taken_at_ms, files)) = alerting.offered(&source.repository.source()) {
                    (status.revision, status.taken_at_ms) = (Some(revision), Some(taken_at_ms));
                    status.files = files;
                }
            });
            let looker = Looker {
                source: source.clone(),
                alerting: alerting.clone(),
                metrics: metrics.clone(),
                scratch: scratch.join(&source.repository.name),
            };
            tokio::spawn(looker.run(shutdown.clone()));
        }
    }
}

impl Source {
    fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a look found.
enum Found {
    Unchanged,
    New(String, Files),
}

/// Looks at one repository again and again.
struct Looker {
    source: Arc<Source>,
    alerting: Arc<Alerting>,
    metrics: GitMetrics,
    scratch: PathBuf,
}

impl Looker {
    async fn run(self, shutdown: Shutdown) {
        let pause = Duration::from_millis(self.source.repository.poll_interval_ms);
        let stop = Arc::new(AtomicBool::new(false));
        loop {
            tokio::select! {
                () = self.look(&stop) => {}
                () = shutdown.wait() => {
                    // Kills what git is doing; nothing of it is needed.
                    stop.store(true, Ordering::Relaxed);
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.source.look_now.notified() => tokio::time::sleep(HOOK_PAUSE).await,
                () = shutdown.wait() => return,
            }
        }
    }

    async fn look(&self, stop: &Arc<AtomicBool>) {
        let known = self.source.status().newest_revision;
        let (repository, scratch, stop) =
            (self.source.repository.clone(), self.scratch.clone(), stop.clone());
        let looked =
            tokio::task::spawn_blocking(move || look(&repository, &scratch, known.as_deref(), &stop)).await;
        match looked {
            Ok(Ok(Found::Unchanged)) => self.seen(None),
            Ok(Ok(Found::New(id, files))) => self.offer(id, files).await,
            Ok(Err(FetchError::Unusable { id, problems })) => {
                self.seen(Some(&id));
                self.refused(&id, &problems.0);
            }
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(panic) => self.failed(&format!("looking panicked: {panic}")),
        }
    }

    async fn offer(&self, id: String, files: Files) {
        let source = self.source.repository.source();
        let count = files.len();
        let files = files.into_iter().map(|(path, text)| (format!("{source}/{path}"), text)).collect();
        let now_ms = clock::now_ms();
        let offer = Offer { revision: id.clone(), at_ms: now_ms, files };
        match self.alerting.offer(&source, offer).await {
            Ok(()) => {
                tracing::info!(source, revision = id, files = count, "rules from git are in force");
                self.seen(Some(&id));
                self.source.update(|status| {
                    (status.revision, status.taken_at_ms) = (Some(id), Some(now_ms));
                    status.files = count;
                    status.problems.clear();
                });
                self.metrics.taken(&self.source.repository.name);
            }
            Err(problems) => {
                self.seen(Some(&id));
                self.refused(&id, &problems.0);
            }
        }
    }

    fn seen(&self, id: Option<&str>) {
        let now_ms = clock::now_ms();
        self.source.update(|status| {
            status.seen_at_ms = Some(now_ms);
            status.error = None;
            if let Some(id) = id {
                status.newest_revision = Some(id.to_owned());
            }
        });
        self.metrics.seen(&self.source.repository.name, now_ms);
    }

    fn refused(&self, id: &str, problems: &[Problem]) {
        let source = self.source.repository.source();
        for problem in problems.iter().take(PROBLEMS_MAX) {
            tracing::error!(source, revision = id, %problem, "a revision of rules is refused; the one before stays in force");
        }
        self.source.update(|status| {
            status.problems = problems.iter().take(PROBLEMS_MAX).map(ProblemJson::from).collect();
        });
        self.metrics.refused(&self.source.repository.name, problems);
    }

    fn failed(&self, error: &str) {
        tracing::warn!(
            source = self.source.repository.source(),
            error,
            "the repository of rules cannot be fetched; what is in force stays"
        );
        self.source.update(|status| status.error = Some(error.to_owned()));
        self.metrics.failed(&self.source.repository.name);
    }
}

/// Asks for the branch's revision and fetches one that is not known.
fn look(
    repository: &Repository,
    scratch: &std::path::Path,
    known: Option<&str>,
    stop: &AtomicBool,
) -> Result<Found, FetchError> {
    clear(scratch)?;
    if let Some(known) = known
        && head(repository, scratch, stop)? == known
    {
        return Ok(Found::Unchanged);
    }
    let fetched = fetch(repository, scratch, stop);
    clear(scratch)?;
    let (id, files) = fetched?;
    Ok(if known == Some(id.as_str()) { Found::Unchanged } else { Found::New(id, files) })
}

fn clear(scratch: &std::path::Path) -> Result<(), FetchError> {
    match std::fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FetchError::Scratch(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
