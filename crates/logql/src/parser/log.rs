//! Selectors, pipelines and windows.

use super::Parser;
use crate::{
    ParseError,
    ast::{
        Conversion, Extraction, FormatSource, LabelChoice, LabelFormat, LineFilter, LineOp, LogExpr, Needle,
        RangeAggregation, RangeOp, Stage, Unwrap,
    },
    lexer::Kind,
};
use model::{MatchOp, Matcher};

impl Parser<'_> {
    /// A selector with its pipeline.
    pub(super) fn log_query(&mut self) -> Result<LogExpr, ParseError> {
        let matchers = self.selector()?;
        let mut stages = Vec::new();
        self.pipeline(&mut stages)?;
        Ok(LogExpr { matchers, stages })
    }

    fn selector(&mut self) -> Result<Vec<Matcher>, ParseError> {
        self.expect_sign("{")?;
        let mut matchers = Vec::new();
        if self.take_sign("}") {
            return Ok(matchers);
        }
        loop {
            let expecting = if matchers.is_empty() { "IDENTIFIER or }" } else { "IDENTIFIER" };
            let name = self.take_identifier_or(expecting)?;
            matchers.push(self.matcher(name)?);
            if self.take_sign("}") {
                return Ok(matchers);
            }
            if !self.take_sign(",") {
                return self.unexpected("} or ,");
            }
        }
    }

    /// The operator and value behind a label's name.
    pub(super) fn matcher(&mut self, name: String) -> Result<Matcher, ParseError> {
        let op = match &self.peek().kind {
            Kind::Sign("=") => MatchOp::Equal,
            Kind::Sign("!=") => MatchOp::NotEqual,
            Kind::Sign("=~") => MatchOp::Regex,
            Kind::Sign("!~") => MatchOp::NotRegex,
            _ => return self.unexpected("= or =~ or !~ or !="),
        };
        self.advance();
        let value = self.take_string()?;
        Matcher::new(name, op, value).map_err(|error| ParseError::new(error.to_string()))
    }

    /// Stages as far as they go. Stops in front of `| unwrap`.
    pub(super) fn pipeline(&mut self, stages: &mut Vec<Stage>) -> Result<(), ParseError> {
        loop {
            if let Some(op) = self.line_operator() {
                self.advance();
                stages.push(Stage::Line(self.line_filter(op)?));
            } else if self.is_sign("|") && !self.unwraps() {
                self.advance();
                stages.push(self.stage()?);
            } else {
                return Ok(());
            }
        }
    }

    fn unwraps(&self) -> bool {
        matches!(self.peek_after(1), Kind::Identifier(word) if word == "unwrap")
    }

    fn line_operator(&self) -> Option<LineOp> {
        match &self.peek().kind {
            Kind::Sign(sign) => LineOp::from_name(sign),
            _ => None,
        }
    }

    fn line_filter(&mut self, op: LineOp) -> Result<LineFilter, ParseError> {
        let mut needles = vec![self.needle(op)?];
        while self.is_word("or") {
            self.advance();
            needles.push(self.needle(op)?);
        }
        Ok(LineFilter { op, needles })
    }

    fn needle(&mut self, op: LineOp) -> Result<Needle, ParseError> {
        let is_ip = self.is_word("ip") && matches!(self.peek_after(1), Kind::Sign("("));
        if !is_ip {
            return Ok(Needle { ip: false, text: self.take_string_or("STRING or ip")? });
        }
        if !matches!(op, LineOp::Contains | LineOp::ContainsNot) {
            return Err(ParseError::new(format!("ip: unsupported filter operation: {}", op.as_str())));
        }
        self.advance();
        self.advance();
        let text = self.take_string()?;
        self.expect_sign(")")?;
        Ok(Needle { ip: true, text })
    }

    /// The stage behind `|`.
    fn stage(&mut self) -> Result<Stage, ParseError> {
        self.conditions = 0;
        let Kind::Identifier(word) = self.peek().kind.clone() else {
            return match self.is_sign("(") {
                true => Ok(Stage::LabelFilter(self.label_filter()?)),
                false => self.unexpected(""),
            };
        };
        // A label may be called like a stage: it is one when a comparison follows.
        let compares = matches!(
            self.peek_after(1),
            Kind::Sign("=" | "==" | "!=" | "=~" | "!~" | ">" | ">=" | "<" | "<=")
        );
        let filters_line = matches!(self.peek_after(1), Kind::Sign("!=" | "!~"));
        let takes_nothing = matches!(word.as_str(), "json" | "logfmt" | "unpack" | "decolorize");
        if compares && !(filters_line && takes_nothing) {
            return Ok(Stage::LabelFilter(self.label_filter()?));
        }
        match word.as_str() {
            "json" => {
                self.advance();
                Ok(Stage::Json(self.extractions()?))
            }
            "logfmt" => {
                self.advance();
                self.logfmt()
            }
            "regexp" => {
                self.advance();
                Ok(Stage::Regexp(self.take_string()?))
            }
            "pattern" => {
                self.advance();
                Ok(Stage::Pattern(self.take_string()?))
            }
            "line_format" => {
                self.advance();
                Ok(Stage::LineFormat(self.take_string()?))
            }
            "label_format" => {
                self.advance();
                self.label_format()
            }
            "unpack" => {
                self.advance();
                Ok(Stage::Unpack)
            }
            "decolorize" => {
                self.advance();
                Ok(Stage::Decolorize)
            }
            "drop" => {
                self.advance();
                Ok(Stage::Drop(self.choices()?))
            }
            "keep" => {
                self.advance();
                Ok(Stage::Keep(self.choices()?))
            }
            _ => Ok(Stage::LabelFilter(self.label_filter()?)),
        }
    }

    /// `a="b.c", d`, which may be empty.
    fn extractions(&mut self) -> Result<Vec<Extraction>, ParseError> {
        let mut extractions = Vec::new();
        if !matches!(&self.peek().kind, Kind::Identifier(word) if !super::is_keyword(word)) {
            return Ok(extractions);
        }
        loop {
            let label = self.take_identifier()?;
            let path = if self.take_sign("=") { self.take_string()? } else { label.clone() };
            extractions.push(Extraction { label, path });
            if !self.take_sign(",") {
                return Ok(extractions);
            }
        }
    }

    fn logfmt(&mut self) -> Result<Stage, ParseError> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Some((words, length)) = self.flag() {
            match words {
                "strict" => strict = true,
                _ => keep_empty = true,
            }
            self.next += length;
        }
        Ok(Stage::Logfmt { strict, keep_empty, extractions: self.extractions()? })
    }

    /// `--strict` or `--keep-empty` here, with its number of tokens.
    fn flag(&self) -> Option<(&'static str, usize)> {
        let text = &self.text[self.peek().start..];
        let starts = |flag: &str| {
            text.strip_prefix(flag)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-'))
        };
        if starts("--strict") {
            Some(("strict", 3))
        } else if starts("--keep-empty") {
            Some(("keep-empty", 5))
        } else {
            None
        }
    }

    fn label_format(&mut self) -> Result<Stage, ParseError> {
        let mut formats = Vec::new();
        loop {
            let label = self.take_identifier()?;
            self.expect_sign("=")?;
            let source = match &self.peek().kind {
                Kind::String(text) => FormatSource::Template(text.clone()),
                Kind::Identifier(name) => FormatSource::Rename(name.clone()),
                _ => return self.unexpected("IDENTIFIER or STRING"),
            };
            self.advance();
            formats.push(LabelFormat { label, source });
            if !self.take_sign(",") {
                return Ok(Stage::LabelFormat(formats));
            }
        }
    }

    fn choices(&mut self) -> Result<Vec<LabelChoice>, ParseError> {
        let mut choices = Vec::new();
        loop {
            let name = self.take_identifier()?;
            let matches = matches!(&self.peek().kind, Kind::Sign("=" | "!=" | "=~" | "!~"));
            choices.push(if matches {
                LabelChoice::Matching(self.matcher(name)?)
            } else {
                LabelChoice::Name(name)
            });
            if !self.take_sign(",") {
                return Ok(choices);
            }
        }
    }

    // --- windows

    /// `{…} | … | unwrap x [5m] offset 1m`, whose range may also stand right behind the selector.
    pub(super) fn window(&mut self) -> Result<RangeAggregation, ParseError> {
        let mut parts = WindowParts::default();
        let log = self.nested(|parser| parser.window_parts(&mut parts))?;
        let Some(range_ns) = parts.range_ns else {
            return self.unexpected("");
        };
        Ok(RangeAggregation {
            op: RangeOp::Count,
            parameter: None,
            log,
            range_ns,
            offset_ns: parts.offset_ns,
            unwrap: parts.unwrap,
            grouping: None,
        })
    }

    fn window_parts(&mut self, parts: &mut WindowParts) -> Result<LogExpr, ParseError> {
        let mut log = if self.take_sign("(") {
            let inner = self.nested(|parser| parser.window_parts(parts))?;
            self.expect_sign(")")?;
            inner
        } else {
            LogExpr { matchers: self.selector()?, stages: Vec::new() }
        };
        loop {
            if parts.unwrap.is_none() {
                self.pipeline(&mut log.stages)?;
            }
            if parts.unwrap.is_none() && self.is_sign("|") && self.unwraps() {
                self.advance();
                self.advance();
                parts.unwrap = Some(self.unwrap()?);
                continue;
            }
            let Kind::Range(range_ns) = self.peek().kind else {
                return Ok(log);
            };
            if parts.range_ns.is_some() {
                return self.unexpected("");
            }
            parts.range_ns = Some(range_ns);
            self.advance();
            if self.take_word("offset") {
                parts.offset_ns = self.offset()?;
            }
        }
    }

    fn offset(&mut self) -> Result<i64, ParseError> {
        let negative = self.take_sign("-");
        let nanoseconds = match &self.peek().kind {
            Kind::Duration(nanoseconds) => *nanoseconds,
            Kind::Number(text) if text == "0" => 0,
            _ => return self.unexpected("DURATION"),
        };
        self.advance();
        Ok(if negative { -nanoseconds } else { nanoseconds })
    }

    /// What stands behind `| unwrap`.
    fn unwrap(&mut self) -> Result<Unwrap, ParseError> {
        let name = self.take_identifier()?;
        let conversion = match name.as_str() {
            "bytes" => Some(Conversion::Bytes),
            "duration" => Some(Conversion::Duration),
            "duration_seconds" => Some(Conversion::DurationSeconds),
            _ => None,
        };
        let (label, conversion) = match conversion {
            Some(conversion) if self.take_sign("(") => {
                let label = self.take_identifier()?;
                self.expect_sign(")")?;
                (label, Some(conversion))
            }
            _ => (name, None),
        };
        let mut filters = Vec::new();
        while self.is_sign("|") {
            self.advance();
            self.conditions = 0;
            filters.push(self.label_filter()?);
        }
        Ok(Unwrap { label, conversion, filters })
    }
}

#[derive(Default)]
struct WindowParts {
    range_ns: Option<i64>,
    offset_ns: i64,
    unwrap: Option<Unwrap>,
}
