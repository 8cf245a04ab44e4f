//! What a policy file says, once it has been read and found good.

mod load;
mod schema;

pub(crate) use load::load_all;
pub use load::{LoadedPolicies, Problem, Problems, load_policies};

use crate::cron::Cron;
use daemon::{Secret, http::LinkLocal};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeMap;

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// For people.
    pub name: String,
    /// Identity of state, audit and deliveries; outlives a change of name.
    pub uid: String,
    /// The file it stands in.
    pub file: String,
    /// What may be done.
    pub mode: Mode,
    /// What is resized.
    pub target: Target,
    /// Never below.
    pub min: u32,
    /// Never above.
    pub max: u32,
    /// Between decisions.
    pub interval_ms: i64,
    /// The highest proposal wins.
    pub checks: Vec<Check>,
    /// How growing is held back.
    pub scale_out: Direction,
    /// How shrinking is held back.
    pub scale_in: Direction,
    /// Floors and ceilings by the clock.
    pub schedules: Vec<Schedule>,
    /// What happens when no check has had data for long.
    pub fallback: Option<Fallback>,
    /// Alerts that pause.
    pub guards: Vec<Guard>,
    /// For people.
    pub annotations: BTreeMap<String, String>,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide and deliver.
    Enforce,
    /// Decide and write down.
    DryRun,
    /// Change nothing.
    Paused,
    /// Do not shrink.
    PausedIn,
    /// Do not grow.
    PausedOut,
}

/// What is resized, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name of a [`Receiver`].
    pub receiver: String,
    /// What kind of thing it is, for the receiver.
    pub kind: String,
    /// Its identity, for the receiver.
    pub id: String,
    /// The query for its present size.
    pub current: String,
}

/// Where decisions are delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Unique.
    pub name: String,
    /// Where to.
    pub url: reqwest::Url,
    /// Signs deliveries when given.
    pub secret: Option<Secret>,
    /// Whether its name may stand for a link-local address.
    pub link_local: LinkLocal,
}

/// A measurement and what it proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Unique in the policy.
    pub name: String,
    /// Its query, which must yield one element.
    pub query: String,
    /// How the value becomes a proposal.
    pub kind: CheckKind,
    /// A sample older than this is no data.
    pub max_age_ms: i64,
    /// Whether a lack of data holds the whole policy, not only keeps it from shrinking.
    pub fail_on_no_data: bool,
}

/// How a value becomes a proposal.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// So many that each has `target`.
    Target {
        /// What the value measures.
        per: Per,
        /// The wanted value per replica.
        target: f64,
        /// Relative deviation that changes nothing.
        tolerance: f64,
        /// From nothing to something only above this value.
        activation: f64,
    },
    /// So many more or fewer, by the band that the value is in.
    Step(Vec<Step>),
}

/// What the value of a target check measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// The whole load: no feedback from the number of replicas.
    Total,
    /// A mean over replicas.
    Replica,
}

/// A band `from..to` and what it adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// First value of the band.
    pub from: f64,
    /// First value beyond it; open when not given.
    pub to: Option<f64>,
    /// What is added; may be negative.
    pub add: Amount,
}

/// A number or a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Replicas.
    Count(i64),
    /// Percent of what there is.
    Percent(f64),
}

/// How moves in one direction are held back.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// The most cautious recommendation of this long counts.
    pub stabilization_ms: i64,
    /// Quiet after a move.
    pub cooldown_ms: i64,
    /// Most change per period.
    pub limits: Vec<Limit>,
    /// Which limit counts when there are several.
    pub select: Select,
}

/// Most change per period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// How much.
    pub amount: Amount,
    /// In how long.
    pub period_ms: i64,
}

/// Which of several limits counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The one that allows the greatest change.
    Max,
    /// The one that allows the smallest.
    Min,
    /// No change in this direction at all.
    Disabled,
}

/// A floor or a ceiling while it is active.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// For people.
    pub name: String,
    /// When it begins.
    pub cron: Cron,
    /// How long it lasts.
    pub duration_ms: i64,
    /// Whose clock counts.
    pub zone: TimeZone,
    /// The floor.
    pub min: Option<u32>,
    /// The ceiling.
    pub max: Option<u32>,
}

/// What happens when no check has had data for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// For how long.
    pub after_ms: i64,
    /// At least so many then.
    pub replicas: u32,
}

/// An alert that pauses the policy while it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The alert's name.
    pub alert: String,
    /// One of the paused modes.
    pub effect: Mode,
}

impl Policy {
    /// Floor and ceiling at `at_ms`: of schedules that overlap the highest floor and the lowest
    /// ceiling count, and the floor wins.
    pub fn bounds(&self, at_ms: i64) -> (u32, u32) {
        let active: Vec<_> = self.schedules.iter().filter(|schedule| schedule.is_active(at_ms)).collect();
        let min = active.iter().filter_map(|schedule| schedule.min).fold(self.min, u32::max);
        let max = active.iter().filter_map(|schedule| schedule.max).fold(self.max, u32::min);
        (min, max.max(min))
    }
}

impl Schedule {
    /// Whether the schedule began less than its duration ago.
    pub fn is_active(&self, at_ms: i64) -> bool {
        self.cron.began_within(at_ms, self.duration_ms, &self.zone)
    }
}
