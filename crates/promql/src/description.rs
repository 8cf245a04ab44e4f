//! A series and its values as text, as tests of rules and of the language write them:
//! `name{a="b"} 1+2x3 _ stale {{sum:1}}`.
//!
//! Bound: [`VALUES_MAX`] values of one series.

use crate::{histogram, quote::unquote};
use model::{
    Buckets, Histogram, Labels, METRIC_NAME, ResetHint, STALE_NAN, Value, format_float,
    is_legacy_metric_name, parse_duration_ms, parse_float,
};
use std::sync::Arc;

/// Most values of one series; `1x1000000000` is a mistake.
pub const VALUES_MAX: usize = 5_000_000;

/// A value of a line.
#[derive(Clone, Debug)]
pub struct Item {
    /// The value.
    pub value: Value,
    /// Whether a histogram's reset hint was written.
    pub has_hint: bool,
}

/// A series and its values; `None` is a gap.
#[derive(Clone, Debug)]
pub struct SeriesLine {
    /// The series, with its name.
    pub labels: Labels,
    /// One for each step.
    pub values: Vec<Option<Item>>,
    /// Start timestamps relative to the sample, when the line is `series@st …`.
    pub starts: Option<Vec<Option<i64>>>,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub fn parse_series_line(line: &str) -> Result<SeriesLine, String> {
    let mut rest = line;
    let labels = parse_labels(&mut rest)?;
    if let Some(items) = rest.strip_prefix("@st") {
        let starts = Some(parse_starts(items)?);
        return Ok(SeriesLine { labels, values: Vec::new(), starts });
    }
    Ok(SeriesLine { labels, values: parse_values(rest.trim())?, starts: None })
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn parse_labels(rest: &mut &str) -> Result<Labels, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let name_end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
    if name_end > 0 {
        if !is_legacy_metric_name(&rest[..name_end]) {
            return Err(format!("bad metric name: {}", &rest[..name_end]));
        }
        pairs.push((METRIC_NAME.to_owned(), rest[..name_end].to_owned()));
    }
    *rest = &rest[name_end..];
    let Some(mut body) = rest.strip_prefix('{') else { return Ok(Labels::from_pairs(pairs)) };
    loop {
        body = body.trim_start_matches([' ', ',']);
        if let Some(tail) = body.strip_prefix('}') {
            *rest = tail;
            return Ok(Labels::from_pairs(pairs));
        }
        let name = if body.starts_with(['"', '\'', '`']) {
            take_string(&mut body)?
        } else {
            let end = body.find(|c| !is_name_char(c)).ok_or("unclosed labels")?;
            let name = body[..end].to_owned();
            if !is_legacy_metric_name(&name) {
                return Err(format!("bad label name: `{name}` before `{}`", &body[end..]));
            }
            body = &body[end..];
            name
        };
        body = body.trim_start();
        match body.strip_prefix('=') {
            None => pairs.push((METRIC_NAME.to_owned(), name)),
            Some(tail) => {
                body = tail.trim_start();
                let value = take_string(&mut body)?;
                pairs.push((name, value));
            }
        }
    }
}

fn take_string(rest: &mut &str) -> Result<String, String> {
    let delimiter = rest.chars().next().ok_or("missing string")?;
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && delimiter != '`' {
            escaped = true;
        } else if c == delimiter {
            let (literal, tail) = rest.split_at(index + 1);
            *rest = tail;
            return String::from_utf8(unquote(literal)?).map_err(|e| e.to_string());
        }
    }
    Err(format!("unterminated string: {rest}"))
}

/// Splits at spaces that are not inside braces.
fn split_items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            items.push(String::new());
        } else if let Some(item) = items.last_mut() {
            item.push(c);
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// `…xN` as the part before and N.
fn split_times(item: &str) -> Result<(&str, Option<usize>), String> {
    match item.rsplit_once('x') {
        Some((base, times)) if !times.is_empty() && times.bytes().all(|b| b.is_ascii_digit()) => {
            let times = times.parse().ok().filter(|times| *times < VALUES_MAX);
            Ok((base, Some(times.ok_or_else(|| format!("too many repetitions: {item}"))?)))
        }
        _ => Ok((item, None)),
    }
}

fn parse_values(text: &str) -> Result<Vec<Option<Item>>, String> {
    let mut values = Vec::new();
    for item in split_items(text) {
        let (base, times) = split_times(&item)?;
        if base == "_" {
            values.extend(vec![None; times.unwrap_or(1)]);
        } else if base.starts_with("{{") {
            push_histograms(base, times, &mut values)?;
        } else if base == "stale" {
            let stale = Item { value: Value::Float(STALE_NAN), has_hint: false };
            values.extend(vec![Some(stale); times.map_or(1, |times| times + 1)]);
        } else {
            push_floats(base, times, &mut values)?;
        }
        if values.len() > VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
    }
    Ok(values)
}

fn push_floats(base: &str, times: Option<usize>, values: &mut Vec<Option<Item>>) -> Result<(), String> {
    let (first, step) = split_step(base, times.is_some())?;
    let mut value = first;
    for _ in 0..=times.unwrap_or(0) {
        values.push(Some(Item { value: Value::Float(value), has_hint: false }));
        value += step;
    }
    Ok(())
}

/// `a+b` or `a-b`; the sign of an exponent is no step.
fn split_step(base: &str, repeated: bool) -> Result<(f64, f64), String> {
    let bad = || format!("bad value: {base}");
    if let Some(value) = parse_float(base) {
        return Ok((value, 0.0));
    }
    if !repeated {
        return Err(bad());
    }
    for (index, c) in base.char_indices().skip(1) {
        if (c == '+' || c == '-') && !base[..index].ends_with(['e', 'E']) {
            let step = parse_float(&base[index + 1..]).ok_or_else(bad)?;
            let first = parse_float(&base[..index]).ok_or_else(bad)?;
            return Ok((first, if c == '-' { -step } else { step }));
        }
    }
    Err(bad())
}

fn push_histograms(base: &str, times: Option<usize>, values: &mut Vec<Option<Item>>) -> Result<(), String> {
    let end = base.find("}}").ok_or("unclosed histogram")? + 2;
    let (first, has_hint) = parse_histogram(&base[..end])?;
    let step = match &base[end..] {
        "" => None,
        rest => Some((rest.starts_with('-'), parse_histogram(&rest[1..])?.0)),
    };
    let mut value = first;
    for _ in 0..=times.unwrap_or(0) {
        values.push(Some(Item { value: Value::Histogram(Arc::new(value.clone())), has_hint }));
        if let Some((is_minus, step)) = &step {
            let combined =
                if *is_minus { histogram::sub(&value, step) } else { histogram::add(&value, step) };
            value = combined.map_err(|_| "histograms do not fit")?.histogram;
        }
    }
    Ok(())
}

/// Reads a histogram, and says whether its reset hint was written.
fn parse_histogram(text: &str) -> Result<(Histogram, bool), String> {
    let body = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).ok_or("bad histogram")?;
    let mut histogram = Histogram::default();
    let mut has_hint = false;
    let (mut offset, mut n_offset) = (0, 0);
    let (mut buckets, mut n_buckets) = (Vec::new(), Vec::new());
    for field in split_fields(body) {
        let (name, value) = field.split_once(':').ok_or_else(|| format!("bad field: {field}"))?;
        let number = || parse_float(value).ok_or_else(|| format!("bad number: {field}"));
        let list = || -> Result<Vec<f64>, String> {
            let inner = value.trim_start_matches('[').trim_end_matches(']');
            inner
                .split_whitespace()
                .map(|v| parse_float(v).ok_or_else(|| format!("bad list: {field}")))
                .collect()
        };
        match name {
            "schema" => histogram.schema = number()? as i8,
            "sum" => histogram.sum = number()?,
            "count" => histogram.count = number()?,
            "z_bucket" => histogram.zero_count = number()?,
            "z_bucket_w" => histogram.zero_threshold = number()?,
            "offset" => offset = number()? as i32,
            "n_offset" => n_offset = number()? as i32,
            "buckets" => buckets = list()?,
            "n_buckets" => n_buckets = list()?,
            "custom_values" => histogram.custom_values = list()?,
            "counter_reset_hint" => {
                has_hint = true;
                histogram.reset_hint = match value {
                    "unknown" => ResetHint::Unknown,
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    "gauge" => ResetHint::Gauge,
                    _ => return Err(format!("bad hint: {value}")),
                };
            }
            _ => return Err(format!("unknown field: {field}")),
        }
    }
    let side = |first: i32, counts: Vec<f64>| {
        let indexed: Vec<_> = counts.into_iter().enumerate().map(|(i, n)| (first + i as i32, n)).collect();
        histogram::dense(&indexed)
    };
    histogram.positive = side(offset, buckets);
    histogram.negative = side(n_offset, n_buckets);
    Ok((histogram, has_hint))
}

/// Splits at spaces outside brackets.
fn split_fields(body: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut in_list = false;
    for c in body.chars() {
        match c {
            '[' => in_list = true,
            ']' => in_list = false,
            _ => {}
        }
        if c.is_whitespace() && !in_list {
            fields.push(String::new());
        } else if let Some(field) = fields.last_mut() {
            field.push(c);
        }
    }
    fields.retain(|field| !field.is_empty());
    fields
}

/// `_`, `_xN`, `d`, `dxN`, `d+dxN`, `d-dxN`
fn parse_starts(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut starts = Vec::new();
    for item in text.split_whitespace() {
        let (base, times) = split_times(item)?;
        if base == "_" {
            starts.extend(vec![None; times.unwrap_or(1)]);
            continue;
        }
        let split = base.char_indices().skip(1).find(|(_, c)| *c == '+' || *c == '-');
        let (first, step) = match split {
            None => (parse_signed(base)?, 0),
            Some((index, _)) => (parse_signed(&base[..index])?, parse_signed(&base[index..])?),
        };
        starts.extend((0..=times.unwrap_or(0)).map(|i| Some(first + step * i as i64)));
    }
    Ok(starts)
}

/// A duration with an optional sign.
pub(crate) fn parse_signed(text: &str) -> Result<i64, String> {
    if let Some(rest) = text.strip_prefix('-') {
        return Ok(-parse_duration_ms(rest)?);
    }
    parse_duration_ms(text.strip_prefix('+').unwrap_or(text))
}

/// A histogram in the notation that [`parse_series_line`] reads; equal ones have equal texts.
pub fn histogram_text(histogram: &Histogram) -> String {
    let mut fields = vec![format!("schema:{}", histogram.schema)];
    let mut number = |name: &str, value: f64| {
        if value != 0.0 {
            fields.push(format!("{name}:{}", format_float(value)));
        }
    };
    number("count", histogram.count);
    number("sum", histogram.sum);
    number("z_bucket", histogram.zero_count);
    number("z_bucket_w", histogram.zero_threshold);
    if !histogram.custom_values.is_empty() {
        fields.push(format!("custom_values:{}", list(&histogram.custom_values)));
    }
    match histogram.reset_hint {
        ResetHint::Unknown | ResetHint::NotReset => {}
        ResetHint::Reset => fields.push("counter_reset_hint:reset".to_owned()),
        ResetHint::Gauge => fields.push("counter_reset_hint:gauge".to_owned()),
    }
    for (side, offset, buckets) in
        [(&histogram.positive, "offset", "buckets"), (&histogram.negative, "n_offset", "n_buckets")]
    {
        let (first, counts) = run(side);
        if first != 0 {
            fields.push(format!("{offset}:{first}"));
        }
        if !counts.is_empty() {
            fields.push(format!("{buckets}:{}", list(&counts)));
        }
    }
    format!("{{{{{}}}}}", fields.join(" "))
}

/// The first populated bucket's index, and the counts from there to the last.
fn run(buckets: &Buckets) -> (i32, Vec<f64>) {
    let sparse = histogram::sparse(buckets);
    let (Some((first, _)), Some((last, _))) = (sparse.first(), sparse.last()) else { return (0, Vec::new()) };
    let mut counts = vec![0.0; (last.saturating_sub(*first) as usize).saturating_add(1).min(VALUES_MAX)];
    for (index, count) in &sparse {
        if let Some(slot) = counts.get_mut((index - first) as usize) {
            *slot = *count;
        }
    }
    (*first, counts)
}

fn list(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format_float(*value)).collect();
    format!("[{}]", texts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_written_as_they_are_read() {
        for text in [
            "{{schema:1 count:7 sum:3.5 z_bucket:2 z_bucket_w:0.01 offset:-2 buckets:[1 0 4]}}",
            "{{schema:-53 count:3 sum:9 custom_values:[1 2.5] buckets:[1 2]}}",
            "{{schema:0 count:1 counter_reset_hint:gauge n_offset:3 n_buckets:[1]}}",
            "{{schema:0}}",
        ] {
            assert_eq!(histogram_text(&parse_histogram(text).unwrap().0), text);
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for line in ["1up 1", "up{1a=\"b\"} 1", "up 1+1", "up 1x", "up 1x99999999999", "up{a=\"b} 1", "up x"]
        {
            assert!(parse_series_line(line).is_err(), "{line}");
        }
    }
}
