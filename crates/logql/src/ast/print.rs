//! A query as one line of text, in Loki's form.

use super::{
    Binary, CompareValue, Expr, FormatSource, Grouping, LabelChoice, LabelFilter, LineFilter, LogExpr,
    RangeAggregation, SampleExpr, Stage, VectorAggregation,
};
use crate::units;
use std::fmt::{self, Display, Formatter, Write as _};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Log(log) => log.fmt(f),
            Expr::Sample(sample) => sample.fmt(f),
        }
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_selector(f, self)?;
        for stage in &self.stages {
            write!(f, " {stage}")?;
        }
        Ok(())
    }
}

pub(super) fn selector(log: &LogExpr) -> String {
    let matchers: Vec<_> = log.matchers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", matchers.join(", "))
}

fn write_selector(f: &mut Formatter<'_>, log: &LogExpr) -> fmt::Result {
    f.write_str(&selector(log))
}

impl Display for SampleExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SampleExpr::Range(range) => range.fmt(f),
            SampleExpr::Vector(vector) => vector.fmt(f),
            SampleExpr::Binary(binary) => binary.fmt(f),
            SampleExpr::Literal(value) => f.write_str(&literal(*value)),
            SampleExpr::VectorLiteral(value) => write!(f, "vector({value:.6})"),
            SampleExpr::LabelReplace(replace) => write!(
                f,
                "label_replace({},{:?},{:?},{:?},{:?})",
                replace.inner, replace.destination, replace.replacement, replace.source, replace.regex
            ),
        }
    }
}

pub(super) fn literal(value: f64) -> String {
    model::format_float(value)
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}", self.op.as_str(), range_parameter(self))?;
        self.log.fmt(f)?;
        f.write_str(&window(self))?;
        f.write_char(')')?;
        self.grouping.iter().try_for_each(|grouping| write!(f, "{grouping}"))
    }
}

pub(super) fn range_parameter(range: &RangeAggregation) -> String {
    range.parameter.map_or_else(String::new, |parameter| format!("{},", literal(parameter)))
}

/// The part behind the pipeline: ` | unwrap x[5m] offset 1m0s`.
pub(super) fn window(range: &RangeAggregation) -> String {
    let mut out = String::new();
    if let Some(unwrap) = &range.unwrap {
        match unwrap.conversion {
            Some(conversion) => out.push_str(&format!(" | unwrap {}({})", conversion.as_str(), unwrap.label)),
            None => out.push_str(&format!(" | unwrap {}", unwrap.label)),
        }
        for filter in &unwrap.filters {
            out.push_str(&format!(" | {filter}"));
        }
    }
    out.push_str(&format!("[{}]", units::range_to_string(range.range_ns)));
    if range.offset_ns != 0 {
        out.push_str(&format!(" offset {}", template::duration_to_string(range.offset_ns)));
    }
    out
}

/// ` by (a, b)`
impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = if self.without { "without" } else { "by" };
        write!(f, " {word} ({})", self.labels.join(", "))
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}{})", vector_head(self), vector_parameter(self), self.inner)
    }
}

pub(super) fn vector_head(vector: &VectorAggregation) -> String {
    let grouping = vector.grouping.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}{grouping}", vector.op.as_str())
}

pub(super) fn vector_parameter(vector: &VectorAggregation) -> String {
    vector.parameter.map_or_else(String::new, |k| format!("{k},"))
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} {}{} {})", self.lhs, self.op.as_str(), modifiers(self), self.rhs)
    }
}

/// ` bool on (a) group_left (b)`
pub(super) fn modifiers(binary: &Binary) -> String {
    let mut out = String::new();
    if binary.returns_bool {
        out.push_str(" bool");
    }
    if let Some(matching) = &binary.matching {
        let word = if matching.on { "on" } else { "ignoring" };
        out.push_str(&format!(" {word} ({})", matching.labels.join(",")));
        if let Some(group) = &matching.group {
            let word = if group.left { "group_left" } else { "group_right" };
            out.push_str(&format!(" {word} ({})", group.include.join(",")));
        }
    }
    out
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Line(filter) => filter.fmt(f),
            Stage::Json(extractions) => write!(f, "| json{}", extraction_list(extractions)),
            Stage::Logfmt { strict, keep_empty, extractions } => {
                f.write_str("| logfmt")?;
                if *strict {
                    f.write_str(" --strict")?;
                }
                if *keep_empty {
                    f.write_str(" --keep-empty")?;
                }
                f.write_str(&extraction_list(extractions))
            }
            Stage::Regexp(text) => write!(f, "| regexp {text:?}"),
            Stage::Pattern(text) => write!(f, "| pattern {text:?}"),
            Stage::Unpack => f.write_str("| unpack"),
            Stage::LabelFilter(filter) => write!(f, "| {filter}"),
            Stage::LineFormat(text) => write!(f, "| line_format {text:?}"),
            Stage::LabelFormat(formats) => {
                let formats: Vec<_> = formats
                    .iter()
                    .map(|format| match &format.source {
                        FormatSource::Rename(from) => format!("{}={from}", format.label),
                        FormatSource::Template(text) => format!("{}={text:?}", format.label),
                    })
                    .collect();
                write!(f, "| label_format {}", formats.join(","))
            }
            Stage::Decolorize => f.write_str("| decolorize"),
            Stage::Drop(choices) => write!(f, "| drop {}", choice_list(choices)),
            Stage::Keep(choices) => write!(f, "| keep {}", choice_list(choices)),
        }
    }
}

fn extraction_list(extractions: &[super::Extraction]) -> String {
    let pairs: Vec<_> =
        extractions.iter().map(|extraction| format!("{}={:?}", extraction.label, extraction.path)).collect();
    if pairs.is_empty() { String::new() } else { format!(" {}", pairs.join(",")) }
}

fn choice_list(choices: &[LabelChoice]) -> String {
    let choices: Vec<_> = choices
        .iter()
        .map(|choice| match choice {
            LabelChoice::Name(name) => name.clone(),
            LabelChoice::Matching(matcher) => matcher.to_string(),
        })
        .collect();
    choices.join(",")
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.op.as_str())?;
        for (i, needle) in self.needles.iter().enumerate() {
            if i > 0 {
                f.write_str(" or ")?;
            }
            if needle.ip { write!(f, "ip({:?})", needle.text)? } else { write!(f, "{:?}", needle.text)? }
        }
        Ok(())
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelFilter::And(a, b) => write!(f, "( {a} , {b} )"),
            LabelFilter::Or(a, b) => write!(f, "( {a} or {b} )"),
            LabelFilter::Text(matcher) => matcher.fmt(f),
            LabelFilter::Compare { label, op, value } => {
                let op = if op.as_str() == "==" { "=" } else { op.as_str() };
                write!(f, "{label}{op}{value}")
            }
            LabelFilter::Ip { label, negative, pattern } => {
                let op = if *negative { "!=" } else { "=" };
                write!(f, "{label}{op}ip({pattern:?})")
            }
        }
    }
}

impl Display for CompareValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            CompareValue::Number(value) => f.write_str(&literal(*value)),
            CompareValue::Duration(nanoseconds) => {
                // Whole minutes and hours lose their zero rest, as people write them.
                let text = template::duration_to_string(*nanoseconds);
                let text = text.strip_suffix("m0s").map_or(text.clone(), |rest| format!("{rest}m"));
                f.write_str(text.strip_suffix("h0m").map_or(text.clone(), |rest| format!("{rest}h")).as_str())
            }
            CompareValue::Bytes(bytes) => f.write_str(&units::bytes_to_string(*bytes)),
        }
    }
}
