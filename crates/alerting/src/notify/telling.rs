//! What a receiver is given to tell: the message, expanded by templates, and the means.

use super::{Message, http::AttemptError, sparkline::Sparklines};
use crate::expand::{NotificationTemplates, notification_data};
use sha2::{Digest, Sha256};
use template::Value;

/// One attempt at one notification.
pub(crate) struct Telling<'a> {
    /// For receivers without a client of their own.
    pub(crate) client: &'a reqwest::Client,
    pub(crate) templates: &'a NotificationTemplates,
    pub(crate) message: &'a Message,
    /// The same for every attempt.
    pub(crate) idempotency_key: &'a str,
    pub(crate) external_url: &'a str,
    pub(crate) now_ms: i64,
    data: Value,
}

impl<'a> Telling<'a> {
    pub(crate) fn new(
        client: &'a reqwest::Client,
        templates: &'a NotificationTemplates,
        message: &'a Message,
        idempotency_key: &'a str,
        external_url: &'a str,
        now_ms: i64,
    ) -> Self {
        let data = notification_data(message, external_url, &Sparklines::new());
        Telling { client, templates, message, idempotency_key, external_url, now_ms, data }
    }

    /// With pictures for the templates.
    pub(crate) fn with_sparklines(mut self, sparklines: &Sparklines) -> Self {
        self.data = notification_data(self.message, self.external_url, sparklines);
        self
    }

    /// A template's text.
    pub(crate) fn text(&self, template: &str) -> Result<String, AttemptError> {
        self.expand(template, false)
    }

    /// A template's text where what it inserts is escaped for HTML.
    pub(crate) fn html(&self, template: &str) -> Result<String, AttemptError> {
        self.expand(template, true)
    }

    fn expand(&self, template: &str, html: bool) -> Result<String, AttemptError> {
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        self.templates
            .expand(template, &self.data, html, self.now_ms)
            .map_err(|error| AttemptError::permanent(format!("template: {error}")))
    }

    /// Whether any alert fires.
    pub(crate) fn fires(&self) -> bool {
        self.message.status() == "firing"
    }

    /// The group's name as services know it that tie a resolve to its alert by a key.
    pub(crate) fn group_hash(&self) -> String {
        let hash = Sha256::digest(self.message.group_key.as_bytes());
        hash.as_slice().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// At most `chars_max` characters, the last one an ellipsis when some are left out.
pub(crate) fn truncate_chars(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// At most `bytes_max` bytes, cut between characters, an ellipsis at the end when some are left
/// out.
pub(crate) fn truncate_bytes(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(truncate_chars("größer", 6), "größer");
        assert_eq!(truncate_chars("größer", 4), "grö…");
        assert_eq!(truncate_bytes("größer", 8), "größer");
        assert_eq!(truncate_bytes("größer", 7), "grö…");
        assert_eq!(truncate_bytes("ö", 1), "…");
    }
}
