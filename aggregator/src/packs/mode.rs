//! `alerting.packs` of the configuration: which packs are on, whatever their metrics say.

use crate::shipped;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{collections::BTreeMap, fmt};

/// Whether a pack is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PackMode {
    /// Even without its metrics.
    On,
    /// Not at all.
    Off,
    /// While its metrics are there.
    Auto,
}

/// Modes by the name of a pack; what is not named is `auto`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackModes(BTreeMap<PackName, PackMode>);

impl PackModes {
    /// The mode of the pack called `name`, when the configuration gives one.
    pub(super) fn of(&self, name: &str) -> Option<PackMode> {
        self.0.iter().find(|(known, _)| known.0 == name).map(|(_, mode)| *mode)
    }
}

/// The name of a shipped pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
struct PackName(String);

impl<'de> Deserialize<'de> for PackName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known: Vec<_> = shipped::rules().into_iter().map(|(known, _)| known).collect();
        if known.contains(&name.as_str()) {
            return Ok(PackName(name));
        }
        let known: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
        Err(de::Error::custom(format!("unknown field `{name}`, expected one of {}", known.join(", "))))
    }
}

impl<'de> Deserialize<'de> for PackMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModeVisitor)
    }
}

/// Takes texts, and the booleans that older YAML makes of `on` and `off`.
struct ModeVisitor;

impl de::Visitor<'_> for ModeVisitor {
    type Value = PackMode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("on, off or auto")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<PackMode, E> {
        Ok(if on { PackMode::On } else { PackMode::Off })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PackMode, E> {
        match text {
            "on" => Ok(PackMode::On),
            "off" => Ok(PackMode::Off),
            "auto" => Ok(PackMode::Auto),
            other => {
                Err(E::custom(format!("unknown variant `{other}`, expected one of `on`, `off`, `auto`")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_words_and_names_are_checked() {
        let read = |text: &str| daemon::config::parse_yaml::<PackModes>(text, "b.yaml");
        let modes = read("host: on\nlogs: off\nself: auto\n").unwrap();
        assert_eq!(modes.of("host"), Some(PackMode::On));
        assert_eq!(modes.of("logs"), Some(PackMode::Off));
        assert_eq!(modes.of("self"), Some(PackMode::Auto));
        assert_eq!(modes.of("redis"), None);
        let error = read("self: auto\nhots: on\n").unwrap_err().to_string();
        assert!(error.starts_with("b.yaml:2:1: ") && error.ends_with("did you mean `host`?"), "{error}");
        let error = read("host: onn\n").unwrap_err().to_string();
        assert!(error.starts_with("b.yaml:1:7: ") && error.ends_with("did you mean `on`?"), "{error}");
        read("host: 3\n").unwrap_err();
    }
}
