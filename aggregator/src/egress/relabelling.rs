//! One step of `write_relabel_configs` as the configuration has it.

use model::{RelabelAction, RelabelSpec, RelabelStep};
use serde::{Deserialize, Serialize};

/// A step that has been checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "RelabelYaml", into = "RelabelYaml")]
pub struct RelabelConfig {
    yaml: RelabelYaml,
    /// Ready for use.
    pub step: RelabelStep,
}

/// The step as it is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RelabelYaml {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    source_labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
}

impl TryFrom<RelabelYaml> for RelabelConfig {
    type Error = String;

    fn try_from(yaml: RelabelYaml) -> Result<Self, String> {
        let action = match &yaml.action {
            None => RelabelAction::default(),
            Some(name) => {
                RelabelAction::from_name(name).ok_or_else(|| format!("unknown relabel action `{name}`"))?
            }
        };
        let spec = RelabelSpec {
            action,
            source_labels: yaml.source_labels.clone(),
            separator: yaml.separator.clone(),
            regex: yaml.regex.clone(),
            modulus: yaml.modulus.unwrap_or(0),
            target_label: yaml.target_label.clone(),
            replacement: yaml.replacement.clone(),
        };
        let step = RelabelStep::try_from(&spec).map_err(|error| error.to_string())?;
        Ok(RelabelConfig { yaml, step })
    }
}

impl From<RelabelConfig> for RelabelYaml {
    fn from(config: RelabelConfig) -> RelabelYaml {
        config.yaml
    }
}
