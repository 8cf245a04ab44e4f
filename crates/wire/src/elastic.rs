//! Elasticsearch's `_bulk`: pairs of lines, an action and its document; and single documents.
//!
//! `create` and `index` are taken; `update` and `delete` are answered as failed, for lines do not
//! change. Each action gets its own outcome, so one bad document fails alone.

use crate::{
    DecodeReport, DocumentOptions, LogOptions, Refusal, WireError,
    logs::{LogWriter, Origin, StreamKeeper, write_document},
};
use model::LogBatch;
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};

/// The `job` label.
const JOB: &str = "elasticsearch";
/// Actions of one request.
const ACTIONS_MAX: usize = 200_000;

/// What an action was and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `create`, `index`, `update` or `delete`.
    pub action: &'static str,
    /// The index it named, or the request's: that is shared, for its name may be long and its actions
    /// short and many.
    pub index: Arc<str>,
    /// Why it failed.
    pub error: Option<Cow<'static, str>>,
}

/// Replaces `batch` with the documents of a bulk request to `index` (when its path named one).
///
/// # Errors
/// When an action line cannot be read, so that nothing after it makes sense; the batch is then
/// empty.
pub fn decode_bulk(
    body: &[u8],
    index: Option<&str>,
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<(DecodeReport, Vec<Item>), WireError> {
    let mut items = Vec::new();
    let mut writer = LogWriter::new(batch, options);
    let result = read(body, index, &mut writer, &mut items);
    writer.finish(result).map(|report| (report, items))
}

/// Replaces `batch` with the one document in `body`, of `index`; a document that cannot be read is in
/// the report.
///
/// # Errors
/// When the body is no text.
pub fn decode_document(
    body: &[u8],
    index: &str,
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    let mut writer = LogWriter::new(batch, options);
    let result = read_document(body, index, &mut writer);
    writer.finish(result)
}

fn read_document(body: &[u8], index: &str, writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    let text = std::str::from_utf8(body).map_err(|_| WireError::NotUtf8("document"))?;
    if let Err(problem) = write(text, index, &mut StreamKeeper::default(), writer)? {
        writer.reject_entry(Refusal::UnreadableDocument, || problem);
    }
    Ok(())
}

/// Writes a document of `index`; `Ok(Err(…))` says why it is none.
fn write(
    document: &str,
    index: &str,
    keeper: &mut StreamKeeper,
    writer: &mut LogWriter<'_>,
) -> Result<Result<(), String>, WireError> {
    let origin = Origin { job: JOB, metadata: &[("index", index)] };
    write_document(document, &DocumentOptions::default(), &origin, keeper, writer)
}

fn read(
    body: &[u8],
    index: Option<&str>,
    writer: &mut LogWriter<'_>,
    items: &mut Vec<Item>,
) -> Result<(), WireError> {
    let text = std::str::from_utf8(body).map_err(|_| WireError::NotUtf8("bulk request"))?;
    let index = Arc::from(index.unwrap_or_default());
    let mut keeper = StreamKeeper::default();
    let mut lines = text.split('\n').enumerate().map(|(i, line)| (i + 1, line.trim_end_matches('\r')));
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if items.len() >= ACTIONS_MAX {
            return Err(WireError::TooLarge { what: "list of actions", limit: ACTIONS_MAX });
        }
        let (action, index) =
            read_action(line, &index).map_err(|problem| WireError::Text { line: number, problem })?;
        if action == "delete" {
            items.push(refuse(writer, action, index, "lines cannot be deleted by an action".into()));
            continue;
        }
        let (_, document) = lines.next().ok_or_else(|| WireError::Text {
            line: number,
            problem: "the action has no document after it; end the last line with a line break".to_owned(),
        })?;
        if action == "update" {
            items.push(refuse(writer, action, index, "lines cannot be updated".into()));
            continue;
        }
        writer.take_refusal();
        items.push(match write(document, &index, &mut keeper, writer)? {
            Ok(()) => Item { action, index, error: writer.take_refusal().map(refused_as) },
            Err(problem) => refuse(writer, action, index, problem.into()),
        });
    }
    Ok(())
}

fn refused_as(reason: Refusal) -> Cow<'static, str> {
    format!("refused: {}", reason.as_str().replace('_', " ")).into()
}

fn refuse(
    writer: &mut LogWriter<'_>,
    action: &'static str,
    index: Arc<str>,
    problem: Cow<'static, str>,
) -> Item {
    writer.reject_entry(Refusal::UnreadableDocument, || problem.clone().into_owned());
    Item { action, index, error: Some(problem) }
}

/// `{"create": {"_index": "logs"}}`
fn read_action(line: &str, index: &Arc<str>) -> Result<(&'static str, Arc<str>), String> {
    let action: Value = serde_json::from_str(line).map_err(|error| format!("not an action: {error}"))?;
    let member =
        action.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    let Some((name, settings)) = member else {
        return Err("an action is an object with one of `create` and `index` in it".to_owned());
    };
    let known = ["create", "index", "update", "delete"].into_iter().find(|known| known == name);
    let known = known.ok_or_else(|| format!("unknown action `{name}`"))?;
    let own = settings.get("_index").and_then(Value::as_str);
    Ok((known, own.map_or_else(|| index.clone(), Arc::from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: LogOptions = LogOptions { now_ns: 42, enrich: true };

    fn lines(body: &str) -> (Vec<String>, Vec<Item>) {
        let mut batch = LogBatch::default();
        let (_, items) = decode_bulk(body.as_bytes(), Some("logs"), OPTIONS, &mut batch).unwrap();
        let mut out = Vec::new();
        for stream in batch.streams() {
            for entry in stream.entries() {
                let (labels, metadata) = (stream.labels(), entry.metadata);
                out.push(format!("{labels} {} {} {metadata}", entry.timestamp_ns, entry.line));
            }
        }
        (out, items)
    }

    #[test]
    fn a_document_of_filebeat() {
        let (found, items) = lines(concat!(
            r#"{"create":{"_index":"filebeat-8.9.0","dynamic_templates":null}}"#,
            "\n",
            r#"{"@timestamp":"2026-05-28T20:26:40.000Z","message":"level=warn disk is slow","host":{"name":"db1"},"#,
            r#""log":{"file":{"path":"/var/log/x.log"},"offset":7},"agent":{"type":"filebeat"},"empty":null}"#,
            "\n"
        ));
        assert_eq!(
            found,
            [
                r#"{host="db1", job="elasticsearch", service_name="elasticsearch"} 1780000000000000000 level=warn disk is slow {agent_type="filebeat", detected_level="warn", index="filebeat-8.9.0", log_file_path="/var/log/x.log", log_offset="7"}"#
            ]
        );
        assert_eq!(items, [Item { action: "create", index: "filebeat-8.9.0".into(), error: None }]);
    }

    #[test]
    fn each_action_has_its_own_outcome() {
        let (found, items) = lines(concat!(
            "{\"index\":{}}\n{\"msg\":\"one\",\"app\":\"a\"}\r\n\n",
            "{\"index\":{}}\n[1]\n",
            "{\"delete\":{\"_id\":\"1\"}}\n",
            "{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n",
            "{\"create\":{\"_index\":\"x\"}}\n{\"no\":\"message\",\"n\":1.5}\n",
        ));
        let outcomes: Vec<_> =
            items.iter().map(|item| (item.action, &*item.index, item.error.is_none())).collect();
        assert_eq!(
            outcomes,
            [
                ("index", "logs", true),
                ("index", "logs", false),
                ("delete", "logs", false),
                ("update", "logs", false),
                ("create", "x", true)
            ]
        );
        assert_eq!(found.len(), 2);
        assert!(
            found[1].contains(r#"{"no":"message","n":1.5}"#) && found[1].contains(" 42 "),
            "{}",
            found[1]
        );
    }

    #[test]
    fn a_wide_document_stays_whole() {
        let fields: Vec<String> = (0..300).map(|i| format!("\"f{i}\":{i}")).collect();
        let document = format!("{{\"message\":\"short\",\"host\":\"h\",{}}}", fields.join(","));
        let (found, _) = lines(&format!("{{\"index\":{{}}}}\n{document}\n"));
        assert!(found[0].contains(&document) && found[0].starts_with("{host=\"h\""), "{}", &found[0][..200]);
    }

    #[test]
    fn broken_requests_say_where() {
        for (body, line) in
            [("{\"index\":{}}\n{}\nnonsense\n", 3), ("{\"index\":{}}", 1), ("{\"a\":1,\"b\":2}\n", 1)]
        {
            let error = decode_bulk(body.as_bytes(), None, OPTIONS, &mut LogBatch::default()).unwrap_err();
            assert!(matches!(error, WireError::Text { line: found, .. } if found == line), "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_input_is_read_or_refused(body in "([{}\\[\\]\":,a-z0-9\\\\]|\n|\"index\"|\"create\":){0,80}") {
            let _outcome = decode_bulk(body.as_bytes(), None, OPTIONS, &mut LogBatch::default());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _outcome = decode_bulk(&body, None, OPTIONS, &mut LogBatch::default());
        }
    }
}
