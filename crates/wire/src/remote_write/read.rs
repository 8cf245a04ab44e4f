//! Remote read: the queries asked, and the series answered. It shares its messages with remote
//! write 1.0.
//!
//! ```text
//! ReadRequest  { repeated Query queries = 1; repeated ResponseType accepted_response_types = 2; }
//! Query        { int64 start_timestamp_ms = 1; int64 end_timestamp_ms = 2;
//!                repeated LabelMatcher matchers = 3; ReadHints hints = 4; }
//! LabelMatcher { enum type = 1; string name = 2; string value = 3; }
//! ReadResponse { repeated QueryResult results = 1; }
//! QueryResult  { repeated TimeSeries timeseries = 1; }
//! ```
//! Hints are not read: they allow a server to answer less, and oblige it to nothing.

use super::histogram::encode_histogram;
use crate::{
    WireError,
    protobuf::{Field, Reader, put_bytes_field, put_double_field, put_message, put_varint_field},
};
use model::{Labels, MatchOp, Matcher, Samples, TimeRange, Value};

/// Most queries of one request; senders send one.
const QUERIES_MAX: usize = 1_000;
/// Most matchers of one query.
const MATCHERS_MAX: usize = 1_000;
/// `SAMPLES` among the response types: messages as above, not streamed chunks.
const SAMPLES: u64 = 0;

/// One query of a request.
#[derive(Clone, Debug)]
pub struct ReadQuery {
    /// Which samples.
    pub range: TimeRange,
    /// Of which series.
    pub matchers: Vec<Matcher>,
}

/// Reads a `prometheus.ReadRequest`.
///
/// # Errors
/// When `body` is none, a matcher is not valid, or the sender takes no plain samples.
pub fn decode_read(body: &[u8]) -> Result<Vec<ReadQuery>, WireError> {
    let mut request = Reader::new(body);
    let (mut queries, mut types) = (Vec::new(), Vec::new());
    while let Some((number, field)) = request.next()? {
        match number {
            1 if queries.len() < QUERIES_MAX => queries.push(query(field.message(&request)?)?),
            1 => return Err(request.error("too many queries")),
            2 => field.each_varint(&request, |kind| types.push(kind))?,
            _ => {}
        }
    }
    match types.is_empty() || types.contains(&SAMPLES) {
        true => Ok(queries),
        false => Err(request.error("none of the accepted response types is SAMPLES, the one supported")),
    }
}

fn query(mut reader: Reader<'_>) -> Result<ReadQuery, WireError> {
    let (mut start, mut end, mut matchers) = (0, 0, Vec::new());
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => start = field.int64(&reader)?,
            2 => end = field.int64(&reader)?,
            3 if matchers.len() < MATCHERS_MAX => matchers.push(matcher(field.message(&reader)?)?),
            3 => return Err(reader.error("too many matchers")),
            _ => {}
        }
    }
    if end < start {
        return Err(reader.error("a query ends before it starts"));
    }
    Ok(ReadQuery { range: TimeRange::new(start, end), matchers })
}

fn matcher(mut reader: Reader<'_>) -> Result<Matcher, WireError> {
    let (mut op, mut name, mut value) = (MatchOp::Equal, "", "");
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => {
                op = match field.varint(&reader)? {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    _ => return Err(reader.error("unknown matcher type")),
                }
            }
            2 => name = text(field, &reader)?,
            3 => value = text(field, &reader)?,
            _ => {}
        }
    }
    Matcher::new(name, op, value).map_err(|_| reader.error("invalid regular expression in a matcher"))
}

fn text<'a>(field: Field<'a>, reader: &Reader<'a>) -> Result<&'a str, WireError> {
    let bytes = field.bytes(reader)?;
    std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8("a matcher"))
}

/// Appends one series to a `QueryResult`.
pub fn encode_read_series(labels: &Labels, samples: &Samples, out: &mut Vec<u8>) {
    put_message(out, 1, |out| {
        for (name, value) in labels.iter() {
            put_message(out, 1, |out| {
                put_bytes_field(out, 1, name.as_bytes());
                put_bytes_field(out, 2, value.as_bytes());
            });
        }
        for (index, timestamp_ms) in samples.timestamps_ms.iter().enumerate() {
            match samples.value(index) {
                Value::Float(value) => put_message(out, 2, |out| {
                    put_double_field(out, 1, value);
                    put_varint_field(out, 2, *timestamp_ms as u64);
                }),
                Value::Histogram(histogram) => {
                    put_message(out, 4, |out| encode_histogram(out, &histogram, *timestamp_ms, 0));
                }
            }
        }
    });
}

/// Appends a `QueryResult` to a `ReadResponse`: one for each query, in order, empty ones too.
pub fn encode_read_result(result: &[u8], out: &mut Vec<u8>) {
    put_message(out, 1, |out| out.extend_from_slice(result));
}

#[cfg(test)]
mod tests {
    use super::super::oracle;
    use super::*;
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    struct ReadRequest {
        #[prost(message, repeated, tag = "1")]
        queries: Vec<Query>,
        #[prost(int32, repeated, tag = "2")]
        accepted_response_types: Vec<i32>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Query {
        #[prost(int64, tag = "1")]
        start_timestamp_ms: i64,
        #[prost(int64, tag = "2")]
        end_timestamp_ms: i64,
        #[prost(message, repeated, tag = "3")]
        matchers: Vec<LabelMatcher>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct LabelMatcher {
        #[prost(int32, tag = "1")]
        r#type: i32,
        #[prost(string, tag = "2")]
        name: String,
        #[prost(string, tag = "3")]
        value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct ReadResponse {
        #[prost(message, repeated, tag = "1")]
        results: Vec<QueryResult>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct QueryResult {
        #[prost(message, repeated, tag = "1")]
        timeseries: Vec<oracle::TimeSeries>,
    }

    fn request(matchers: &[(i32, &str, &str)], types: &[i32]) -> Vec<u8> {
        let matcher = |(kind, name, value): &(i32, &str, &str)| LabelMatcher {
            r#type: *kind,
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let matchers = matchers.iter().map(matcher).collect();
        let query = Query { start_timestamp_ms: -5, end_timestamp_ms: 10, matchers };
        ReadRequest { queries: vec![query], accepted_response_types: types.to_vec() }.encode_to_vec()
    }

    #[test]
    fn queries_are_read() {
        let body = request(&[(0, "a", "1"), (1, "b", ""), (2, "c", "x.*"), (3, "d", "y")], &[1, 0]);
        let queries = decode_read(&body).unwrap();
        assert_eq!(queries[0].range, TimeRange::new(-5, 10));
        let found: Vec<_> = queries[0]
            .matchers
            .iter()
            .map(|m| format!("{}{}{}", m.name(), m.op().as_str(), m.value()))
            .collect();
        assert_eq!(found, ["a=1", "b!=", "c=~x.*", "d!~y"]);
    }

    #[test]
    fn bad_requests_say_why() {
        for (body, problem) in [
            (request(&[(2, "a", "(")], &[]), "invalid regular expression"),
            (request(&[(9, "a", "")], &[]), "unknown matcher type"),
            (request(&[], &[1]), "accepted response types"),
            (b"\xff".to_vec(), "malformed protobuf"),
        ] {
            let error = decode_read(&body).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn results_are_what_prost_reads() {
        let mut samples = Samples::default();
        samples.push(-1, 0, &Value::Float(1.5));
        samples.push(7, 0, &Value::Float(model::STALE_NAN));
        let (mut result, mut body) = (Vec::new(), Vec::new());
        encode_read_series(&Labels::from_pairs([("__name__", "up")]), &samples, &mut result);
        encode_read_result(&result, &mut body);
        encode_read_result(&[], &mut body);
        let response = ReadResponse::decode(body.as_slice()).unwrap();
        assert_eq!(response.results.len(), 2, "an empty result keeps its place");
        let series = &response.results[0].timeseries[0];
        assert_eq!((series.labels[0].name.as_str(), series.labels[0].value.as_str()), ("__name__", "up"));
        let found: Vec<_> =
            series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).collect();
        assert_eq!(found, [(-1, 1.5f64.to_bits()), (7, model::STALE_NAN.to_bits())]);
    }
}
