//! From measurements to proposals.

use super::Inputs;
use crate::policy::{Amount, Check, CheckKind, Per, Policy, Step};
use serde::{Deserialize, Serialize};

/// Largest size that is believed; a count beyond it is a mistake.
const SIZE_MAX: f64 = 1_000_000.0;

/// One query's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// One finite number, and how old its newest sample is.
    Value {
        /// The number.
        value: f64,
        /// Age in milliseconds; 0 when not known.
        age_ms: i64,
    },
    /// Anything else, and why.
    NoData(String),
}

/// What a check says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// The check.
    pub name: String,
    /// Its value, when there is one.
    pub value: Option<f64>,
    /// The wanted value per replica, for target checks.
    pub target: Option<f64>,
    /// Age of the newest sample, in seconds.
    pub age_s: Option<i64>,
    /// What it proposes.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// Why there is no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A check's opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "proposed", rename_all = "snake_case")]
pub enum Proposal {
    /// This size.
    Size(u32),
    /// None: the value is in no band, or the present size is not known.
    Abstains,
    /// It cannot have one.
    NoData,
}

impl CheckOutcome {
    /// The size proposed, if any.
    pub fn proposed(&self) -> Option<u32> {
        match self.proposal {
            Proposal::Size(size) => Some(size),
            Proposal::Abstains | Proposal::NoData => None,
        }
    }
}

/// A measured size: a finite number of replicas.
pub(super) fn size(measured: &Measured) -> Option<u32> {
    match measured {
        Measured::Value { value, .. } if (0.0..=SIZE_MAX).contains(value) => Some(value.round() as u32),
        _ => None,
    }
}

/// What each check says, given the measured size and the reference.
pub(super) fn outcomes(policy: &Policy, inputs: &Inputs, sizes: Option<(u32, u32)>) -> Vec<CheckOutcome> {
    let none = Measured::NoData("not measured".to_owned());
    let measured = inputs.checks.iter().chain(std::iter::repeat(&none));
    policy.checks.iter().zip(measured).map(|(check, measured)| outcome(check, measured, sizes)).collect()
}

fn outcome(check: &Check, measured: &Measured, sizes: Option<(u32, u32)>) -> CheckOutcome {
    let target = match check.kind {
        CheckKind::Target { target, .. } => Some(target),
        CheckKind::Step(_) => None,
    };
    let base = CheckOutcome {
        name: check.name.clone(),
        value: None,
        target,
        age_s: None,
        proposal: Proposal::NoData,
        problem: None,
    };
    let no_data = |problem: String| CheckOutcome { problem: Some(problem), ..base.clone() };
    match measured {
        Measured::NoData(problem) => no_data(problem.clone()),
        Measured::Value { value, .. } if !value.is_finite() => no_data(format!("the value is {value}")),
        Measured::Value { age_ms, .. } if *age_ms > check.max_age_ms => {
            let limit = model::duration_to_string(check.max_age_ms);
            no_data(format!(
                "the newest sample is {} old, more than {limit}",
                model::duration_to_string(*age_ms)
            ))
        }
        Measured::Value { value, age_ms } => {
            let proposal = sizes.map_or(Proposal::Abstains, |sizes| propose(&check.kind, *value, sizes));
            CheckOutcome { value: Some(*value), age_s: Some(age_ms / 1000), proposal, ..base }
        }
    }
}

fn propose(kind: &CheckKind, value: f64, (current, reference): (u32, u32)) -> Proposal {
    match kind {
        CheckKind::Target { per, target, tolerance, activation } => {
            if reference == 0 {
                let needed = if value > *activation { to_size(value / target).max(1) } else { 0 };
                return Proposal::Size(needed);
            }
            let (ratio, needed) = match per {
                Per::Total => (value / (target * f64::from(reference)), value / target),
                Per::Replica => (value / target, f64::from(current) * value / target),
            };
            let near = (ratio - 1.0).abs() <= *tolerance;
            Proposal::Size(if near { reference } else { to_size(needed) })
        }
        CheckKind::Step(steps) => {
            steps.iter().find(|step| has(step, value)).map_or(Proposal::Abstains, |step| {
                let size = f64::from(reference);
                let change = match step.add {
                    Amount::Count(count) => count as f64,
                    Amount::Percent(percent) => away_from_zero(size * percent / 100.0),
                };
                Proposal::Size(to_size(size + change))
            })
        }
    }
}

fn has(step: &Step, value: f64) -> bool {
    value >= step.from && step.to.is_none_or(|to| value < to)
}

fn away_from_zero(change: f64) -> f64 {
    if change < 0.0 { change.floor() } else { change.ceil() }
}

/// Rounded up, except for what a float's last digits add.
fn to_size(needed: f64) -> u32 {
    const DUST: f64 = 1e-9;
    (needed - DUST).ceil().clamp(0.0, SIZE_MAX) as u32
}
