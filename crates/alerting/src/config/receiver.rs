//! A receiver: a name and the integrations that are told.

use super::{
    Context,
    email::{EmailConfig, EmailYaml},
    global::GlobalYaml,
    webhook::{WebhookConfig, WebhookYaml},
};
use crate::problem::Place;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// See the module.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Unique in the configuration.
    pub name: String,
    /// In the order of Alertmanager: webhooks, then mail, each as written.
    pub integrations: Vec<Integration>,
}

/// One way of telling.
#[derive(Clone, Debug)]
pub struct Integration {
    /// Which of its kind in the receiver, from 0.
    pub index: usize,
    /// Whether the end of alerts is told.
    pub send_resolved: bool,
    /// How.
    pub config: IntegrationConfig,
}

/// The settings of an integration.
#[derive(Clone, Debug)]
pub enum IntegrationConfig {
    /// A mail.
    Email(Box<EmailConfig>),
    /// An HTTP request.
    Webhook(Box<WebhookConfig>),
}

impl Integration {
    /// `email` or `webhook`.
    pub fn kind(&self) -> &'static str {
        match self.config {
            IntegrationConfig::Email(_) => "email",
            IntegrationConfig::Webhook(_) => "webhook",
        }
    }

    /// Identity within the configuration, by which the notification log knows it.
    pub fn key(&self, receiver: &str) -> String {
        format!("{receiver}/{}/{}", self.kind(), self.index)
    }

    /// Who is reached, whatever the receiver is called: an address, not a secret.
    pub fn target(&self) -> String {
        match &self.config {
            IntegrationConfig::Email(email) => format!("email:{}", email.to),
            IntegrationConfig::Webhook(webhook) => {
                format!("webhook:{:016x}", xxhash_rust::xxh3::xxh3_64(webhook.url.as_str().as_bytes()))
            }
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiverYaml {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email_configs: Vec<Spanned<EmailYaml>>,
    #[serde(default)]
    webhook_configs: Vec<Spanned<WebhookYaml>>,
}

impl ReceiverYaml {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn build(&self, context: &mut Context<'_>, global: &GlobalYaml, place: Place) -> Receiver {
        if self.name.is_empty() {
            context.report(place, "missing name in receiver");
        }
        let mut integrations = Vec::new();
        for (index, webhook) in self.webhook_configs.iter().enumerate() {
            if let Some(config) = webhook.value.build(context, global, Place::of(webhook)) {
                let send_resolved = webhook.value.send_resolved.unwrap_or(true);
                let config = IntegrationConfig::Webhook(Box::new(config));
                integrations.push(Integration { index, send_resolved, config });
            }
        }
        for (index, email) in self.email_configs.iter().enumerate() {
            if let Some(config) = email.value.build(context, global, Place::of(email)) {
                let send_resolved = email.value.send_resolved.unwrap_or(false);
                let config = IntegrationConfig::Email(Box::new(config));
                integrations.push(Integration { index, send_resolved, config });
            }
        }
        Receiver { name: self.name.clone(), integrations }
    }
}
