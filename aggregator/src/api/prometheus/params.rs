//! Parameters of a request: pairs of the form body, then pairs of the URL.
//!
//! Times are seconds since the epoch, with a fraction, or RFC 3339; durations are seconds or in
//! Prometheus' form.

use super::answer::ApiError;
use crate::app::App;
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{Method, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use model::go_regex::PatternCount;
use model::{Matcher, TimeRange, parse_duration_ms, parse_float};
use promql::{EvalOptions, ParseOptions};
use std::time::Duration;

const NANOSECONDS_PER_MS: i64 = 1_000_000;
/// Bytes of all selectors of a request that are parsed and matched within microseconds.
const SIMPLE_SELECTORS_BYTES_MAX: usize = 1024;

/// The earliest and the latest time that clients send, in their literal forms.
const TIME_MIN: &str = "-292273086-05-16T16:47:06Z";
const TIME_MAX: &str = "292277025-08-18T07:12:54.999999999Z";

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let url_pairs = decode(request.uri().query().unwrap_or("").as_bytes());
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_none_or(|value| value.starts_with("application/x-www-form-urlencoded"));
        let mut pairs = Vec::new();
        if is_form && matches!(*request.method(), Method::POST | Method::PUT) {
            let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
            pairs = decode(&body);
        }
        pairs.extend(url_pairs);
        Ok(Params(pairs))
    }
}

/// Splits `a=b&c=d`, with `+` and `%NN` resolved.
fn decode(text: &[u8]) -> Vec<(String, String)> {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = pair.get(split + 1..).unwrap_or(b"");
            (unescape(&pair[..split]), unescape(value))
        })
        .collect()
}

fn unescape(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let hex = text.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (text[at], hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Texts of selectors. Regular expressions among them, and many of any, take a while to be parsed and
/// matched, which is for the query pool.
#[derive(Debug)]
pub(super) struct Selectors(Vec<String>);

impl Selectors {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether parsing and matching them takes microseconds.
    pub(super) fn are_simple(&self) -> bool {
        let bytes: usize = self.0.iter().map(String::len).sum();
        bytes <= SIMPLE_SELECTORS_BYTES_MAX && !self.0.iter().any(|text| text.contains('~'))
    }

    pub(super) fn parse(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut patterns = PatternCount::default();
        let parse = |text: &String| match promql::parse_selector_among(text, &mut patterns) {
            Ok(selector) => Ok(selector.matchers),
            Err(error) if error.message.contains("non-empty matcher") => {
                Err(ApiError::parameter("match[]", "match[] must contain at least one non-empty matcher"))
            }
            Err(error) => Err(ApiError::parameter("match[]", error)),
        };
        self.0.iter().map(parse).collect()
    }
}

impl Params {
    /// The first value of a parameter, "" when it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A time in milliseconds, or the default when it is missing.
    pub(super) fn time(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|problem| {
                ApiError::parameter(name, format!("Invalid time value for '{name}': {problem}"))
            }),
        }
    }

    /// A time that must be there.
    pub(super) fn required_time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time(self.get(name)).map_err(|problem| ApiError::parameter(name, problem))
    }

    /// A duration in milliseconds that must be there.
    pub(super) fn required_duration(&self, name: &str) -> Result<i64, ApiError> {
        let ns = parse_duration_ns(self.get(name)).map_err(|problem| ApiError::parameter(name, problem))?;
        Ok(ns / NANOSECONDS_PER_MS)
    }

    /// A duration in nanoseconds.
    fn duration_ns(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_duration_ns(text).map(Some).map_err(|problem| ApiError::parameter(name, problem)),
        }
    }

    /// A switch as Go writes it; off when it is missing.
    pub(super) fn switch(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            text => Err(ApiError::parameter(
                name,
                format!("unable to parse boolean: strconv.ParseBool: parsing {text:?}: invalid syntax"),
            )),
        }
    }

    /// The time range of `start` and `end`; all of time where they are missing.
    pub(super) fn range(&self) -> Result<TimeRange, ApiError> {
        let range = TimeRange::new(self.time("start", i64::MIN)?, self.time("end", i64::MAX)?);
        if range.end < range.start {
            return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
        }
        Ok(range)
    }

    /// `limit`, where 0 and a missing one mean none.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        match self.get("limit") {
            "" => Ok(usize::MAX),
            text => match text.parse::<i64>() {
                Err(_) => Err(ApiError::parameter("limit", format!("cannot parse {text:?} as a number"))),
                Ok(limit) if limit < 0 => Err(ApiError::parameter("limit", "limit must be non-negative")),
                Ok(0) => Ok(usize::MAX),
                Ok(limit) => Ok(limit as usize),
            },
        }
    }

    /// The selectors of `match[]`, not parsed yet.
    pub(super) fn selectors(&self) -> Selectors {
        Selectors(self.all("match[]").map(str::to_owned).collect())
    }

    /// How this query is parsed and evaluated.
    pub(super) fn options(&self, app: &App) -> Result<(ParseOptions, EvalOptions), ApiError> {
        let mut options = crate::evaluate::eval_options(&app.config.promql);
        let lookback_ms = self.duration_ns("lookback_delta")?.map(|ns| ns / NANOSECONDS_PER_MS);
        if let Some(lookback_ms) = lookback_ms.filter(|ms| *ms > 0) {
            options.lookback_ms = lookback_ms;
        }
        Ok((ParseOptions { experimental: options.experimental }, options))
    }

    /// How long the caller wants to wait at most; below zero is not at all.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        let ns = self.duration_ns("timeout")?;
        Ok(ns.map(|ns| Duration::from_nanos(ns.max(0) as u64)))
    }
}

/// Milliseconds since the epoch.
pub(super) fn parse_time(text: &str) -> Result<i64, String> {
    let bad = || format!("cannot parse {text:?} to a valid timestamp");
    if let Some(seconds) = parse_float(text) {
        // Only the fraction is rounded: the product may lie on the other side of half a millisecond.
        let ms = seconds.trunc() * 1000.0 + (seconds.fract() * 1000.0).round();
        // Beyond this, milliseconds do not fit.
        return if ms.abs() < i64::MAX as f64 { Ok(ms as i64) } else { Err(bad()) };
    }
    match text {
        TIME_MIN => Ok(i64::MIN),
        TIME_MAX => Ok(i64::MAX),
        _ => text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|_| bad()),
    }
}

/// As Prometheus counts durations; what is counted in milliseconds is cut there, not rounded.
fn parse_duration_ns(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text) {
        let ns = seconds * 1e9;
        return match ns.abs() < i64::MAX as f64 {
            true => Ok(ns as i64),
            false => Err(format!("cannot parse {text:?} to a valid duration. It overflows int64")),
        };
    }
    match parse_duration_ms(text) {
        Ok(ms) => Ok(ms.saturating_mul(NANOSECONDS_PER_MS)),
        Err(_) => Err(format!("cannot parse {text:?} to a valid duration")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let expected = [("a b", "c&d"), ("é", ""), ("%", "%4"), ("x", "")];
        let found = decode(b"a+b=c%26d&%C3%A9=&%=%4&&x");
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn times_and_durations() {
        for (text, expected) in [
            ("1.5", 1500),
            ("-1", -1000),
            ("1e3", 1_000_000),
            ("1700000000.0005", 1_700_000_000_000),
            ("1700000000.0015", 1_700_000_000_001),
            ("-1.25", -1250),
            ("1970-01-01T00:00:01.5Z", 1500),
            ("1970-01-01T01:00:00+01:00", 0),
            (TIME_MIN, i64::MIN),
            (TIME_MAX, i64::MAX),
        ] {
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
        for bad in ["", "x", "NaN", "1e300", "1970-01-01"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_duration_ns("5m"), Ok(300_000_000_000));
        assert_eq!(parse_duration_ns("0.0015"), Ok(1_500_000));
        assert_eq!(parse_duration_ns("1e-9"), Ok(1));
        assert!(parse_duration_ns("five").is_err() && parse_duration_ns("1e10").is_err());
        let params = Params(decode(b"step=0.0015&timeout=-1"));
        assert_eq!(params.required_duration("step").unwrap(), 1);
        assert_eq!(params.timeout().unwrap(), Some(Duration::ZERO));
    }

    #[test]
    fn switches_are_read_as_go_reads_them() {
        let params = Params(decode(b"a=T&b=0&c=yes"));
        assert!(params.switch("a").unwrap());
        assert!(!params.switch("b").unwrap() && !params.switch("missing").unwrap());
        assert!(params.switch("c").is_err());
    }
}
