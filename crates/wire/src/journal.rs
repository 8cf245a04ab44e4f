//! systemd's journal export format, which `systemd-journal-upload` posts: fields a line each, an
//! empty line after each entry. `NAME=value`, or for bytes with line breaks in them `NAME`, a line
//! break, the length in 8 bytes little endian, the bytes, a line break.

use crate::{
    DecodeReport, LogOptions, Refusal, WireError,
    logs::{LogWriter, StreamKeeper},
};
use memchr::memchr;
use model::LogBatch;

/// The `job` label.
const JOB: &str = "systemd-journal";
/// Fields of one entry; systemd itself allows 1024.
const FIELDS_MAX: usize = 1024;
/// Metadata of one entry.
const METADATA_MAX: usize = 64;
/// A longer value is left out of the metadata.
const VALUE_BYTES_MAX: usize = 8 << 10;
/// Fields that say where an entry is and not what it is about.
const ADDRESSES: &[&[u8]] =
    &[b"_BOOT_ID", b"_MACHINE_ID", b"_SOURCE_REALTIME_TIMESTAMP", b"_SOURCE_MONOTONIC_TIMESTAMP"];
/// Names of priorities, from 0.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// The end of the last whole entry in `bytes`: what comes after it waits for more. Fails when no
/// entry begins as the format says.
///
/// # Errors
/// When the bytes are no journal entries.
pub fn whole_entries(bytes: &[u8]) -> Result<usize, WireError> {
    let (mut end, mut at) = (0, 0);
    while let Some(field) = next_field(bytes, at)? {
        at = field.after;
        if field.name.is_empty() {
            end = at;
        }
    }
    Ok(end)
}

/// Replaces `batch` with the entries in `body`. The last one needs no empty line after it.
///
/// # Errors
/// When the bytes are no journal entries; the batch is then empty.
pub fn decode_journal(
    body: &[u8],
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    let mut writer = LogWriter::new(batch, options);
    let result = read(body, &mut writer);
    writer.finish(result)
}

fn read(body: &[u8], writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    let mut keeper = StreamKeeper::default();
    let mut fields: Vec<(&[u8], &[u8])> = Vec::new();
    let mut at = 0;
    loop {
        let field = next_field(body, at)?;
        match field {
            Some(field) if !field.name.is_empty() => {
                at = field.after;
                if fields.len() < FIELDS_MAX {
                    fields.push((field.name, field.value));
                }
            }
            ended => {
                if ended.is_none() && at < body.len() {
                    return Err(malformed("the last field is cut off"));
                }
                if !fields.is_empty() {
                    write_entry(&fields, &mut keeper, writer)?;
                    fields.clear();
                }
                match ended {
                    Some(field) => at = field.after,
                    None => return Ok(()),
                }
            }
        }
    }
}

fn write_entry(
    fields: &[(&[u8], &[u8])],
    keeper: &mut StreamKeeper,
    writer: &mut LogWriter<'_>,
) -> Result<(), WireError> {
    let value = |name: &[u8]| fields.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let text = |name: &[u8]| value(name).map(String::from_utf8_lossy);
    let Some(message) = value(b"MESSAGE") else {
        // Entries without a message carry a state only, such as a core dump's.
        writer.reject_entry(Refusal::UnreadableDocument, || "an entry without MESSAGE".to_owned());
        return Ok(());
    };
    let micros = text(b"__REALTIME_TIMESTAMP").and_then(|text| text.parse::<i64>().ok());
    let timestamp_ns = micros.and_then(|micros| micros.checked_mul(1000)).unwrap_or_else(|| writer.now_ns());
    let unit =
        [&b"_SYSTEMD_USER_UNIT"[..], b"_SYSTEMD_UNIT", b"SYSLOG_IDENTIFIER"].into_iter().find_map(text);
    let labels = [("job", Some(JOB.into())), ("host", text(b"_HOSTNAME")), ("unit", unit)];
    let labels = labels.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    keeper.stream(writer, labels)?;
    writer.begin_entry();
    let priority = text(b"PRIORITY").and_then(|text| PRIORITIES.get(text.parse::<usize>().ok()?).copied());
    if let Some(priority) = priority {
        writer.metadata(b"level", priority.as_bytes());
    }
    for (name, value) in fields.iter().filter(|(name, value)| is_metadata(name, value)).take(METADATA_MAX) {
        writer.metadata(&name.to_ascii_lowercase(), value);
    }
    writer.end_entry(timestamp_ns, message)
}

fn is_metadata(name: &[u8], value: &[u8]) -> bool {
    let is_told_elsewhere =
        matches!(name, b"MESSAGE" | b"_HOSTNAME" | b"_SYSTEMD_UNIT" | b"_SYSTEMD_USER_UNIT" | b"PRIORITY");
    !is_told_elsewhere
        && !name.starts_with(b"__")
        && !ADDRESSES.contains(&name)
        && value.len() <= VALUE_BYTES_MAX
}

struct Field<'a> {
    /// Empty for the line that ends an entry.
    name: &'a [u8],
    value: &'a [u8],
    /// The offset behind it.
    after: usize,
}

/// The field at `at`, `None` when it is not whole.
fn next_field(bytes: &[u8], at: usize) -> Result<Option<Field<'_>>, WireError> {
    let rest = &bytes[at..];
    let Some(length) = memchr(b'\n', rest) else {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let starts_well = rest.iter().take_while(|byte| **byte != b'=').take(64).all(is_name);
        return if starts_well {
            Ok(None)
        } else {
            Err(malformed("a field's name has other characters than it may"))
        };
    };
    let line = &rest[..length];
    let after = at + length + 1;
    let (name, value) = match memchr(b'=', line) {
        Some(equals) => (&line[..equals], Some(&line[equals + 1..])),
        None => (line, None),
    };
    if name.is_empty() != line.is_empty()
        || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    {
        return Err(malformed("a line is neither a field nor empty"));
    }
    if name.is_empty() || value.is_some() {
        return Ok(Some(Field { name, value: value.unwrap_or_default(), after }));
    }
    let Some(length) = bytes[after..].first_chunk::<8>() else { return Ok(None) };
    let start = after + 8;
    let Some(end) =
        usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| start.checked_add(length))
    else {
        return Err(malformed("a length is larger than memory"));
    };
    match bytes.get(end) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(Field { name, value: &bytes[start..end], after: end + 1 })),
        Some(_) => Err(malformed("a value is longer than its length says")),
    }
}

fn malformed(problem: &str) -> WireError {
    WireError::Text { line: 1, problem: format!("malformed journal export: {problem}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: LogOptions = LogOptions { now_ns: 42, enrich: true };

    fn entry(message: &str) -> Vec<u8> {
        let mut out = b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1780000000000001\n__MONOTONIC_TIMESTAMP=5\n_BOOT_ID=abc\n\
            _HOSTNAME=web1\n_SYSTEMD_UNIT=nginx.service\nPRIORITY=4\n_PID=77\nSYSLOG_IDENTIFIER=nginx\nMESSAGE\n"
            .to_vec();
        out.extend((message.len() as u64).to_le_bytes());
        out.extend(message.as_bytes());
        out.extend(b"\n\n");
        out
    }

    #[test]
    fn entries_keep_their_line_breaks_and_fields() {
        let body = [entry("two\nlines = here"), entry("plain"), b"A=1\n\n".to_vec()].concat();
        let mut batch = LogBatch::default();
        let report = decode_journal(&body, OPTIONS, &mut batch).unwrap();
        assert_eq!((report.entries, report.rejected_count()), (2, 1), "one has no message");
        let stream = batch.streams().next().unwrap();
        let labels =
            r#"{host="web1", job="systemd-journal", service_name="systemd-journal", unit="nginx.service"}"#;
        assert_eq!(stream.labels().to_string(), labels);
        let found = stream.entries().next().unwrap();
        assert_eq!((found.timestamp_ns, found.line), (1_780_000_000_000_001_000, "two\nlines = here"));
        let metadata = r#"{_pid="77", detected_level="warn", level="warning", syslog_identifier="nginx"}"#;
        assert_eq!(found.metadata.to_string(), metadata);
    }

    #[test]
    fn a_stream_of_entries_is_cut_between_them() {
        let body = [entry("one"), entry("two\n\nthree")].concat();
        let first = entry("one").len();
        for cut in 0..=body.len() {
            let expected = if cut == body.len() {
                cut
            } else if cut >= first {
                first
            } else {
                0
            };
            assert_eq!(whole_entries(&body[..cut]).unwrap(), expected, "cut at {cut}");
        }
        assert!(whole_entries(b"GET / HTTP/1.1\n").is_err());
        assert!(whole_entries(b"MESSAGE\n\x01\0\0\0\0\0\0\0xy\n").is_err());
        assert!(decode_journal(b"MESSAGE=a\nB=", OPTIONS, &mut LogBatch::default()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _end = whole_entries(&body);
            let _outcome = decode_journal(&body, OPTIONS, &mut LogBatch::default());
        }

        #[test]
        fn nearly_right_input_is_read_or_refused(body in "(MESSAGE|A=b|\n|\0|=|\u{1}|[a-z_]){0,60}") {
            let _end = whole_entries(body.as_bytes());
            let _outcome = decode_journal(body.as_bytes(), OPTIONS, &mut LogBatch::default());
        }
    }
}
