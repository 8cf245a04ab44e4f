//! The shape of a policy file, as written.

use daemon::Secret;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, path::PathBuf};

pub(super) type Text = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileYaml {
    pub(super) version: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) policies: Vec<Spanned<PolicyYaml>>,
    #[serde(default)]
    pub(super) receivers: Vec<Spanned<ReceiverYaml>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiverYaml {
    pub(super) name: String,
    pub(super) url: Text,
    pub(super) secret: Option<Secret>,
    pub(super) secret_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) allow_link_local: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyYaml {
    pub(super) name: String,
    pub(super) uid: Option<String>,
    pub(super) mode: Option<Text>,
    pub(super) target: TargetYaml,
    pub(super) min: u32,
    pub(super) max: Spanned<u32>,
    pub(super) interval: Option<Text>,
    pub(super) checks: Vec<Spanned<CheckYaml>>,
    pub(super) scale_out: Option<DirectionYaml>,
    pub(super) scale_in: Option<DirectionYaml>,
    #[serde(default)]
    pub(super) schedules: Vec<Spanned<ScheduleYaml>>,
    pub(super) fallback: Option<FallbackYaml>,
    #[serde(default)]
    pub(super) guards: Vec<GuardYaml>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetYaml {
    pub(super) receiver: Text,
    pub(super) kind: Option<String>,
    pub(super) id: String,
    pub(super) current: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckYaml {
    pub(super) name: String,
    pub(super) query: Text,
    pub(super) r#type: Text,
    pub(super) per: Option<Text>,
    pub(super) target: Option<f64>,
    pub(super) tolerance: Option<f64>,
    pub(super) activation: Option<f64>,
    #[serde(default)]
    pub(super) steps: Vec<Spanned<StepYaml>>,
    pub(super) max_age: Option<Text>,
    pub(super) on_no_data: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepYaml {
    pub(super) from: f64,
    pub(super) to: Option<f64>,
    pub(super) add: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectionYaml {
    pub(super) stabilization: Option<Text>,
    pub(super) cooldown: Option<Text>,
    #[serde(default)]
    pub(super) limits: Vec<Spanned<LimitYaml>>,
    pub(super) select: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitYaml {
    pub(super) count: Option<u32>,
    pub(super) percent: Option<f64>,
    pub(super) period: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleYaml {
    pub(super) name: String,
    pub(super) cron: Text,
    pub(super) duration: Text,
    pub(super) tz: Option<Text>,
    pub(super) min: Option<u32>,
    pub(super) max: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FallbackYaml {
    pub(super) after: Text,
    pub(super) replicas: u32,
    /// Always so; may be written to say it.
    pub(super) never_scale_in: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GuardYaml {
    pub(super) alert: String,
    pub(super) effect: Text,
}
