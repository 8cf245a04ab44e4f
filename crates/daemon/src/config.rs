//! Configuration: one YAML file, then the environment; flags are laid over by the binaries.
//!
//! `BELLWETHER__SECTION__KEY=value` overrides `section.key`. Unknown keys are errors with a
//! suggestion; every message says `file:line:column` where it can.

mod bytes;
mod misspelt;
mod mistakes;
mod place;

pub use bytes::{Bytes, TextOrNumber};
pub use misspelt::{Misspelt, misspelt_variables};
pub use mistakes::parse_yaml_with_all_mistakes;
pub use place::place_of;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ConfigError {
    #[error("failed to read `{path}`: {error}")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{path}:{line}:{column}: {message}")]
    Invalid { path: String, line: usize, column: usize, message: String },
    #[error("environment: {0}")]
    Environment(String),
}

/// Loads `path` (or nothing but defaults when `None`) and the environment.
///
/// # Errors
/// With the place and, for unknown keys, a suggestion.
pub fn load<T: DeserializeOwned>(path: Option<&Path>) -> Result<T, ConfigError> {
    let text = match path {
        Some(path) => read(path)?,
        None => String::new(),
    };
    let name = path.map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
    // Read by itself first, because only this reader knows lines and columns.
    parse_yaml::<T>(&text, &name)?;
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("BELLWETHER__"))?;
        Some((name, value.into_string().ok()?))
    });
    merge(&text, variables.collect())
}

/// Reads YAML strictly into `T`: one document, which none or empty ones may follow.
///
/// # Errors
/// With the place of the first problem.
pub fn parse_yaml<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, ConfigError> {
    let text = only_document(text).map_err(|line| {
        let message = "a second document begins here; only one is read, so put it into a file of its own";
        ConfigError::Invalid { path: name.to_owned(), line, column: 1, message: message.to_owned() }
    })?;
    serde_saphyr::from_str(&text).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line() as usize, at.column() as usize));
        let full = error.without_snippet().to_string();
        ConfigError::Invalid {
            path: name.to_owned(),
            line,
            column,
            message: explain(&plainly(strip_place(&full))),
        }
    })
}

/// The document of a YAML file beside which there are only empty ones, with its lines where they
/// are in the file; an empty mapping when there is none.
///
/// # Errors
/// With the line at which a second one begins.
pub fn only_document(text: &str) -> Result<Cow<'_, str>, usize> {
    let mut documents = documents(text).into_iter().filter(|(_, document)| !is_blank(document));
    let Some((lines_before, document)) = documents.next() else { return Ok(Cow::Borrowed("{}")) };
    if let Some((lines_before, _)) = documents.next() {
        return Err(lines_before + 1);
    }
    let is_first = lines_before == 0;
    Ok(if is_first { document.into() } else { ("\n".repeat(lines_before) + document).into() })
}

/// The documents of a YAML file, each with the number of lines before it. Comments and directives
/// before the first belong to it.
pub fn documents(text: &str) -> Vec<(usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut documents, mut begin, mut begin_line, mut offset) = (Vec::new(), 0, 0, 0);
    let mut is_preamble = true;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_mark(line) && !is_preamble {
            documents.push((begin_line, &text[begin..offset]));
            (begin, begin_line) = (offset, number);
        }
        is_preamble &= !is_mark(line) && says_nothing(line);
        offset += line.len();
    }
    documents.push((begin_line, &text[begin..]));
    documents
}

/// The keys of the first document's mapping, by which kinds of files are told apart; of a broken one
/// those that stand at the beginning of a line.
pub fn top_level_keys(text: &str) -> Vec<String> {
    let documents = documents(text);
    let first = documents.iter().map(|(_, document)| *document).find(|document| !is_blank(document));
    let Some(first) = first else { return Vec::new() };
    match serde_saphyr::from_str::<BTreeMap<String, serde::de::IgnoredAny>>(first) {
        Ok(mapping) => mapping.into_keys().collect(),
        Err(_) => {
            let keys = first.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key.trim_end());
            keys.map(|key| key.trim_matches(['"', '\'']).to_owned()).collect()
        }
    }
}

/// Whether a document begins here: in the first column this ends even a text block.
fn is_mark(line: &str) -> bool {
    let rest = line.strip_prefix("---");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Whether it is blank, a comment or a directive.
fn says_nothing(line: &str) -> bool {
    let trimmed = line.trim_start();
    trimmed.is_empty() || trimmed.starts_with('#') || line.starts_with('%')
}

fn is_blank(document: &str) -> bool {
    document.lines().all(|line| says_nothing(line) || is_mark(line) && says_nothing(&line[3..]))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit: FILE_BYTES_MAX });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Variables by name.
type Variables = HashMap<String, String>;

/// The file with the settings that variables give in its place.
fn merge<T: DeserializeOwned>(text: &str, variables: Variables) -> Result<T, ConfigError> {
    // That there is only one is known from the first reading.
    let text = &only_document(text).unwrap_or_default();
    merged(text, variables.clone()).map_err(|message| {
        let mut names: Vec<_> = variables.keys().collect();
        names.sort();
        // The reader of variables does not say which one is wrong: it is that without which all is well.
        let culprit = names.into_iter().find(|name| {
            let others = variables.iter().filter(|(other, _)| other != name);
            merged::<T>(text, others.map(|(name, value)| (name.clone(), value.clone())).collect()).is_ok()
        });
        ConfigError::Environment(match culprit {
            Some(name) => format!("`{name}`: {message}"),
            None => message,
        })
    })
}

fn merged<T: DeserializeOwned>(text: &str, variables: Variables) -> Result<T, String> {
    let environment = config::Environment::with_prefix("BELLWETHER").prefix_separator("__").separator("__");
    config::Config::builder()
        .add_source(config::File::from_str(text, config::FileFormat::Yaml))
        .add_source(environment.try_parsing(true).source(Some(variables)))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| explain(&error.to_string()))
}

/// The message without a trailing place, which we print in front.
fn strip_place(message: &str) -> &str {
    message.find(" at line ").map_or(message, |at| &message[..at])
}

/// What the reader of YAML says in its own terms, as what is to be written.
fn plainly(message: &str) -> Cow<'_, str> {
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(", set DuplicateKeyPolicy").next().unwrap_or(rest);
        return format!("`{key}` stands twice").into();
    }
    let plain = match message {
        "expected sequence start" => {
            "a list is wanted here: write `[a, b]`, or each entry on a line after `- `"
        }
        "expected mapping start" => "settings are wanted here: write `key: value` below, or `{key: value}`",
        "invalid floating point" => "a number is wanted here, such as 99.9, without a unit or `%`",
        _ if message.starts_with("cannot deserialize null into ") => "there is no value here",
        _ => message,
    };
    plain.into()
}

/// Reads what is there, and takes the default where nothing stands behind the key, as where all of a
/// section's lines are commented out.
///
/// # Errors
/// Those of `T`.
pub fn default_for_nothing<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Adds "did you mean" to the message about an unknown field or variant, in the form of serde
/// (``unknown field `x`, expected `a` or `b` ``) and of serde-saphyr (without the quotes).
pub fn explain(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    let best = suggestion(message).map(|best| format!("{message}; did you mean `{best}`?"));
    best.unwrap_or_else(|| message.to_owned())
}

fn suggestion(message: &str) -> Option<&str> {
    let start = message.find("unknown field `").or_else(|| message.find("unknown variant `"))?;
    let (unknown, rest) = message[start..].split_once('`')?.1.split_once('`')?;
    let (_, known) = rest.split_once("expected ")?;
    let known = known.strip_prefix("one of ").unwrap_or(known);
    let names = known.split([',', '`', ' ']).filter(|name| !name.is_empty() && *name != "or");
    let best = names.max_by(|a, b| closeness(unknown, a).total_cmp(&closeness(unknown, b)))?;
    (closeness(unknown, best) > 0.75).then_some(best)
}

/// Of words as short as `for`, letters that have changed places leave little in common.
fn closeness(a: &str, b: &str) -> f64 {
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let likeness = strsim::jaro_winkler(a, b);
    if letters(a) == letters(b) { likeness.max(0.9) } else { likeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        listen: String,
        #[serde(deserialize_with = "default_for_nothing")]
        limits: Limits,
        labels: std::collections::BTreeMap<String, String>,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Limits {
        samples_max: u64,
    }

    impl Default for Sample {
        fn default() -> Self {
            Sample { listen: "127.0.0.1:9390".into(), limits: Limits::default(), labels: Default::default() }
        }
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        for text in ["", "# nothing\n", "---\n", "limits:\n", "limits: # {samples_max: 3}\n", "limits: ~\n"] {
            assert_eq!(parse_yaml::<Sample>(text, "f").unwrap(), Sample::default());
        }
    }

    #[test]
    fn what_is_wanted_is_said_in_plain_words() {
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default)]
        struct Forms {
            list: Vec<String>,
            share: f64,
            text: String,
            limits: Limits,
        }
        for (text, expected) in [
            ("text: a\ntext: b\n", "f:2:1: `text` stands twice"),
            ("list: /etc/rules\n", "f:1:7: a list is wanted here"),
            ("share: 99.9%\n", "f:1:8: a number is wanted here, such as 99.9, "),
            ("text:\n", "there is no value here"),
            ("limits: 7\n", "f:1:9: settings are wanted here"),
        ] {
            let error = parse_yaml::<Forms>(text, "f").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn documents_know_where_they_begin() {
        for (text, expected) in [
            ("a: 1\n", &[(0, "a: 1\n")][..]),
            ("---\na: 1\n---\nb: 1", &[(0, "---\na: 1\n"), (2, "---\nb: 1")]),
            ("a: |\n  ---\n--- # x\nb: 1\n", &[(0, "a: |\n  ---\n"), (2, "--- # x\nb: 1\n")]),
            ("a: ----\n----\n", &[(0, "a: ----\n----\n")]),
            (
                "# x\n%YAML 1.1\n\n---\na: 1\n--- # y\n",
                &[(0, "# x\n%YAML 1.1\n\n---\na: 1\n"), (5, "--- # y\n")],
            ),
            ("---\n# x\n---\na: 1\n", &[(0, "---\n# x\n"), (2, "---\na: 1\n")]),
        ] {
            assert_eq!(documents(text), expected, "{text}");
        }
    }

    #[test]
    fn one_document_is_read() {
        for text in [
            "listen: x\n---\n",
            "# a\n---\nlisten: x\n---\n# no more\n",
            "\u{feff}listen: x\n",
            "%YAML 1.1\n---\nlisten: x\n",
            "# a\n%YAML 1.2\n--- # b\nlisten: x\n",
            "---\n# a\n---\nlisten: x\n",
            "listen: x\n--- # end\n---\t\n",
        ] {
            assert_eq!(parse_yaml::<Sample>(text, "f").unwrap().listen, "x", "{text}");
            assert_eq!(merge::<Sample>(text, Variables::new()).unwrap().listen, "x", "{text}");
            assert_eq!(top_level_keys(text), ["listen"], "{text}");
        }
        let error = parse_yaml::<Sample>("listen: x\n---\nlisten: y\n", "f").unwrap_err().to_string();
        assert!(error.starts_with("f:2:1: a second document"), "{error}");
    }

    #[test]
    fn keys_are_found_however_they_are_written() {
        for text in [
            "groups:\n- a\nroute: {x: 1}\n",
            "\"groups\":\n- a\n'route': 1\n",
            "{\"groups\": [], \"route\": {\"a\": 1}}",
            "\u{feff}---\n  groups : []\n  route: |\n    tests: 1\n---\nother: 1\n",
            "'groups': [\nroute: x\n",
        ] {
            assert_eq!(top_level_keys(text), ["groups", "route"], "{text}");
        }
        assert!(top_level_keys("").is_empty() && top_level_keys("# no: 1\n").is_empty());
    }

    #[test]
    fn unknown_keys_name_their_place_and_a_suggestion() {
        let error = parse_yaml::<Sample>("limits:\n  sample_max: 3\n", "b.yaml").unwrap_err().to_string();
        assert!(error.starts_with("b.yaml:2:"), "{error}");
        assert!(error.contains("did you mean `samples_max`?"), "{error}");
        for header in ["# one\n# two\n\n---\n", "%YAML 1.2\n# two\n#\n---\n", "---\n---\n# x\n---\n"] {
            let text = format!("{header}limits:\n  sample_max: 3\n");
            let error = parse_yaml::<Sample>(&text, "b.yaml").unwrap_err().to_string();
            assert!(error.starts_with("b.yaml:6:3: "), "{header}: {error}");
        }
        let error = parse_yaml::<Sample>("limits: [1\n", "b.yaml").unwrap_err().to_string();
        assert!(error.starts_with("b.yaml:"), "{error}");
    }

    #[test]
    fn letters_that_changed_places_are_put_right() {
        for (unknown, expected) in [("fro", "for"), ("epxr", "expr"), ("xyz", "")] {
            let told =
                explain(&format!("unknown field `{unknown}`, expected one of alert, expr, for, labels"));
            let hint = told.split_once("; did you mean ").map_or("", |(_, hint)| hint);
            assert_eq!(hint.trim_matches(['`', '?']), expected);
        }
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (name, value, expected) in [
            ("BELLWETHER__LIMITS__SAMPLE_MAX", "7", "did you mean `samples_max`?"),
            ("BELLWETHER__LIMITS__SAMPLES_MAX", "many", "invalid"),
            ("BELLWETHER__LITSEN", "x", "did you mean `listen`?"),
        ] {
            let good = ("BELLWETHER__LISTEN", "y");
            let variables = [good, (name, value)].map(|(name, value)| (name.to_owned(), value.to_owned()));
            let error =
                merge::<Sample>("listen: x\n", variables.into_iter().collect()).unwrap_err().to_string();
            assert!(error.contains(&format!("environment: `{name}`: ")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn lines_are_counted_from_the_start_of_the_file() {
        let error = parse_yaml::<Sample>("# a\n---\nlitsen: x\n", "f").unwrap_err().to_string();
        assert!(error.starts_with("f:3:1:"), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let variables = [("BELLWETHER__LIMITS__SAMPLES_MAX".to_owned(), "7".to_owned())];
        let variables = variables.into_iter().collect();
        let loaded: Sample =
            merge("listen: x\nlabels: {Team: Web}\nlimits: {samples_max: 3}\n", variables).unwrap();
        assert_eq!((loaded.listen.as_str(), loaded.limits.samples_max), ("x", 7));
        assert_eq!(loaded.labels.get("Team").map(String::as_str), Some("Web"), "case is kept");
    }
}
