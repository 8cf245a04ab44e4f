//! Results as YAML, for `--update` and for messages.

use super::{
    compare::{AlertShape, Pairs, Sample, action, pairs, show_labels},
    schema::{DecisionYaml, NotificationYaml},
};
use alerting::{ALERT_NAME, dispatch::Told};
use model::duration_to_string;
use scaling::Decision;

/// A value to write; lists are written one item a line, what is in them on one line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Yaml {
    Text(String),
    /// Written as it is.
    Plain(String),
    Map(Vec<(String, Yaml)>),
    List(Vec<Yaml>),
}

impl Yaml {
    fn of_pairs(pairs: &Pairs) -> Yaml {
        Yaml::Map(pairs.iter().map(|(name, value)| (name.clone(), Yaml::Text(value.clone()))).collect())
    }
}

/// The value on one line.
pub(super) fn flow(value: &Yaml) -> String {
    match value {
        Yaml::Text(text) => scalar(text),
        Yaml::Plain(text) => text.clone(),
        Yaml::List(items) => {
            let items: Vec<_> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Yaml::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Text as a YAML scalar that reads back as the same text.
pub(super) fn scalar(text: &str) -> String {
    const RESERVED: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./ ".contains(c))
        && !text.ends_with(' ')
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        // JSON strings are YAML.
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn map(entries: Vec<(&str, Yaml)>) -> Yaml {
    Yaml::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

pub(super) fn alerts(alerts: &[AlertShape]) -> Yaml {
    let one = |alert: &AlertShape| {
        let mut labels = alert.labels.clone();
        labels.remove(ALERT_NAME);
        let mut entries = vec![("exp_labels", Yaml::of_pairs(&labels))];
        if !alert.annotations.is_empty() {
            entries.push(("exp_annotations", Yaml::of_pairs(&alert.annotations)));
        }
        map(entries)
    };
    Yaml::List(alerts.iter().map(one).collect())
}

pub(super) fn samples(samples: &[Sample]) -> Yaml {
    let one = |sample: &Sample| {
        let labels = ("labels", Yaml::Text(show_labels(&sample.labels)));
        match &sample.histogram {
            Some(histogram) => map(vec![labels, ("histogram", Yaml::Text(histogram.clone()))]),
            None => map(vec![labels, ("value", Yaml::Plain(float(sample.value)))]),
        }
    };
    Yaml::List(samples.iter().map(one).collect())
}

fn float(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

pub(super) fn notifications(told: &[Told], start_ms: i64) -> Yaml {
    let one = |told: &Told| {
        let message = &told.message;
        let alert = |alert: &alerting::notify::NotifiedAlert| {
            let labels = alert
                .alert
                .labels
                .iter()
                .map(|(name, value)| (name.to_owned(), Yaml::Text(value.to_owned())));
            map(vec![
                ("labels", Yaml::Map(labels.collect())),
                ("status", Yaml::Text(alert.status().to_owned())),
            ])
        };
        map(vec![
            ("receiver", Yaml::Text(message.receiver.clone())),
            ("at", Yaml::Text(duration_to_string(told.at_ms - start_ms))),
            ("group_key", Yaml::Text(message.group_key.clone())),
            ("status", Yaml::Text(message.status().to_owned())),
            ("alerts", Yaml::List(message.alerts.iter().map(alert).collect())),
        ])
    };
    Yaml::List(told.iter().map(one).collect())
}

/// An expected notification, for a message.
pub(super) fn expected_notification(expected: &NotificationYaml) -> Yaml {
    let mut entries = vec![("receiver", Yaml::Text(expected.receiver.clone()))];
    for (key, text) in [
        ("at", &expected.at),
        ("integration", &expected.integration),
        ("group_key", &expected.group_key),
        ("status", &expected.status),
        ("reason", &expected.reason),
    ] {
        entries.extend(text.clone().map(|text| (key, Yaml::Text(text))));
    }
    if expected.group_labels.is_some() {
        entries.push(("group_labels", Yaml::of_pairs(&pairs(&expected.group_labels))));
    }
    if let Some(alerts) = &expected.alerts {
        let one = |alert: &super::schema::NotifiedYaml| {
            map(vec![
                ("labels", Yaml::of_pairs(&pairs(&alert.labels))),
                ("status", Yaml::Text(alert.status.clone().unwrap_or_else(|| "firing".to_owned()))),
            ])
        };
        entries.push(("alerts", Yaml::List(alerts.iter().map(one).collect())));
    }
    map(entries)
}

/// A decision; only the fields that are expected, when something is.
pub(super) fn decision(decision: &Decision, expected: Option<&DecisionYaml>) -> Yaml {
    let size = |size: Option<u32>| size.map(|size| Yaml::Plain(size.to_string()));
    let text = |text: &str| Some(Yaml::Text(text.to_owned()));
    let wanted = |field: fn(&DecisionYaml) -> bool| expected.is_none_or(field);
    let mut entries = Vec::new();
    let mut add = |key, is_wanted: bool, value: Option<Yaml>| {
        entries.extend(value.filter(|_| is_wanted).map(|value| (key, value)));
    };
    add("action", wanted(|it| it.action.is_some()), text(action(decision.action)));
    add("current", wanted(|it| it.current.is_some()), size(decision.current));
    add("desired", wanted(|it| it.desired.is_some()), size(decision.desired));
    add("recommended", expected.is_some_and(|it| it.recommended.is_some()), size(decision.recommended));
    add("reason", wanted(|it| it.reason.is_some()), text(decision.reason.as_str()));
    let limited_by = decision.limited_by.map_or("", scaling::Reason::as_str);
    let is_limit_wanted = match expected {
        Some(expected) => expected.limited_by.is_some(),
        None => !limited_by.is_empty(),
    };
    add("limited_by", is_limit_wanted, text(limited_by));
    map(entries)
}

/// What a decision should be, for a message.
pub(super) fn expected_decision(expected: &DecisionYaml) -> Yaml {
    let mut entries = Vec::new();
    for (key, size) in
        [("current", expected.current), ("desired", expected.desired), ("recommended", expected.recommended)]
    {
        entries.extend(size.map(|size| (key, Yaml::Plain(size.to_string()))));
    }
    for (key, text) in
        [("action", &expected.action), ("reason", &expected.reason), ("limited_by", &expected.limited_by)]
    {
        entries.extend(text.clone().map(|text| (key, Yaml::Text(text))));
    }
    map(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_read_back_as_they_were() {
        for text in [
            "plain",
            "with space",
            "1",
            "0x1f",
            "true",
            "No",
            "",
            "a: b",
            "# x",
            "it's",
            "line\nbreak",
            "{x}",
            "-",
            "~",
            "10m",
            "tab\there",
            "trailing ",
            "50 %",
            "*a",
            "2026-01-01",
        ] {
            let yaml = format!("value: {}\n", scalar(text));
            let read: std::collections::BTreeMap<String, String> =
                daemon::config::parse_yaml(&yaml, "f").unwrap();
            assert_eq!(read["value"], text, "{yaml}");
            let json: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
            assert!(json["value"].is_string(), "{yaml}");
        }
    }
}
