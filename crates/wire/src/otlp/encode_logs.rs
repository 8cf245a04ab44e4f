//! Logs out.

use crate::protobuf::{put_bytes_field, put_fixed64_field, put_message};
use model::{LabelsRef, LogBatch};

/// Appends `batch` as an `ExportLogsServiceRequest`: each stream is a resource with its labels as
/// attributes, structured metadata are attributes of the record. The observed time is left out, it
/// would cost a quarter of the bytes and tell nothing.
///
/// [`super::LabelRule::AllResourceAttributes`] reads the same batch back.
pub fn encode_logs(batch: &LogBatch, out: &mut Vec<u8>) {
    for stream in batch.streams() {
        put_message(out, 1, |out| {
            put_message(out, 1, |out| attributes(out, 1, stream.labels()));
            put_message(out, 2, |out| {
                for entry in stream.entries() {
                    put_message(out, 2, |out| {
                        put_fixed64_field(out, 1, entry.timestamp_ns as u64);
                        put_message(out, 5, |out| put_bytes_field(out, 1, entry.line.as_bytes()));
                        attributes(out, 6, entry.metadata);
                    });
                }
            });
        });
    }
}

fn attributes(out: &mut Vec<u8>, number: u32, labels: LabelsRef<'_>) {
    for (name, value) in labels.iter() {
        put_message(out, number, |out| {
            put_bytes_field(out, 1, name.as_bytes());
            put_message(out, 2, |out| put_bytes_field(out, 1, value.as_bytes()));
        });
    }
}
