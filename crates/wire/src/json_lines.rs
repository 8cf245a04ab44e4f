//! One JSON object a line.

use crate::{
    DecodeReport, DocumentOptions, LogOptions, Refusal, WireError,
    logs::{LogWriter, Origin, StreamKeeper, write_document},
};
use model::LogBatch;

/// The `job` label.
const JOB: &str = "jsonline";

/// Replaces `batch` with the objects in `body`. A line that is none is refused alone.
///
/// # Errors
/// When the body is not UTF-8 or holds too much; the batch is then empty.
pub fn decode_json_lines(
    body: &[u8],
    fields: &DocumentOptions,
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    let mut writer = LogWriter::new(batch, options);
    let result = read(body, fields, &mut writer);
    writer.finish(result)
}

fn read(body: &[u8], fields: &DocumentOptions, writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    let text = std::str::from_utf8(body).map_err(|_| WireError::NotUtf8("body"))?;
    let mut keeper = StreamKeeper::default();
    let origin = Origin { job: JOB, metadata: &[] };
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if let Err(problem) = write_document(line, fields, &origin, &mut keeper, writer)? {
            writer.reject_entry(Refusal::UnreadableDocument, || format!("line {}: {problem}", i + 1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: LogOptions = LogOptions { now_ns: 42, enrich: false };

    #[test]
    fn fields_mean_what_the_sender_says() {
        let fields = DocumentOptions {
            time_field: Some("at".into()),
            message_field: Some("text".into()),
            stream_fields: vec!["team".into(), "absent".into()],
        };
        let body = b"{\"at\":\"1780000000\",\"text\":\"hello\",\"team\":\"red\",\"message\":\"other\",\"n\":{\"a\":[1,2]}}\n\nnot json\n";
        let mut batch = LogBatch::default();
        let report = decode_json_lines(body, &fields, OPTIONS, &mut batch).unwrap();
        assert_eq!((report.entries, report.rejected_count()), (1, 1));
        assert!(report.to_string().contains("line 3"), "{report}");
        let stream = batch.streams().next().unwrap();
        assert_eq!(stream.labels().to_string(), r#"{job="jsonline", team="red"}"#);
        let entry = stream.entries().next().unwrap();
        assert_eq!((entry.timestamp_ns, entry.line), (1_780_000_000_000_000_000, "hello"));
        assert_eq!(entry.metadata.to_string(), r#"{message="other", n_a="[1,2]"}"#);
    }
}
