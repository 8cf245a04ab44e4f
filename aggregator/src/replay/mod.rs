//! What rules would have done: the live evaluator run through the past over what is stored.
//!
//! Bounds: [`EVALUATIONS_MAX`] evaluations of groups, [`TIME_MAX`] of work, [`EPISODES_MAX`]
//! episodes. It works in slices on the query pool, so that queries go between.

mod overlay;
mod progress;

pub(crate) use progress::Underway;

use crate::{app::App, evaluate::Evaluator};
use alerting::{
    Problems, Settings,
    rules::{AlertState, Environment, Group, GroupDefinition, LoadedRules, Slots},
};
use model::Labels;
use overlay::Overlay;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Most evaluations of groups in one replay.
const EVALUATIONS_MAX: i64 = 2_000_000;
/// Longest that a replay works.
const TIME_MAX: Duration = Duration::from_secs(20 * 60);
/// Most episodes that are told.
const EPISODES_MAX: usize = 10_000;
/// Longest that a replay holds a thread of the pool.
const SLICE: Duration = Duration::from_millis(100);

/// What to replay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Rule files; none for the rules in force.
    #[serde(default)]
    files: Vec<File>,
    /// How far back.
    last_ms: i64,
    /// Only alerts of this name.
    #[serde(default)]
    alert: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    text: String,
}

/// What would have happened.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    /// By the time at which they began.
    pub(crate) episodes: Vec<Episode>,
    /// Rules that failed.
    pub(crate) errors: Vec<Failed>,
    /// Whether episodes are left out.
    pub(crate) truncated: bool,
    /// Evaluations of groups.
    pub(crate) evaluations: u64,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// An alert from firing to its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Episode {
    group: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    active_at_ms: i64,
    fired_at_ms: i64,
    /// `None` for one that still fires.
    resolved_at_ms: Option<i64>,
}

/// A rule that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Failed {
    group: String,
    rule: String,
    count: u64,
    /// The last one.
    error: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(crate) enum ReplayError {
    #[error("{0}")]
    Problems(#[from] Problems),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Busy(#[from] daemon::PoolBusy),
}

/// Replays up to `now_ms`.
///
/// # Errors
/// When the rules are wrong or there is too much to do.
pub(crate) async fn replay(app: &App, request: Request, now_ms: i64) -> Result<Answer, ReplayError> {
    if request.last_ms <= 0 {
        return Err(ReplayError::Invalid("`last_ms` must be positive".to_owned()));
    }
    let definitions = definitions(app, &request)?;
    let mut past =
        Past::new(app, definitions, request.alert, now_ms.saturating_sub(request.last_ms), now_ms)?;
    let underway = app.replays.begin(request.last_ms);
    let began = Instant::now();
    loop {
        if began.elapsed() > TIME_MAX {
            let message =
                format!("the replay took longer than {} minutes; ask for less", TIME_MAX.as_secs() / 60);
            return Err(ReplayError::Invalid(message));
        }
        let (returned, is_done) = app
            .query_pool
            .run(move || {
                let is_done = past.work(SLICE);
                (past, is_done)
            })
            .await?;
        past = returned;
        underway.reached(past.share_done());
        if is_done {
            let mut answer = past.answer();
            answer.seconds = began.elapsed().as_secs_f64();
            return Ok(answer);
        }
    }
}

fn definitions(app: &App, request: &Request) -> Result<Vec<Arc<GroupDefinition>>, ReplayError> {
    if request.files.is_empty() {
        let groups = app.alerting().map(|alerting| alerting.rules()).unwrap_or_default();
        return Ok(groups.iter().map(|group| group.definition.clone()).collect());
    }
    let evaluator = evaluator(app, app.metrics.clone());
    let interval_ms = i64::try_from(app.config.alerting.evaluation_interval.0).unwrap_or(i64::MAX);
    let settings = Settings {
        built_in_rules: request.files.iter().map(|file| (file.name.clone(), file.text.clone())).collect(),
        evaluation_interval_ms: interval_ms,
        ..Settings::default()
    };
    let loaded: LoadedRules = alerting::read_rules(&settings, &evaluator)?;
    Ok(loaded.groups.into_iter().map(Arc::new).collect())
}

fn evaluator(app: &App, metrics: Arc<dyn store::MetricStore>) -> Evaluator {
    Evaluator::new(metrics, app.logs.clone(), &app.config.query, &app.config.promql)
}

/// A group on its way through the past.
struct Walker {
    group: Group,
    due_ms: i64,
    interval_ms: i64,
    /// Episodes that are under way.
    firing: BTreeMap<Labels, Episode>,
}

/// See the module.
struct Past {
    environment: Environment,
    walkers: Vec<Walker>,
    /// Only alerts of this name.
    alert: Option<String>,
    start_ms: i64,
    end_ms: i64,
    answer: Answer,
    failed: BTreeMap<(String, String), Failed>,
}

impl Past {
    fn new(
        app: &App,
        definitions: Vec<Arc<GroupDefinition>>,
        alert: Option<String>,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Self, ReplayError> {
        let rules = || definitions.iter().flat_map(|group| &group.rules);
        let names = |is_alert: bool| -> BTreeSet<String> {
            rules().filter(|rule| rule.is_alert() == is_alert).map(|rule| rule.name().to_owned()).collect()
        };
        let overlay = Arc::new(Overlay::new(app.metrics.clone(), names(false), names(true)));
        let evaluations: i64 =
            definitions.iter().map(|group| (end_ms - start_ms) / group.interval_ms.max(1) + 1).sum();
        if evaluations > EVALUATIONS_MAX {
            let message = format!(
                "{evaluations} evaluations are more than {EVALUATIONS_MAX}; ask for less time or fewer rules"
            );
            return Err(ReplayError::Invalid(message));
        }
        let walker = |definition: Arc<GroupDefinition>| {
            let interval_ms = definition.interval_ms.max(1);
            let slot_ms = Slots::new(&definition.id(), interval_ms).current(start_ms);
            let due_ms = if slot_ms < start_ms { slot_ms + interval_ms } else { slot_ms };
            Walker { group: Group::new(definition), due_ms, interval_ms, firing: BTreeMap::new() }
        };
        let evaluator = Arc::new(evaluator(app, overlay));
        Ok(Past {
            environment: Environment {
                querier: evaluator.clone(),
                sink: evaluator,
                external_url: app.config.alerting.external_url.clone().map(String::from).unwrap_or_default(),
                external_labels: Labels::empty(),
            },
            walkers: definitions.into_iter().map(walker).collect(),
            alert,
            start_ms,
            end_ms,
            answer: Answer::default(),
            failed: BTreeMap::new(),
        })
    }

    /// Goes on for about `slice`; true when the present is reached.
    fn work(&mut self, slice: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < slice {
            // The groups in order of time, as they would have run.
            let next = self.walkers.iter().enumerate().min_by_key(|(_, walker)| walker.due_ms);
            let Some((index, due_ms)) = next.map(|(index, walker)| (index, walker.due_ms)) else {
                return true;
            };
            if due_ms > self.end_ms {
                return true;
            }
            self.step(index);
        }
        false
    }

    /// Of the time that is replayed.
    fn share_done(&self) -> f64 {
        let reached_ms = self.walkers.iter().map(|walker| walker.due_ms).min().unwrap_or(self.end_ms);
        (reached_ms - self.start_ms) as f64 / (self.end_ms - self.start_ms).max(1) as f64
    }

    fn step(&mut self, index: usize) {
        let walker = &mut self.walkers[index];
        let at_ms = walker.due_ms;
        walker.due_ms += walker.interval_ms;
        walker.group.evaluate(&self.environment, at_ms);
        self.answer.evaluations += 1;
        let group = walker.group.definition.id();
        let mut firing = BTreeMap::new();
        for rule in &walker.group.rules {
            if let Some(error) = &rule.last_error {
                let key = (group.clone(), rule.definition.name().to_owned());
                let failed = self.failed.entry(key).or_insert_with_key(|(group, rule)| Failed {
                    group: group.clone(),
                    rule: rule.clone(),
                    count: 0,
                    error: String::new(),
                });
                failed.count += 1;
                failed.error.clone_from(error);
            }
            if self.alert.as_deref().is_some_and(|wanted| wanted != rule.definition.name()) {
                continue;
            }
            for alert in rule.active.iter().filter(|alert| alert.state == AlertState::Firing) {
                let earlier = walker.firing.remove(&alert.labels);
                let episode = earlier.unwrap_or_else(|| Episode {
                    group: group.clone(),
                    labels: pairs(alert.labels.iter()),
                    annotations: pairs(alert.annotations.iter()),
                    active_at_ms: alert.active_at_ms,
                    fired_at_ms: alert.fired_at_ms.unwrap_or(at_ms),
                    resolved_at_ms: None,
                });
                firing.insert(alert.labels.clone(), episode);
            }
        }
        let ended = std::mem::replace(&mut walker.firing, firing);
        for episode in ended.into_values() {
            tell(&mut self.answer, Episode { resolved_at_ms: Some(at_ms), ..episode });
        }
    }

    fn answer(mut self) -> Answer {
        for walker in self.walkers {
            walker.firing.into_values().for_each(|episode| tell(&mut self.answer, episode));
        }
        self.answer.episodes.sort_by_key(|episode| episode.fired_at_ms);
        self.answer.errors = self.failed.into_values().collect();
        self.answer
    }
}

fn tell(answer: &mut Answer, episode: Episode) {
    if answer.episodes.len() < EPISODES_MAX {
        answer.episodes.push(episode);
    } else {
        answer.truncated = true;
    }
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::MetricBatch;

    const RULES: &str = "
groups:
- name: g
  interval: 1m
  rules:
  - {record: 'job:load:max', expr: max by (job) (load)}
  - {alert: High, expr: 'job:load:max > 5', for: 2m, keep_firing_for: 2m, labels: {severity: page}}
  - {alert: Broken, expr: 'load + on () group_left () load'}
";

    fn fill(app: &App) {
        let mut batch = MetricBatch::default();
        for instance in ["a", "b"] {
            let labels = [("__name__", "load"), ("job", "web"), ("instance", instance)];
            batch.begin_with(Labels::from_pairs(labels).as_ref());
            for minute in 0..60 {
                batch.sample(minute * 60_000, 0, if (20..30).contains(&minute) { 9.0 } else { 1.0 });
            }
        }
        app.metrics.append(&batch, None, 0).unwrap();
    }

    #[tokio::test]
    async fn the_past_is_evaluated_as_the_present_would_have_been() {
        let app = App::for_tests();
        fill(&app);
        let series = || app.metrics.stats().appended_samples;
        let stored = series();
        let files = vec![File { name: "r.yml".into(), text: RULES.into() }];
        let request = Request { files, last_ms: 3_600_000, alert: Some("High".into()) };
        let answer = replay(&app, request, 3_600_000).await.unwrap();
        assert_eq!(answer.evaluations, 60);
        let [episode] = &answer.episodes[..] else { panic!("{answer:?}") };
        let minutes = |ms: i64| ms / 60_000;
        assert_eq!((minutes(episode.active_at_ms), minutes(episode.fired_at_ms)), (20, 22));
        assert_eq!(episode.resolved_at_ms.map(minutes), Some(32), "kept for two minutes");
        assert_eq!(episode.labels["severity"], "page");
        assert_eq!((answer.errors.len(), answer.errors[0].count), (1, 60));
        assert_eq!(series(), stored, "nothing is stored");
    }

    #[tokio::test]
    async fn too_much_and_wrong_rules_are_refused() {
        let app = App::for_tests();
        let refused = async |text: &str, last_ms: i64| {
            let files = vec![File { name: "r.yml".into(), text: text.into() }];
            replay(&app, Request { files, last_ms, alert: None }, 0).await.unwrap_err().to_string()
        };
        assert!(
            refused("groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]", 1000)
                .await
                .starts_with("r.yml:1:")
        );
        assert!(refused(RULES, 100 * 365 * 86_400_000).await.contains("more than 2000000"));
        assert!(refused(RULES, 0).await.contains("positive"));
    }
}
