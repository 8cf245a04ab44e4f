//! A receiver: a name and the integrations that are told.

use super::{
    Context,
    email::{EmailConfig, EmailYaml},
    global::GlobalYaml,
    webhook::{WebhookConfig, WebhookYaml},
};
use crate::{
    notify::{http::AttemptError, telling::Telling},
    problem::Place,
    receivers::{
        discord, discord::DiscordConfig, heartbeat, heartbeat::HeartbeatConfig, mattermost,
        mattermost::MattermostConfig, msteams, msteams::MsteamsConfig, msteamsv2, msteamsv2::Msteamsv2Config,
        opsgenie, opsgenie::OpsgenieConfig, pagerduty, pagerduty::PagerdutyConfig, pushover,
        pushover::PushoverConfig, rocketchat, rocketchat::RocketchatConfig, slack, slack::SlackConfig, sns,
        sns::SnsConfig, telegram, telegram::TelegramConfig, victorops, victorops::VictoropsConfig, webex,
        webex::WebexConfig,
    },
};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Unique in the configuration.
    pub name: String,
    /// In the order of [`integrations!`], each as written.
    pub integrations: Vec<Integration>,
}

/// One way of telling.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// Which of its kind in the receiver, from 0.
    pub index: usize,
    /// Whether the end of alerts is told.
    pub send_resolved: bool,
    /// What becomes of the end of an alert that is muted.
    pub on_mute: OnMute,
    /// How.
    pub config: IntegrationConfig,
}

/// What becomes of the end of an alert that silences or other alerts mute, where its beginning was
/// told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMute {
    /// It is told: whoever opened an incident closes it.
    #[default]
    SendResolved,
    /// It is not, as in Alertmanager. Unlike there, when the alert comes back it is told.
    StaySilent,
}

impl OnMute {
    fn read(context: &mut Context<'_>, text: Option<&Spanned<String>>) -> Self {
        match text.map(|text| (text.value.as_str(), text)) {
            None | Some(("send_resolved", _)) => OnMute::SendResolved,
            Some(("stay_silent", _)) => OnMute::StaySilent,
            Some((other, at)) => {
                let message = format!("on_mute is `{other}`, must be `send_resolved` or `stay_silent`");
                context.report(Place::of(at), message);
                OnMute::default()
            }
        }
    }
}

/// Every kind of integration: its name, the list in a receiver, its settings as written and as
/// used. The order is that in which a receiver's integrations are told.
macro_rules! integrations {
    ($($variant:ident, $kind:literal, $field:ident, $yaml:ty, $config:ty;)*) => {
        /// The settings of an integration.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum IntegrationConfig {
            $($variant(Box<$config>),)*
        }

        impl IntegrationConfig {
            fn kind(&self) -> &'static str {
                match self { $(IntegrationConfig::$variant(_) => $kind,)* }
            }

            fn target(&self) -> String {
                match self { $(IntegrationConfig::$variant(config) => config.target(),)* }
            }

            /// One attempt.
            pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
                match self { $(IntegrationConfig::$variant(config) => config.send(telling).await,)* }
            }
        }

        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct ReceiverYaml {
            #[serde(default)]
            name: String,
            /// Ours.
            on_mute: Option<Spanned<String>>,
            $(#[serde(default, deserialize_with = "crate::config::or_default")] $field: Vec<Spanned<$yaml>>,)*
        }

        impl ReceiverYaml {
            fn integrations(&self, context: &mut Context<'_>, global: &GlobalYaml) -> Vec<Integration> {
                let mut integrations = Vec::new();
                let on_mute = OnMute::read(context, self.on_mute.as_ref());
                $(for (index, written) in self.$field.iter().enumerate() {
                    if let Some(config) = written.value.build(context, global, Place::of(written)) {
                        let send_resolved = written.value.send_resolved.unwrap_or(<$yaml>::SEND_RESOLVED);
                        let config = IntegrationConfig::$variant(Box::new(config));
                        integrations.push(Integration { index, send_resolved, on_mute, config });
                    }
                })*
                integrations
            }
        }

        /// The lists that a receiver may have.
        pub(super) const SUPPORTED: &[&str] = &[$(stringify!($field),)*];
    };
}

integrations! {
    Webhook, "webhook", webhook_configs, WebhookYaml, WebhookConfig;
    Email, "email", email_configs, EmailYaml, EmailConfig;
    Pagerduty, "pagerduty", pagerduty_configs, pagerduty::Yaml, PagerdutyConfig;
    Opsgenie, "opsgenie", opsgenie_configs, opsgenie::Yaml, OpsgenieConfig;
    Slack, "slack", slack_configs, slack::Yaml, SlackConfig;
    Pushover, "pushover", pushover_configs, pushover::Yaml, PushoverConfig;
    Sns, "sns", sns_configs, sns::Yaml, SnsConfig;
    Telegram, "telegram", telegram_configs, telegram::Yaml, TelegramConfig;
    Discord, "discord", discord_configs, discord::Yaml, DiscordConfig;
    Msteams, "msteams", msteams_configs, msteams::Yaml, MsteamsConfig;
    Msteamsv2, "msteamsv2", msteamsv2_configs, msteamsv2::Yaml, Msteamsv2Config;
    Mattermost, "mattermost", mattermost_configs, mattermost::Yaml, MattermostConfig;
    Rocketchat, "rocketchat", rocketchat_configs, rocketchat::Yaml, RocketchatConfig;
    Victorops, "victorops", victorops_configs, victorops::Yaml, VictoropsConfig;
    Webex, "webex", webex_configs, webex::Yaml, WebexConfig;
    Heartbeat, "heartbeat", heartbeat_configs, heartbeat::Yaml, HeartbeatConfig;
}

impl Integration {
    /// Such as `email` or `webhook`.
    pub fn kind(&self) -> &'static str {
        self.config.kind()
    }

    /// Whether it is told at every flush while anything fires, as a sign of life.
    pub fn always_repeats(&self) -> bool {
        matches!(self.config, IntegrationConfig::Heartbeat(_))
    }

    /// Whether it ties an end to its beginning by a key, so that both must name the same incident.
    pub(crate) fn ties_incidents(&self) -> bool {
        use IntegrationConfig::{Opsgenie, Pagerduty, Victorops};
        matches!(self.config, Pagerduty(_) | Opsgenie(_) | Victorops(_))
    }

    /// Whether its default texts show graphs.
    pub(crate) fn shows_graphs(&self) -> bool {
        matches!(self.config, IntegrationConfig::Email(_))
    }

    /// How long an attempt may take by the receiver's own settings, where they say.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        match &self.config {
            IntegrationConfig::Webhook(webhook) => Some(webhook.timeout).filter(|own| *own < Duration::MAX),
            _ => None,
        }
    }

    /// Identity within the configuration, by which the notification log knows it.
    pub fn key(&self, receiver: &str) -> String {
        format!("{receiver}/{}/{}", self.kind(), self.index)
    }

    /// Who is reached, whatever the receiver is called: an address, not a secret.
    pub fn target(&self) -> String {
        self.config.target()
    }
}

impl ReceiverYaml {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn build(&self, context: &mut Context<'_>, global: &GlobalYaml, place: Place) -> Receiver {
        if self.name.is_empty() {
            context.report(place, "missing name in receiver");
        }
        Receiver { name: self.name.clone(), integrations: self.integrations(context, global) }
    }
}
