//! Parameters of a question.

use super::refusal::Refusal;
use crate::app::App;
use axum::{
    Form,
    extract::{FromRequest, Query, Request},
    http::{Method, header},
};
use daemon::clock;
use logql::{
    Params,
    ast::{Expr, LogExpr},
};
use model::{Matcher, TimeRange};
use store::Direction;

/// Entries of an answer whose caller names no limit.
const LIMIT_DEFAULT: i64 = 100;
/// Most points of one series.
const POINTS_MAX: i64 = 11_000;
const SECOND_NS: i64 = 1_000_000_000;
/// How far back a question reaches that names no start.
pub(in crate::api) const HOUR_NS: i64 = 3600 * SECOND_NS;

/// Names and values from the query string, then from the form.
#[derive(Debug, Default)]
pub(in crate::api) struct Asked(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(mut pairs) = query.map_err(|error| Refusal::bad(error.to_string()))?;
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_form = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        if request.method() == Method::POST && is_form {
            let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
            let Form(more) = form.map_err(|error| Refusal::bad(error.to_string()))?;
            pairs.extend(more);
        }
        Ok(Asked(pairs))
    }
}

impl Asked {
    /// The first value of a parameter; an empty one counts as absent.
    pub(in crate::api) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of a repeatable parameter.
    pub(in crate::api) fn all<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(|(key, value)| names.contains(&key.as_str()) && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn query(&self) -> &str {
        self.get("query").unwrap_or("")
    }

    /// The query, parsed on the pool: what is hostile may take a while.
    pub(super) async fn parsed(&self, app: &App) -> Result<Expr, Refusal> {
        let text = self.query().to_owned();
        Ok(crate::query::run(app, None, move |_| logql::parse(&text)).await??)
    }

    /// The selector in `query`, which may be absent or empty.
    pub(in crate::api) async fn matchers(&self, app: &App) -> Result<Vec<Matcher>, Refusal> {
        let Some(text) = self.get("query").map(str::to_owned) else {
            return Ok(Vec::new());
        };
        let parsed = crate::query::run(app, None, move |_| logql::parse_matchers(&text)).await?;
        parsed.map_err(without_place)
    }

    /// The log query in `query`, with stages or without.
    pub(in crate::api) async fn log_query(&self, app: &App) -> Result<LogExpr, Refusal> {
        match self.parsed(app).await? {
            Expr::Log(log) => Ok(log),
            Expr::Sample(_) => Err(Refusal::bad("`query` must be a log query: it is a metric query")),
        }
    }

    /// `true` or `false`, which is what its absence means.
    pub(in crate::api) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(text) => Err(Refusal::bad(format!("`{name}` must be `true` or `false`, not `{text}`"))),
        }
    }

    /// `start` and `end`, or `since` before `end`, or `default_ns` before now.
    pub(in crate::api) fn range(&self, default_ns: i64) -> Result<TimeRange, Refusal> {
        let end = self.time("end")?.unwrap_or_else(clock::now_ns);
        let since = match self.get("since") {
            None => default_ns,
            Some(text) => model::parse_duration_ms(text)
                .ok()
                .and_then(|milliseconds| milliseconds.checked_mul(1_000_000))
                .ok_or_else(|| {
                    let reason = format!("not a valid duration string: {text:?}");
                    Refusal::bad(format!("could not parse 'since' parameter: {reason}"))
                })?,
        };
        // A range that ends in the future reaches back from now.
        let reference = end.min(clock::now_ns());
        let start = self.time("start")?.unwrap_or(reference.saturating_sub(since));
        Ok(TimeRange::new(start, end))
    }

    /// An instant in nanoseconds.
    pub(in crate::api) fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        parse_time(text).map(Some).ok_or_else(|| {
            let reason = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
            Refusal::bad(format!("could not parse '{name}' parameter: {reason}"))
        })
    }

    /// Seconds or a duration, in nanoseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let nanoseconds = match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds.abs() < 9e9 => Some((seconds * 1e9) as i64),
            Ok(_) => None,
            Err(_) => model::parse_duration_ms(text)
                .ok()
                .and_then(|milliseconds| milliseconds.checked_mul(1_000_000)),
        };
        nanoseconds
            .map(Some)
            .ok_or_else(|| Refusal::bad(format!("cannot parse {text:?} to a valid duration")))
    }

    pub(in crate::api) fn number(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Refusal::bad(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
        }
    }

    fn limit(&self) -> Result<i64, Refusal> {
        let limit = self.number("limit", LIMIT_DEFAULT)?;
        if limit <= 0 {
            return Err(Refusal::bad("limit must be a positive value"));
        }
        Ok(limit)
    }

    pub(super) fn direction(&self) -> Result<Direction, Refusal> {
        match self.get("direction").map(str::to_ascii_lowercase).as_deref() {
            None | Some("backward") => Ok(Direction::Backward),
            Some("forward") => Ok(Direction::Forward),
            Some(_) => {
                let text = self.get("direction").unwrap_or("");
                Err(Refusal::bad(format!("invalid direction '{text}'")))
            }
        }
    }

    /// The step of a range, by default a 250th of it in whole seconds.
    pub(in crate::api) fn step(&self, range: TimeRange) -> Result<i64, Refusal> {
        let default = (range.end.saturating_sub(range.start) / SECOND_NS / 250).max(1) * SECOND_NS;
        let step = self.duration("step")?.unwrap_or(default);
        if step <= 0 {
            return Err(Refusal::bad(
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        Ok(step)
    }

    /// Everything that a range query takes besides the query.
    pub(super) fn range_query(&self) -> Result<Params, Refusal> {
        let range = self.range(HOUR_NS)?;
        if range.end < range.start {
            return Err(Refusal::bad("end timestamp must not be before or equal to start time"));
        }
        let limit = self.limit()?;
        let direction = self.direction()?;
        let step_ns = self.step(range)?;
        check_resolution(range, step_ns)?;
        let interval_ns = self.duration("interval")?.unwrap_or(0);
        if interval_ns < 0 {
            return Err(Refusal::bad("interval must be >= 0"));
        }
        Ok(Params {
            start_ns: range.start,
            end_ns: range.end,
            step_ns,
            interval_ns,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            direction,
        })
    }

    /// What an instant query takes besides the query: its time.
    pub(super) fn instant_query(&self) -> Result<i64, Refusal> {
        let time = self.time("time")?.unwrap_or_else(clock::now_ns);
        self.limit()?;
        self.direction()?;
        Ok(time)
    }
}

/// Refuses a step so short that one series would have too many points.
pub(super) fn check_resolution(range: TimeRange, step_ns: i64) -> Result<(), Refusal> {
    if range.end.saturating_sub(range.start) / step_ns > POINTS_MAX {
        return Err(Refusal::bad(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
        ));
    }
    Ok(())
}

/// Refuses a log query that asks for more entries than one answer holds.
pub(super) fn check_entries(limit: usize, lines_max: usize) -> Result<(), Refusal> {
    if limit > lines_max {
        return Err(Refusal::bad(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {lines_max}); it is `query.log_lines_max` of the configuration"
        )));
    }
    Ok(())
}

/// A selector with a pipeline is refused by its text alone.
pub(super) fn without_place(error: logql::ParseError) -> Refusal {
    match error.position {
        None if error.message.starts_with("only label matchers") => Refusal::bad(error.message),
        _ => error.into(),
    }
}

/// Nanoseconds; up to ten digits are seconds, as is anything with a point; or RFC 3339.
fn parse_time(text: &str) -> Option<i64> {
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        let whole = seconds.floor();
        let milliseconds = ((seconds - whole) * 1000.0).round();
        return Some((whole as i64).checked_mul(SECOND_NS)?.saturating_add(milliseconds as i64 * 1_000_000));
    }
    if let Ok(number) = text.parse::<i64>() {
        return if text.len() <= 10 { number.checked_mul(SECOND_NS) } else { Some(number) };
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}
