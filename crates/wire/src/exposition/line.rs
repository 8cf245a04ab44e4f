//! One sample line: `name{label="value", …} value [time] [# {label="value"} value [time]]`.

use super::Syntax;
use std::borrow::Cow;

/// A parsed sample line; labels were handed out while it was parsed.
#[derive(Debug, PartialEq)]
pub(super) struct SampleLine<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) exemplar: Option<RawExemplar>,
}

#[derive(Debug, PartialEq)]
pub(super) struct RawExemplar {
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
}

pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Cursor { rest: line }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, symbol: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The text up to the next blank.
    fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let end = self.rest.find([' ', '\t']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A bare name; empty when there is none.
    fn name(&mut self) -> &'a str {
        self.skip_blanks();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    /// The content of a quoted string whose opening quote comes next.
    fn quoted(&mut self) -> Result<Option<Cow<'a, str>>, String> {
        if !self.take('"') {
            return Ok(None);
        }
        let end = self.rest.find(['"', '\\']).ok_or("unterminated string")?;
        if self.rest.as_bytes()[end] == b'"' {
            let text = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            return Ok(Some(Cow::Borrowed(text)));
        }
        let mut text = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next().ok_or("unterminated string")? {
                '"' => break,
                '\\' => match characters.next().ok_or("unterminated string")? {
                    'n' => text.push('\n'),
                    quoted @ ('"' | '\\') => text.push(quoted),
                    other => text.extend(['\\', other]),
                },
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        Ok(Some(Cow::Owned(text)))
    }

    /// Labels behind an opening brace. A quoted string without `=` is the metric's name.
    fn labels(
        &mut self,
        metric_name: &mut Cow<'a, str>,
        mut label: impl FnMut(&str, &str),
    ) -> Result<(), String> {
        while !self.take('}') {
            let (name, was_quoted) = match self.quoted()? {
                Some(name) => (name, true),
                None => (Cow::Borrowed(self.name()), false),
            };
            if self.take('=') {
                let value = self.quoted()?.ok_or_else(|| format!("label `{name}` without a quoted value"))?;
                label(&name, &value);
            } else if was_quoted && metric_name.is_empty() {
                *metric_name = name;
            } else {
                return Err(format!("label `{name}` without `=`"));
            }
            if !self.take(',') {
                match self.take('}') {
                    true => return Ok(()),
                    false => return Err("expected `,` or `}` after a label".to_owned()),
                }
            }
        }
        Ok(())
    }

    pub(super) fn sample(
        mut self,
        syntax: Syntax,
        label: impl FnMut(&str, &str),
    ) -> Result<SampleLine<'a>, String> {
        let mut name = Cow::Borrowed(self.name());
        if self.take('{') {
            self.labels(&mut name, label)?;
        }
        if name.is_empty() {
            return Err("expected a metric name".to_owned());
        }
        let value = number(self.word())?;
        let mut timestamp_ms = None;
        if !self.at_end() && !self.rest.trim_start().starts_with('#') {
            timestamp_ms = Some(syntax.time(self.word())?);
        }
        let exemplar = match self.take('#') {
            true => Some(self.exemplar()?),
            false => None,
        };
        match self.at_end() {
            true => Ok(SampleLine { name, value, timestamp_ms, exemplar }),
            false => Err(format!("unexpected `{}` at the end of the line", self.rest.trim())),
        }
    }

    fn exemplar(&mut self) -> Result<RawExemplar, String> {
        if !self.take('{') {
            return Err("expected `{` after `#`".to_owned());
        }
        let mut labels = Vec::new();
        let mut no_name = Cow::Borrowed("exemplar");
        self.labels(&mut no_name, |name, value| labels.push((name.to_owned(), value.to_owned())))?;
        let value = number(self.word())?;
        let timestamp_ms = match self.at_end() {
            true => None,
            false => Some(Syntax::OpenMetrics.time(self.word())?),
        };
        Ok(RawExemplar { labels, value, timestamp_ms })
    }

    fn at_end(&self) -> bool {
        self.rest.trim_end().is_empty()
    }
}

fn number(word: &str) -> Result<f64, String> {
    model::parse_float(word.trim_end()).ok_or_else(|| format!("`{word}` is not a number"))
}
