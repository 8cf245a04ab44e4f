//! Which agents report, and `up{job, instance}` made of it.
//!
//! `up` is 1 while an agent reports, 0 once it has missed [`MISSED_MAX`] intervals (*lost*), and
//! ends with a staleness marker when the agent says goodbye (*left*). Lost and left are different
//! states: only a lost host is a problem.
//!
//! The list survives a restart (`agents.json` in the data folder), so a host that dies while the
//! aggregator is down is still missed. Bound: [`HOSTS_MAX`]; the longest silent one goes first.

use model::{Labels, MetricBatch, MetricKind};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Reports an agent may miss before it counts as lost.
const MISSED_MAX: i64 = 3;
/// An agent is never lost sooner than this.
const PATIENCE_MS: i64 = 15_000;
/// Most hosts remembered.
const HOSTS_MAX: usize = 50_000;
/// A host that has left is forgotten after this.
const LEFT_KEPT_MS: i64 = 24 * 3_600_000;
const FILE: &str = "agents.json";

/// What an agent says of itself with each batch.
#[derive(Clone, Debug)]
pub struct Report {
    /// Stable over restarts of the agent.
    pub agent: String,
    /// The `job` label of its metrics.
    pub job: String,
    /// The `instance` label of its metrics.
    pub instance: String,
    /// Milliseconds between its reports.
    pub interval_ms: i64,
    /// Its version.
    pub version: String,
    /// It is about to stop.
    pub goodbye: bool,
}

/// How an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It reports.
    Up,
    /// It stopped without a word.
    Lost,
    /// It said goodbye.
    Left,
}

/// One reporting host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// The agent's id.
    pub agent: String,
    /// The `job` label.
    pub job: String,
    /// The `instance` label.
    pub instance: String,
    /// Milliseconds between reports.
    pub interval_ms: i64,
    /// The agent's version.
    pub version: String,
    /// Last report, milliseconds since the epoch.
    pub last_seen_ms: i64,
    /// How it is.
    pub state: HostState,
}

#[derive(Default)]
struct Inner {
    hosts: BTreeMap<(String, String), Host>,
    /// The list on disk is older than the one in memory.
    unsaved: bool,
    /// Left since `up` was last written: owed a staleness marker.
    farewells: Vec<(String, String)>,
    /// The first report or judgement. While we were down nobody could report, so the silence of a
    /// host that was up counts from here.
    watching_since_ms: Option<i64>,
}

/// See the module.
pub struct Agents {
    inner: Mutex<Inner>,
    dir: Option<disk::Dir>,
}

impl Agents {
    /// A list that is not kept.
    pub fn in_memory() -> Self {
        Agents { inner: Mutex::default(), dir: None }
    }

    /// The list kept in `dir`. A damaged file is a warning and an empty list: hosts return with
    /// their next report.
    pub fn open(dir: disk::Dir) -> Self {
        let saved = match dir.read(FILE) {
            Ok(bytes) => serde_json::from_slice::<Vec<Host>>(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, file = FILE, "the list of hosts is damaged; starting with an empty one");
                Vec::new()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, file = FILE, "failed to read the list of hosts");
                Vec::new()
            }
        };
        let hosts = saved.into_iter().map(|host| ((host.job.clone(), host.instance.clone()), host)).collect();
        Agents { inner: Mutex::new(Inner { hosts, ..Inner::default() }), dir: Some(dir) }
    }

    /// Takes note of a report.
    pub fn report(&self, report: Report, now_ms: i64) {
        let state = if report.goodbye { HostState::Left } else { HostState::Up };
        let key = (report.job.clone(), report.instance.clone());
        let mut inner = self.lock();
        inner.watching_since_ms.get_or_insert(now_ms);
        if !inner.hosts.contains_key(&key) && inner.hosts.len() >= HOSTS_MAX {
            inner.forget_longest_silent();
        }
        let before = inner.hosts.get(&key).map(|host| (host.state, host.agent.clone()));
        if state == HostState::Left && before.as_ref().is_none_or(|(before, _)| *before != HostState::Left) {
            inner.farewells.push(key.clone());
        }
        inner.unsaved |= before.is_none_or(|before| before != (state, report.agent.clone()));
        let host = Host {
            agent: report.agent,
            job: report.job,
            instance: report.instance,
            interval_ms: report.interval_ms.clamp(1_000, 3_600_000),
            version: report.version,
            last_seen_ms: now_ms,
            state,
        };
        inner.hosts.insert(key, host);
    }

    /// Judges every host and returns the samples of `up` for this moment.
    pub fn up(&self, now_ms: i64) -> MetricBatch {
        let mut batch = MetricBatch::default();
        let mut inner = self.lock();
        let Inner { hosts, unsaved, farewells, watching_since_ms } = &mut *inner;
        let watching_since_ms = *watching_since_ms.get_or_insert(now_ms);
        let known = hosts.len();
        hosts.retain(|_, host| {
            host.state != HostState::Left || now_ms.saturating_sub(host.last_seen_ms) < LEFT_KEPT_MS
        });
        *unsaved |= hosts.len() != known;
        for host in hosts.values_mut().filter(|host| host.state != HostState::Left) {
            let patience = MISSED_MAX.saturating_mul(host.interval_ms).max(PATIENCE_MS);
            let silent_since_ms = match host.state {
                // Lost before the restart stays lost until it reports.
                HostState::Lost => host.last_seen_ms,
                _ => host.last_seen_ms.max(watching_since_ms),
            };
            let is_lost = now_ms.saturating_sub(silent_since_ms) > patience;
            let state = if is_lost { HostState::Lost } else { HostState::Up };
            if state != host.state {
                tracing::info!(instance = host.instance, ?state, "host changed state");
                *unsaved = true;
            }
            host.state = state;
            push_up(&mut batch, &host.job, &host.instance, now_ms, f64::from(state == HostState::Up));
        }
        for (job, instance) in farewells.drain(..) {
            push_up(&mut batch, &job, &instance, now_ms, model::STALE_NAN);
        }
        batch
    }

    /// Writes the list to disk when it has changed.
    pub fn save(&self) {
        let Some(dir) = &self.dir else { return };
        let hosts: Vec<Host> = {
            let mut inner = self.lock();
            if !std::mem::take(&mut inner.unsaved) {
                return;
            }
            inner.hosts.values().cloned().collect()
        };
        let written = serde_json::to_vec(&hosts)
            .map_err(std::io::Error::from)
            .and_then(|bytes| dir.write_atomic(FILE, &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "failed to save the list of hosts");
            self.lock().unsaved = true;
        }
    }

    /// All hosts, by job and instance.
    pub fn hosts(&self) -> Vec<Host> {
        self.lock().hosts.values().cloned().collect()
    }

    /// Forgets a host that has been retired; whether there was one.
    pub fn forget(&self, instance: &str) -> bool {
        let mut inner = self.lock();
        let keys: Vec<_> = inner.hosts.keys().filter(|(_, name)| name == instance).cloned().collect();
        for key in &keys {
            inner.hosts.remove(key);
            inner.farewells.push(key.clone());
        }
        inner.unsaved |= !keys.is_empty();
        !keys.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_longest_silent(&mut self) {
        let oldest = self.hosts.iter().min_by_key(|(_, host)| host.last_seen_ms).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.hosts.remove(&key);
        }
    }
}

fn push_up(batch: &mut MetricBatch, job: &str, instance: &str, now_ms: i64, value: f64) {
    let labels = Labels::from_pairs([(model::METRIC_NAME, "up"), ("job", job), ("instance", instance)]);
    batch.begin_with(labels.as_ref());
    batch.sample(now_ms, 0, value);
    let metadata = model::Metadata {
        kind: MetricKind::Gauge,
        help: "1 while the agent reports, 0 when it stopped without a goodbye".to_owned(),
        unit: String::new(),
    };
    batch.describe_series("up", metadata);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(instance: &str, goodbye: bool) -> Report {
        Report {
            agent: "a1".into(),
            job: "node".into(),
            instance: instance.into(),
            interval_ms: 10_000,
            version: "0".into(),
            goodbye,
        }
    }

    fn up(agents: &Agents, now_ms: i64) -> Vec<(String, f64)> {
        let batch = agents.up(now_ms);
        let value = |series: model::SeriesView<'_>| {
            (series.labels().get("instance").unwrap_or_default().to_owned(), series.samples()[0].value)
        };
        batch.series().map(value).collect()
    }

    #[test]
    fn lost_and_left_are_different() {
        let agents = Agents::in_memory();
        agents.report(report("a", false), 0);
        agents.report(report("b", false), 0);
        assert_eq!(up(&agents, 30_000), [("a".into(), 1.0), ("b".into(), 1.0)]);
        agents.report(report("b", true), 31_000);
        let after = up(&agents, 31_000);
        assert_eq!(after[0], ("a".into(), 0.0), "lost");
        assert!(model::is_stale(after[1].1), "left");
        assert_eq!(up(&agents, 60_000).len(), 1, "a host that left is told once");
        agents.report(report("a", false), 61_000);
        agents.report(report("b", false), 61_000);
        assert_eq!(up(&agents, 62_000), [("a".into(), 1.0), ("b".into(), 1.0)]);
    }

    #[test]
    fn hosts_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let dir = disk::Dir::real(folder.path()).unwrap();
        let agents = Agents::open(dir.clone());
        agents.report(report("a", false), 5);
        agents.save();
        let agents = Agents::open(dir);
        assert_eq!(up(&agents, 40_000), [("a".into(), 1.0)], "nobody could report while we were down");
        assert_eq!(up(&agents, 70_000), [("a".into(), 1.0)]);
        assert_eq!(up(&agents, 70_001), [("a".into(), 0.0)]);
        agents.save();
        let agents = Agents::open(agents.dir.clone().unwrap());
        assert_eq!(up(&agents, 80_000), [("a".into(), 0.0)], "lost stays lost");
        assert!(agents.forget("a") && !agents.forget("a"));
    }
}
