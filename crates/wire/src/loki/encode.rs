//! Encoding batches as push requests.

use crate::protobuf::{put_bytes_field, put_message, put_varint_field};
use model::{LabelsRef, LogBatch};

/// Appends `batch` as a `logproto.PushRequest`.
pub fn encode_push(batch: &LogBatch, out: &mut Vec<u8>) {
    for stream in batch.streams() {
        put_message(out, 1, |out| {
            put_bytes_field(out, 1, labels_text(stream.labels()).as_bytes());
            for entry in stream.entries() {
                put_message(out, 2, |out| {
                    put_message(out, 1, |out| timestamp(out, entry.timestamp_ns));
                    put_bytes_field(out, 2, entry.line.as_bytes());
                    for (name, value) in entry.metadata.iter() {
                        put_message(out, 3, |out| {
                            put_bytes_field(out, 1, name.as_bytes());
                            put_bytes_field(out, 2, value.as_bytes());
                        });
                    }
                });
            }
        });
    }
}

fn timestamp(out: &mut Vec<u8>, timestamp_ns: i64) {
    put_varint_field(out, 1, timestamp_ns.div_euclid(1_000_000_000) as u64);
    put_varint_field(out, 2, timestamp_ns.rem_euclid(1_000_000_000) as u64);
}

/// `{a="b"}` with the escapes that every reader of Go strings knows; names that are no identifiers
/// are quoted.
fn labels_text(labels: LabelsRef<'_>) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        match model::is_legacy_label_name(name) {
            true => out.push_str(name),
            false => quote(&mut out, name),
        }
        out.push('=');
        quote(&mut out, value);
    }
    out.push('}');
    out
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
}
