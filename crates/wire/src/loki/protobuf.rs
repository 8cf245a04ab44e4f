//! The protobuf form.
//!
//! ```text
//! PushRequest { repeated Stream streams = 1; }
//! Stream      { string labels = 1; repeated Entry entries = 2; uint64 hash = 3; }
//! Entry       { Timestamp timestamp = 1; string line = 2;
//!               repeated LabelPair structuredMetadata = 3; repeated LabelPair parsed = 4; }
//! Timestamp   { int64 seconds = 1; int32 nanos = 2; }
//! LabelPair   { string name = 1; string value = 2; }
//! ```

use super::labels::parse_labels;
use crate::{DecodeReport, LogOptions, Refusal, WireError, logs::LogWriter, protobuf::Reader};
use model::LogBatch;

/// Replaces `batch` with the push request in `body`.
///
/// # Errors
/// When `body` is not a `logproto.PushRequest`; the batch is then empty.
pub fn decode_push(
    body: &[u8],
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    let mut writer = LogWriter::new(batch, options);
    let result = request(Reader::new(body), &mut writer);
    writer.finish(result)
}

fn request(mut request: Reader<'_>, writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    while let Some((number, field)) = request.next()? {
        if number == 1 {
            stream(field.message(&request)?, writer)?;
        }
    }
    Ok(())
}

/// Walks the stream twice, labels first: the order of fields is the sender's choice.
fn stream(stream: Reader<'_>, writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    let mut labels = &[][..];
    let mut reader = stream;
    while let Some((number, field)) = reader.next()? {
        if number == 1 {
            labels = field.bytes(&reader)?;
        }
    }
    writer.begin_stream();
    match parse_labels(labels, |name, value| writer.label(name, value)) {
        Ok(()) => writer.end_pushed_stream()?,
        Err(error) => writer.refuse_stream(Refusal::UnreadableLabels, error.to_string()),
    }
    let mut reader = stream;
    while let Some((number, field)) = reader.next()? {
        if number == 2 {
            entry(field.message(&reader)?, writer)?;
        }
    }
    Ok(())
}

fn entry(mut entry: Reader<'_>, writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    let (mut time, mut line) = ((0, 0), &[][..]);
    writer.begin_entry();
    while let Some((number, field)) = entry.next()? {
        match number {
            1 => time = timestamp(field.message(&entry)?)?,
            2 => line = field.bytes(&entry)?,
            3 => {
                let (name, value) = pair(field.message(&entry)?)?;
                writer.metadata(name, value);
            }
            _ => {}
        }
    }
    let (seconds, nanos) = time;
    match seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(nanos)) {
        Some(timestamp_ns) => writer.end_entry(timestamp_ns, line),
        None => {
            writer.reject_entry(Refusal::InvalidTimestamp, || format!("{seconds} s since the epoch"));
            Ok(())
        }
    }
}

fn timestamp(mut reader: Reader<'_>) -> Result<(i64, i64), WireError> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => seconds = field.int64(&reader)?,
            2 => nanos = field.int64(&reader)?,
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

fn pair<'a>(mut reader: Reader<'a>) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => name = field.bytes(&reader)?,
            2 => value = field.bytes(&reader)?,
            _ => {}
        }
    }
    Ok((name, value))
}
