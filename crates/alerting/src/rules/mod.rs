//! Rules: read from files ([`load_rules`]), evaluated in slots ([`Slots`]) group by group
//! ([`Group`]), each alerting rule a state machine ([`ActiveAlerts`]), each result a series.

mod active;
mod definition;
mod engine;
mod group;
mod load;
mod manifest;
mod offered;
mod schedule;
mod schema;
mod series;
mod slo;

pub use active::{ActiveAlert, ActiveAlerts, AlertState, Candidate, Grace, RESOLVED_KEPT_MS, Timing};
pub use definition::{DEFAULT_INTERVAL_MS, GroupDefinition, NoData, RuleDefinition, RuleKind};
pub(crate) use engine::RuleEngine;
pub(crate) use group::element_id;
pub use group::{Environment, Group, Health, Outcome, RuleState};
pub use load::{LoadedRules, is_rule_path, load_rules, parse_rules, rule_files};
pub use manifest::is_manifest;
pub use offered::Offer;
pub(crate) use offered::{Texts, read, read_at_start};
pub use schedule::Slots;
