//! Auto-scaling: readings → decision → actuator.
//!
//! * [`Policy`]: what a policy file says, read strictly ([`load_policies`]).
//! * [`decide`]: the decision, a pure function of policy, [`State`] and [`Inputs`].
//! * `webhook`: the actuator: an absolute size, signed, numbered, idempotent, retried.
//! * `journal`: state and outbox on disk.
//! * [`Scaling`]: all of it running, behind one handle.
//!
//! Scaling fails closed. No data, NaN, stale data or an error never shrink anything; in doubt the
//! size stays as it is.

mod cron;
mod decide;
mod journal;
mod metrics;
mod policy;
mod readings;
mod service;
mod webhook;

pub use decide::{Action, CheckOutcome, Decision, Inputs, Measured, Reason, State, decide};
pub use journal::JournalError;
pub use policy::{
    Amount, Check, CheckKind, Direction, Fallback, Guard, Limit, LoadedPolicies, Mode, Per, Policy, Problem,
    Problems, Receiver, Schedule, Select, Step, Target, load_policies,
};
pub use readings::{Reading, Readings};
pub use service::{DeliveryStatus, Parts, PolicyView, Scaling, Settings, StartError, measure};
