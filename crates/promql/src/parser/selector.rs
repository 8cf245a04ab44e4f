//! Selectors (`up{job="a"}`, `{"my.metric"}`) and lists of labels.

use super::*;
use model::{METRIC_NAME, MatchOp, Matcher};

impl Parser {
    /// `name`, `name{…}` or `{…}`
    pub(super) fn vector_selector(&mut self) -> Parsed<VectorSelector> {
        let first = self.peek().clone();
        let mut name = None;
        if matches!(first.kind, Kind::Word | Kind::MetricWord) {
            self.advance();
            name = Some(first.text.clone());
        } else if first.kind != Kind::LeftBrace {
            return Err(self.unexpected("", ""));
        }
        let mut matchers: Vec<_> = name.iter().map(|name| Matcher::equal(METRIC_NAME, name)).collect();
        if self.peek().kind == Kind::LeftBrace {
            self.matchers(&mut name, &mut matchers, first.span)?;
        }
        let span = Span { start: first.span.start, end: self.last_end() };
        Ok(VectorSelector { name, matchers, modifiers: Modifiers::default(), extension: None, span })
    }

    /// `{a="b", "quoted name"!~"c"}`; a quoted text alone is the metric's name.
    fn matchers(
        &mut self,
        name: &mut Option<String>,
        matchers: &mut Vec<Matcher>,
        first: Span,
    ) -> Parsed<()> {
        self.advance();
        while self.take(Kind::RightBrace).is_none() {
            let label = self.peek().clone();
            match label.kind {
                Kind::Word => {
                    self.advance();
                    matchers.push(self.matcher(&label, label.text.clone())?);
                }
                Kind::String => {
                    self.advance();
                    let text = text(&label)?;
                    if matches!(self.peek().kind, Kind::Comma | Kind::RightBrace) {
                        set_name(name, text, label.span)?;
                        matchers.extend(name.iter().map(|name| Matcher::equal(METRIC_NAME, name)));
                    } else {
                        matchers.push(self.matcher(&label, text)?);
                    }
                }
                _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
            }
            if self.take(Kind::Comma).is_none() && self.peek().kind != Kind::RightBrace {
                return Err(self.unexpected("label matching", "\",\" or \"}\""));
            }
        }
        check_name_set_once(name.as_deref(), matchers, first)
    }

    /// The operator and value after a label's name.
    fn matcher(&mut self, label: &Token, name: String) -> Parsed<Matcher> {
        let op = match self.peek().kind {
            Kind::Equal => MatchOp::Equal,
            Kind::NotEqual => MatchOp::NotEqual,
            Kind::EqualRegex => MatchOp::Regex,
            Kind::NotRegex => MatchOp::NotRegex,
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.advance();
        if self.peek().kind != Kind::String {
            return Err(self.unexpected("label matching", "string"));
        }
        let value = text(&self.advance())?;
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
            self.patterns.add(&value).map_err(|problem| error(label.span, problem))?;
        }
        Matcher::new(name, op, value).map_err(|problem| error(label.span, problem.to_string()))
    }

    /// `(a, b)` after `by`, `on` and the like.
    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        self.expect(Kind::LeftParen, "grouping opts", "\"(\"")?;
        let mut labels = Vec::new();
        while self.take(Kind::RightParen).is_none() {
            let token = self.peek().clone();
            match token.kind {
                Kind::Word => labels.push(token.text.clone()),
                Kind::String => labels.push(text(&token)?),
                _ => return Err(self.unexpected("grouping opts", "label")),
            }
            self.advance();
            if self.take(Kind::Comma).is_none() && self.peek().kind != Kind::RightParen {
                return Err(self.unexpected("grouping opts", "\",\" or \")\""));
            }
        }
        Ok(labels)
    }
}

fn text(token: &Token) -> Parsed<String> {
    String::from_utf8(string_bytes(token)?)
        .map_err(|_| error(token.span, "invalid UTF-8 in string".to_owned()))
}

fn set_name(name: &mut Option<String>, value: String, span: Span) -> Parsed<()> {
    match name {
        Some(existing) => Err(set_twice(existing, &value, span)),
        None => {
            *name = Some(value);
            Ok(())
        }
    }
}

fn check_name_set_once(name: Option<&str>, matchers: &[Matcher], span: Span) -> Parsed<()> {
    let Some(name) = name else { return Ok(()) };
    match matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME).nth(1) {
        Some(second) => Err(set_twice(name, second.value(), span)),
        None => Ok(()),
    }
}

fn set_twice(first: &str, second: &str, span: Span) -> ParseError {
    error(span, format!("metric name must not be set twice: {} or {}", quote(first), quote(second)))
}
