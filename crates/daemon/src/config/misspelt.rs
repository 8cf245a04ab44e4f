//! Environment variables that would be settings if they were spelt so.

use super::{Variables, merged};
use serde::de::DeserializeOwned;

const PREFIX: &str = "BELLWETHER_";
/// Of ours, yet no settings, where they look like some: the log filter.
const OTHERS: [&str; 1] = ["BELLWETHER_LOG"];
/// Words of a name that are looked at: each more doubles the ways to read it.
const WORDS_MAX: usize = 8;

/// A variable that is passed over, and the setting's own that was meant.
#[derive(Debug, PartialEq, Eq)]
pub struct Misspelt {
    /// As it is in the environment.
    pub name: String,
    /// As it would be read.
    pub right: String,
}

/// Variables of the environment that are settings of `T` but for their underscores, such as
/// `BELLWETHER_LISTEN`. Whatever else begins so is somebody else's: Kubernetes sets
/// `BELLWETHER_SERVICE_HOST` for a service of that name.
pub fn misspelt_variables<T: DeserializeOwned>() -> Vec<Misspelt> {
    let texts = std::env::vars_os();
    let texts = texts.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut found: Vec<_> = texts.filter_map(|(name, value)| misspelt::<T>(name, &value)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn misspelt<T: DeserializeOwned>(name: String, value: &str) -> Option<Misspelt> {
    let rest = name.strip_prefix(PREFIX)?;
    if rest.starts_with('_') || OTHERS.contains(&name.as_str()) {
        return None;
    }
    let right = readings(rest).into_iter().find(|right| is_setting::<T>(right, value))?;
    Some(Misspelt { name, right })
}

/// Every way to part the words into sections and settings, the fewest sections first.
fn readings(rest: &str) -> Vec<String> {
    let words: Vec<_> = rest.split('_').filter(|word| !word.is_empty()).collect();
    if words.is_empty() || words.len() > WORDS_MAX {
        return Vec::new();
    }
    let mut partings: Vec<u32> = (0..1 << (words.len() - 1)).collect();
    partings.sort_by_key(|parting| parting.count_ones());
    let reading = |parting: u32| {
        let mut reading = format!("{PREFIX}_{}", words[0]);
        for (gap, word) in words[1..].iter().enumerate() {
            reading.push_str(if parting >> gap & 1 == 1 { "__" } else { "_" });
            reading.push_str(word);
        }
        reading
    };
    partings.into_iter().map(reading).collect()
}

/// Whether it is read, be it only to be refused for its value.
fn is_setting<T: DeserializeOwned>(name: &str, value: &str) -> bool {
    let variables = Variables::from([(name.to_owned(), value.to_owned())]);
    // What is below a setting that has no sections is none either.
    let is_no_setting =
        |error: &str| ["unknown field", "invalid type: map"].iter().any(|it| error.contains(it));
    merged::<T>("{}", variables).err().is_none_or(|error| !is_no_setting(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code, reason = "only its form counts")]
    struct Sample {
        listen: String,
        log: Option<Limits>,
        limits: Limits,
        store: Option<Store>,
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code, reason = "only its form counts")]
    struct Limits {
        body_bytes_max: u64,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its form counts")]
    struct Store {
        url: String,
        password_file: Option<String>,
    }

    #[test]
    fn the_right_spelling_is_found() {
        for (name, expected) in [
            ("BELLWETHER_LISTEN", Some("BELLWETHER__LISTEN")),
            ("BELLWETHER_LIMITS_BODY_BYTES_MAX", Some("BELLWETHER__LIMITS__BODY_BYTES_MAX")),
            ("BELLWETHER_LIMITS__BODY_BYTES_MAX", Some("BELLWETHER__LIMITS__BODY_BYTES_MAX")),
            ("BELLWETHER_STORE_PASSWORD_FILE", Some("BELLWETHER__STORE__PASSWORD_FILE")),
            ("BELLWETHER_LISTEN_ADDRESS", None),
            ("BELLWETHER__LISTEN", None),
            ("BELLWETHER_LOG", None),
            ("BELLWETHER_URL", None),
            ("BELLWETHER_TOKEN_FILE", None),
            ("BELLWETHER_SERVICE_HOST", None),
            ("BELLWETHER_PORT_9390_TCP_ADDR", None),
            ("BELLWETHER_", None),
            ("BELLWETHER_A_B_C_D_E_F_G_H_I", None),
            ("LISTEN", None),
        ] {
            let found = misspelt::<Sample>(name.to_owned(), "x").map(|found| found.right);
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }
}
