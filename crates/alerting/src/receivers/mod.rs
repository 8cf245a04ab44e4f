//! Services that are told: one file each with its settings, its request and its limits. Field
//! names are Alertmanager's. Texts are templates.

pub(crate) mod discord;
pub(crate) mod heartbeat;
mod hook;
pub(crate) mod mattermost;
pub(crate) mod msteams;
pub(crate) mod msteamsv2;
pub(crate) mod opsgenie;
pub(crate) mod pagerduty;
pub(crate) mod pushover;
pub(crate) mod rocketchat;
pub(crate) mod sigv4;
#[cfg(test)]
pub(crate) mod sink;
pub(crate) mod slack;
pub(crate) mod sns;
pub(crate) mod telegram;
pub(crate) mod victorops;
pub(crate) mod webex;

use serde_json::{Map, Value};

/// Sets a field unless its text is empty.
fn set(map: &mut Map<String, Value>, name: &str, text: String) {
    if !text.is_empty() {
        map.insert(name.to_owned(), Value::String(text));
    }
}

/// Sets a list unless it is empty.
fn set_list(map: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        map.insert(name.to_owned(), Value::Array(list));
    }
}
