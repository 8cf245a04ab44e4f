//! Splunk's HTTP event collector: JSON objects one after the other
//! (`{"time": 1, "host": "a", "source": "s", "sourcetype": "t", "index": "i", "event": …,
//! "fields": {…}}`), or plain text, a line an event.

use crate::{
    DecodeReport, LogOptions, WireError,
    logs::{LogWriter, StreamKeeper, parse_time},
};
use model::LogBatch;
use serde_json::Value;

/// The `job` label.
const JOB: &str = "splunk";
/// `fields` that become metadata at most.
const FIELDS_MAX: usize = 100;

/// What the events of a request have when they do not say otherwise (the query's parameters).
#[derive(Clone, Debug, Default)]
pub struct EventDefaults {
    /// `host`
    pub host: Option<String>,
    /// `source`
    pub source: Option<String>,
    /// `sourcetype`
    pub sourcetype: Option<String>,
    /// `index`
    pub index: Option<String>,
}

/// Why a request of events is refused, as Splunk numbers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// There is none.
    #[error("No data")]
    NoData,
    /// This event, from 0, is no JSON object.
    #[error("Invalid data format")]
    Invalid(u64),
    /// This event has no `event`.
    #[error("Event field is required")]
    Required(u64),
    /// This event's `event` is empty.
    #[error("Event field cannot be blank")]
    Blank(u64),
    /// The request as a whole.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Replaces `batch` with the events in `body`, all or none of them, as Splunk does.
///
/// # Errors
/// When one of them is no event; the batch is then empty.
pub fn decode_events(
    body: &[u8],
    defaults: &EventDefaults,
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, EventError> {
    let mut problem = None;
    let mut writer = LogWriter::new(batch, options);
    let result = match read_events(body, defaults, &mut writer) {
        Ok(()) => Ok(()),
        Err(EventError::Wire(error)) => Err(error),
        Err(other) => {
            problem = Some(other);
            // The writer empties the batch on an error, which this one stands for.
            Err(WireError::Json(String::new()))
        }
    };
    match (writer.finish(result), problem) {
        (_, Some(problem)) => Err(problem),
        (outcome, None) => Ok(outcome?),
    }
}

fn read_events(body: &[u8], defaults: &EventDefaults, writer: &mut LogWriter<'_>) -> Result<(), EventError> {
    let mut keeper = StreamKeeper::default();
    let mut number = 0;
    for event in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let event = event.map_err(|_| EventError::Invalid(number))?;
        // Some senders put the events into an array.
        match event {
            Value::Array(events) => {
                for event in &events {
                    write_event(event, number, defaults, &mut keeper, writer)?;
                    number += 1;
                }
            }
            event => {
                write_event(&event, number, defaults, &mut keeper, writer)?;
                number += 1;
            }
        }
    }
    if number == 0 { Err(EventError::NoData) } else { Ok(()) }
}

fn write_event(
    event: &Value,
    number: u64,
    defaults: &EventDefaults,
    keeper: &mut StreamKeeper,
    writer: &mut LogWriter<'_>,
) -> Result<(), EventError> {
    let object = event.as_object().ok_or(EventError::Invalid(number))?;
    let line = match object.get("event") {
        None | Some(Value::Null) => return Err(EventError::Required(number)),
        Some(Value::String(text)) if text.is_empty() => return Err(EventError::Blank(number)),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let time = object.get("time").map(|time| time.as_str().map_or_else(|| time.to_string(), str::to_owned));
    let timestamp_ns = time.and_then(|time| parse_time(&time)).unwrap_or_else(|| writer.now_ns());
    let own = |name: &str| object.get(name).and_then(Value::as_str);
    let pick =
        |name: &str, default: &Option<String>| own(name).or(default.as_deref()).unwrap_or("").to_owned();
    let origin = EventDefaults {
        host: Some(pick("host", &defaults.host)),
        source: Some(pick("source", &defaults.source)),
        sourcetype: Some(pick("sourcetype", &defaults.sourcetype)),
        index: Some(pick("index", &defaults.index)),
    };
    begin_stream(&origin, keeper, writer)?;
    writer.begin_entry();
    let fields = object.get("fields").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten().take(FIELDS_MAX) {
        match value {
            Value::Null => {}
            Value::String(text) => writer.metadata(name.as_bytes(), text.as_bytes()),
            other => writer.metadata(name.as_bytes(), other.to_string().as_bytes()),
        }
    }
    writer.end_entry(timestamp_ns, line.as_bytes())?;
    Ok(())
}

/// Replaces `batch` with the lines of `body`.
///
/// # Errors
/// When it holds none, or too much; the batch is then empty.
pub fn decode_raw(
    body: &[u8],
    defaults: &EventDefaults,
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, EventError> {
    let mut writer = LogWriter::new(batch, options);
    let result = read_raw(body, defaults, &mut writer);
    let report = writer.finish(result)?;
    if report.entries == 0 && report.rejected.is_empty() { Err(EventError::NoData) } else { Ok(report) }
}

fn read_raw(body: &[u8], defaults: &EventDefaults, writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    let mut keeper = StreamKeeper::default();
    let now_ns = writer.now_ns();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        begin_stream(defaults, &mut keeper, writer)?;
        writer.begin_entry();
        writer.end_entry(now_ns, line)?;
    }
    Ok(())
}

fn begin_stream(
    origin: &EventDefaults,
    keeper: &mut StreamKeeper,
    writer: &mut LogWriter<'_>,
) -> Result<(), WireError> {
    let labels = [
        ("job", Some(JOB)),
        ("host", origin.host.as_deref()),
        ("source", origin.source.as_deref()),
        ("sourcetype", origin.sourcetype.as_deref()),
        ("index", origin.index.as_deref()),
    ];
    let given = labels.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    keeper.stream(writer, given.filter(|(_, value)| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: LogOptions = LogOptions { now_ns: 42, enrich: false };

    fn decode(body: &str) -> Result<Vec<String>, EventError> {
        let defaults = EventDefaults { sourcetype: Some("st".into()), ..EventDefaults::default() };
        let mut batch = LogBatch::default();
        decode_events(body.as_bytes(), &defaults, OPTIONS, &mut batch)?;
        let mut out = Vec::new();
        for stream in batch.streams() {
            for entry in stream.entries() {
                out.push(format!(
                    "{} {} {} {}",
                    stream.labels(),
                    entry.timestamp_ns,
                    entry.line,
                    entry.metadata
                ));
            }
        }
        Ok(out)
    }

    #[test]
    fn events_one_after_the_other() {
        let found = decode(
            r#"{"time":1780000000.25,"host":"h","event":"text","fields":{"a.b":"1","n":2}} {"time":"1780000000","index":"main","event":{"k":[1]}}"#,
        );
        assert_eq!(
            found.unwrap(),
            [
                r#"{host="h", job="splunk", sourcetype="st"} 1780000000250000000 text {a_b="1", n="2"}"#,
                r#"{index="main", job="splunk", sourcetype="st"} 1780000000000000000 {"k":[1]} {}"#
            ]
        );
    }

    #[test]
    fn one_bad_event_refuses_the_request() {
        for (body, expected) in [
            ("", EventError::NoData),
            ("  ", EventError::NoData),
            (r#"{"event":"a"}{"host":"x"}"#, EventError::Required(1)),
            (r#"{"event":""}"#, EventError::Blank(0)),
            (r#"{"event":"a"} nonsense"#, EventError::Invalid(1)),
            ("7", EventError::Invalid(0)),
        ] {
            let mut batch = LogBatch::default();
            let error = decode_events(body.as_bytes(), &EventDefaults::default(), OPTIONS, &mut batch);
            assert_eq!(error.unwrap_err(), expected, "{body}");
            assert!(batch.is_empty());
        }
    }

    #[test]
    fn raw_text_is_an_event_a_line() {
        let mut batch = LogBatch::default();
        let defaults = EventDefaults { host: Some("h".into()), ..EventDefaults::default() };
        let report = decode_raw(b"one\r\n\ntwo", &defaults, OPTIONS, &mut batch).unwrap();
        assert_eq!(report.entries, 2);
        assert_eq!(decode_raw(b"\n", &defaults, OPTIONS, &mut batch), Err(EventError::NoData));
    }

    proptest! {
        #[test]
        fn any_input_is_read_or_refused(body in "([{}\\[\\]\":,a-z0-9.]|\"event\":|\"time\":){0,60}") {
            let _outcome = decode(&body);
        }
    }
}
