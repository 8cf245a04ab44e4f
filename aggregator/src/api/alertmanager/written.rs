//! Alerts as JSON text, written straight into one buffer: ten thousand of them are some seven
//! megabytes, and whoever changes alerts waits until they are written.

use crate::api::json_text::{push_json_string, push_json_strings, push_labels, push_list, push_object};
use alerting::{Alert, AlertView, Fingerprint, timestamp::Written};

/// The size of all alerts is told from that of so many.
const SAMPLE: usize = 16;
/// Room that is made at once: the first may be far larger than the rest.
const ROOM_BYTES_MAX: usize = 64 << 20;

/// Makes room for a list when it is known how large its first items are: a buffer that only grows is
/// copied again and again.
pub(super) struct Room {
    expected: usize,
    written: usize,
}

impl Room {
    /// For at most so many items.
    pub(super) fn of(expected: usize) -> Self {
        Room { expected, written: 0 }
    }

    /// An item is written.
    fn note(&mut self, out: &mut String) {
        self.written += 1;
        if self.written == SAMPLE {
            let each = out.len() / SAMPLE;
            let rest = self.expected.saturating_sub(SAMPLE).saturating_mul(each + each / 16);
            out.reserve(rest.min(ROOM_BYTES_MAX));
        }
    }
}

/// A list of alerts, at most `expected` of them.
pub(crate) fn push_alerts<'a>(
    out: &mut String,
    views: impl Iterator<Item = &'a AlertView<'a>>,
    expected: usize,
) {
    let mut room = Room::of(expected);
    push_list(out, views, |out, view| push_alert(out, view, view.receivers.iter().copied(), &mut room));
}

/// An alert that `receivers` are told of.
pub(super) fn push_alert<'a>(
    out: &mut String,
    view: &AlertView<'_>,
    receivers: impl Iterator<Item = &'a str>,
    room: &mut Room,
) {
    let (alert, status) = (view.alert, &view.status);
    let (words, source) = alert.rendered(|alert| [words(alert), source(alert)]);
    out.push_str(words);
    out.push_str(",\"endsAt\":");
    push_time(out, alert.ends_at_ms, alert.ends_written);
    out.push_str(",\"fingerprint\":");
    push_fingerprint(out, view.fingerprint);
    out.push_str(",\"receivers\":");
    push_list(out, receivers, push_receiver);
    out.push_str(",\"startsAt\":");
    push_time(out, alert.starts_at_ms, alert.starts_written);
    out.push_str(",\"status\":{\"inhibitedBy\":");
    push_list(out, &status.inhibited_by, |out, id| push_fingerprint(out, *id));
    out.push_str(",\"mutedBy\":");
    push_json_strings(out, status.muted_by.iter().map(String::as_str));
    out.push_str(",\"silencedBy\":");
    push_json_strings(out, status.silenced_by.iter().map(String::as_str));
    out.push_str(",\"state\":\"");
    out.push_str(status.state());
    out.push_str("\"},\"updatedAt\":");
    push_time(out, alert.updated_at_ms, Written::default());
    out.push_str(source);
    room.note(out);
}

/// How an alert begins, whatever its state.
fn words(alert: &Alert) -> String {
    let mut text = "{\"annotations\":".to_owned();
    push_object(&mut text, alert.annotations.iter());
    text
}

/// How it ends.
fn source(alert: &Alert) -> String {
    let mut text = String::new();
    if !alert.generator_url.is_empty() {
        text.push_str(",\"generatorURL\":");
        push_json_string(&mut text, &alert.generator_url);
    }
    text.push_str(",\"labels\":");
    push_labels(&mut text, &alert.labels);
    text.push('}');
    text
}

/// A receiver by name.
pub(super) fn push_receiver(out: &mut String, name: &str) {
    out.push_str("{\"name\":");
    push_json_string(out, name);
    out.push('}');
}

fn push_fingerprint(out: &mut String, id: Fingerprint) {
    out.push('"');
    out.push_str(id.encode_hex(&mut [0; 16]));
    out.push('"');
}

/// An instant with three digits of fraction.
fn push_time(out: &mut String, at_ms: i64, written: Written) {
    out.push('"');
    written.push_millis(at_ms, out);
    out.push('"');
}

#[cfg(test)]
mod tests;
