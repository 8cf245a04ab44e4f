//! The commands of a script.

use crate::{
    description::{SeriesLine, parse_series_line, parse_signed},
    quote::unquote,
};
use model::{parse_duration_ms, parse_float};
use regex::Regex;

/// A command with the number of its first line.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Clear,
    Load { step_ms: i64, with_histograms: bool, lines: Vec<SeriesLine> },
    Eval(Box<Eval>),
}

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum When {
    Instant { at_ms: i64 },
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

/// A query and what is expected of it.
#[derive(Debug)]
pub(super) struct Eval {
    pub(super) query: String,
    pub(super) when: When,
    /// The grid of an expected range vector.
    pub(super) range_vector: Option<(i64, i64, i64)>,
    pub(super) fails: Option<Text>,
    pub(super) warns: Vec<Text>,
    pub(super) infos: Vec<Text>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    pub(super) ordered: bool,
    pub(super) string: Option<String>,
    pub(super) scalar: Option<f64>,
    pub(super) series: Vec<SeriesLine>,
}

/// What a message must be.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Any,
    Exactly(String),
    Matching(Regex),
}

impl Text {
    pub(super) fn matches(&self, message: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Exactly(text) => text == message,
            Text::Matching(regex) => regex.is_match(message),
        }
    }
}

/// Splits a script into commands.
pub(super) fn parse_script(text: &str) -> Result<Vec<Command>, String> {
    let lines: Vec<&str> =
        text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let first = at;
        at += 1;
        let word = lines[first].split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        if word.is_empty() {
            continue;
        }
        let error = |message: String| format!("line {}: {message}", first + 1);
        let body = |at: &mut usize| {
            let start = *at;
            while *at < lines.len() && !lines[*at].is_empty() {
                *at += 1;
            }
            start..*at
        };
        let kind = if word == "clear" {
            Kind::Clear
        } else if word.starts_with("load") {
            let range = body(&mut at);
            parse_load(lines[first], &lines[range]).map_err(error)?
        } else if word.starts_with("eval") {
            let mut eval = parse_eval(lines[first]).map_err(error)?;
            for line in &lines[body(&mut at)] {
                if eval.expectation(line).map_err(error)? {
                    break;
                }
            }
            Kind::Eval(Box::new(eval))
        } else {
            return Err(error(format!("unknown command {word}")));
        };
        commands.push(Command { line: first + 1, kind });
    }
    Ok(commands)
}

fn parse_load(head: &str, body: &[&str]) -> Result<Kind, String> {
    let mut words = head.split_whitespace();
    let with_histograms = words.next() == Some("load_with_nhcb");
    let step_ms = parse_duration_ms(words.next().ok_or("load without a step")?)?;
    let lines = body.iter().map(|line| parse_series_line(line)).collect::<Result<Vec<_>, _>>()?;
    Ok(Kind::Load { step_ms, with_histograms, lines })
}

fn parse_eval(head: &str) -> Result<Eval, String> {
    let pattern = r"(?i)^eval(?:_(fail|warn|ordered|info))?\s+(?:instant\s+(?:at\s+(\S+))?\s+(.+)|range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+?)\s+(.+))$";
    let captures = Regex::new(pattern).unwrap().captures(head).ok_or_else(|| format!("bad eval: {head}"))?;
    let text = |i: usize| captures.get(i).map(|found| found.as_str());
    let duration = |i: usize| parse_signed(text(i).unwrap_or("0"));
    let (when, query) = match (text(3), text(7)) {
        (Some(query), _) => (When::Instant { at_ms: duration(2)? }, query),
        (None, Some(query)) => {
            let (start_ms, end_ms, step_ms) = (duration(4)?, duration(5)?, duration(6)?);
            (When::Range { start_ms, end_ms, step_ms }, query)
        }
        (None, None) => return Err(format!("bad eval: {head}")),
    };
    let mut eval = Eval {
        query: query.to_owned(),
        when,
        range_vector: None,
        fails: None,
        warns: Vec::new(),
        infos: Vec::new(),
        no_warn: false,
        no_info: false,
        ordered: false,
        string: None,
        scalar: None,
        series: Vec::new(),
    };
    match text(1) {
        Some("fail") => eval.fails = Some(Text::Any),
        Some("warn") => eval.warns.push(Text::Any),
        Some("info") => eval.infos.push(Text::Any),
        Some("ordered") => eval.ordered = true,
        _ => {}
    }
    Ok(eval)
}

impl Eval {
    /// Reads a line of the body; true when it ends the body.
    fn expectation(&mut self, line: &str) -> Result<bool, String> {
        if let Some(message) = line.strip_prefix("expected_fail_message ") {
            self.fails = Some(Text::Exactly(message.trim().to_owned()));
            return Ok(true);
        }
        if let Some(pattern) = line.strip_prefix("expected_fail_regexp ") {
            self.fails = Some(Text::Matching(Regex::new(pattern.trim()).map_err(|e| e.to_string())?));
            return Ok(true);
        }
        if let Some(rest) = line.strip_prefix("expect ") {
            self.expect(rest.trim())?;
            return Ok(false);
        }
        if let Some(value) = parse_float(line) {
            self.scalar = Some(value);
            return Ok(true);
        }
        self.series.push(parse_series_line(line)?);
        Ok(false)
    }

    fn expect(&mut self, rest: &str) -> Result<(), String> {
        if let Some(range) = rest.strip_prefix("range vector from ") {
            let words: Vec<&str> = range.split_whitespace().collect();
            let [from, "to", to, "step", step] = words[..] else { return Err(format!("bad range: {rest}")) };
            self.range_vector = Some((parse_signed(from)?, parse_signed(to)?, parse_duration_ms(step)?));
            return Ok(());
        }
        if let Some(literal) = rest.strip_prefix("string ") {
            let bytes = unquote(literal.trim())?;
            self.string = Some(String::from_utf8(bytes).map_err(|e| e.to_string())?);
            return Ok(());
        }
        let (word, condition) = rest.split_once(' ').unwrap_or((rest, ""));
        let condition = condition.trim();
        let text = if let Some(message) = condition.strip_prefix("msg:") {
            Text::Exactly(message.trim().to_owned())
        } else if let Some(pattern) = condition.strip_prefix("regex:") {
            Text::Matching(Regex::new(pattern.trim()).map_err(|e| e.to_string())?)
        } else if condition.is_empty() {
            Text::Any
        } else {
            return Err(format!("bad expectation: {rest}"));
        };
        match word {
            "fail" => self.fails = Some(text),
            "warn" => self.warns.push(text),
            "info" => self.infos.push(text),
            "no_warn" => self.no_warn = true,
            "no_info" => self.no_info = true,
            "ordered" => self.ordered = true,
            _ => return Err(format!("unknown expectation: {rest}")),
        }
        Ok(())
    }
}
