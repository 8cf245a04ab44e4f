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
