//! The JSON form:
//! `{"streams": [{"stream": {"app": "web"}, "values": [["<ns>", "line", {"trace_id": "7"}]]}]}`.

use crate::{DecodeReport, LogOptions, WireError, logs::LogWriter};
use model::LogBatch;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};

/// Largest JSON body. A stream's entries are held as values before they go into the batch, at up
/// to ten times their bytes in the body.
const JSON_BYTES_MAX: usize = 32 << 20;

/// Replaces `batch` with the push request in `body`.
///
/// # Errors
/// When `body` is not a JSON push request; the batch is then empty.
pub fn decode_push_json(
    body: &[u8],
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    let mut writer = LogWriter::new(batch, options);
    let result = read(body, &mut writer);
    writer.finish(result)
}

fn read(body: &[u8], writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    if body.len() > JSON_BYTES_MAX {
        return Err(WireError::TooLarge { what: "JSON body", limit: JSON_BYTES_MAX });
    }
    let text = std::str::from_utf8(body).map_err(|_| WireError::NotUtf8("JSON body"))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Errors of the batch cannot travel through serde as themselves.
    let mut outcome = Ok(());
    let seed = Request { writer, outcome: &mut outcome };
    let parsed = seed.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    outcome?;
    parsed.map_err(|error| WireError::Json(error.to_string()))
}

/// The request: streams go into the writer one by one.
struct Request<'w, 'b> {
    writer: &'w mut LogWriter<'b>,
    outcome: &'w mut Result<(), WireError>,
}

impl<'de> DeserializeSeed<'de> for Request<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a push request: {\"streams\": […]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == "streams" {
                map.next_value_seed(Streams { writer: self.writer, outcome: self.outcome })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Streams<'w, 'b> {
    writer: &'w mut LogWriter<'b>,
    outcome: &'w mut Result<(), WireError>,
}

impl<'de> DeserializeSeed<'de> for Streams<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Streams<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of streams")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(stream) = list.next_element::<Stream<'de>>()? {
            if let Err(error) = write(&stream, self.writer) {
                *self.outcome = Err(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

fn write(stream: &Stream<'_>, writer: &mut LogWriter<'_>) -> Result<(), WireError> {
    writer.begin_stream();
    for (name, value) in &stream.stream.0 {
        writer.label(name.0.as_bytes(), value.0.as_bytes());
    }
    writer.end_pushed_stream()?;
    for entry in &stream.values {
        writer.begin_entry();
        for (name, value) in &entry.metadata.0 {
            writer.metadata(name.0.as_bytes(), value.0.as_bytes());
        }
        writer.end_entry(entry.timestamp_ns, entry.line.0.as_bytes())?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    stream: Pairs<'a>,
    #[serde(borrow, default)]
    values: Vec<Entry<'a>>,
}

/// A string that borrows from the body unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object of strings, in order.
#[derive(Default)]
struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct Entry<'a> {
    timestamp_ns: i64,
    line: Text<'a>,
    metadata: Pairs<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry: [\"<unix nanoseconds>\", \"line\", {metadata}]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entry<'de>, A::Error> {
                let timestamp: Text<'de> =
                    list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let timestamp_ns = timestamp.0.parse().map_err(|_| {
                    A::Error::custom(format!("timestamp `{}` is not nanoseconds", timestamp.0))
                })?;
                let line = list.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                let metadata = list.next_element()?.unwrap_or_default();
                if list.next_element::<IgnoredAny>()?.is_some() {
                    return Err(A::Error::invalid_length(4, &self));
                }
                Ok(Entry { timestamp_ns, line, metadata })
            }
        }
        deserializer.deserialize_seq(EntryVisitor)
    }
}
