//! A query over several lines, as `format_query` answers: whatever fits a line stays on one.

use super::{Expr, LogExpr, SampleExpr, print};

/// Longest line that is left whole.
const LINE_MAX: usize = 100;

/// Lays a query out.
pub fn pretty(expr: &Expr) -> String {
    match expr {
        Expr::Log(log) => log_lines(log, 0),
        Expr::Sample(sample) => sample_lines(sample, 0),
    }
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn fits(text: &str) -> bool {
    text.len() <= LINE_MAX
}

fn log_lines(log: &LogExpr, level: usize) -> String {
    let whole = log.to_string();
    if fits(&whole) {
        return format!("{}{whole}", indent(level));
    }
    let mut out = format!("{}{}", indent(level), print::selector(log));
    for stage in &log.stages {
        out.push_str(&format!("\n{}{stage}", indent(level + 1)));
    }
    out
}

fn sample_lines(sample: &SampleExpr, level: usize) -> String {
    let whole = sample.to_string();
    if fits(&whole) {
        return format!("{}{whole}", indent(level));
    }
    let here = indent(level);
    match sample {
        SampleExpr::Range(range) => {
            let grouping = range.grouping.as_ref().map(ToString::to_string).unwrap_or_default();
            let log = split_log(&range.log, level + 1);
            let window = print::window(range);
            let space = if range.unwrap.is_none() { " " } else { "" };
            let parameter = print::range_parameter(range);
            let parameter =
                if parameter.is_empty() { parameter } else { format!("{}{parameter}\n", indent(level + 1)) };
            format!("{here}{}(\n{parameter}{log}{space}{window}\n{here}){grouping}", range.op.as_str())
        }
        SampleExpr::Vector(vector) => {
            let parameter = print::vector_parameter(vector);
            let parameter =
                if parameter.is_empty() { parameter } else { format!("{}{parameter}\n", indent(level + 1)) };
            let inner = sample_lines(&vector.inner, level + 1);
            format!("{here}{}(\n{parameter}{inner}\n{here})", print::vector_head(vector))
        }
        SampleExpr::Binary(binary) => {
            let lhs = sample_lines(&binary.lhs, level + 1);
            let rhs = sample_lines(&binary.rhs, level + 1);
            format!("{lhs}\n{here}{}{}\n{rhs}", binary.op.as_str(), print::modifiers(binary))
        }
        SampleExpr::LabelReplace(replace) => {
            let inner = sample_lines(&replace.inner, level + 1);
            let deeper = indent(level + 1);
            format!(
                "{here}label_replace(\n{inner},\n{deeper}{:?},\n{deeper}{:?},\n{deeper}{:?},\n{deeper}{:?}\n{here})",
                replace.destination, replace.replacement, replace.source, replace.regex
            )
        }
        SampleExpr::Literal(_) | SampleExpr::VectorLiteral(_) => format!("{here}{whole}"),
    }
}

/// The selector and each stage on a line of its own.
fn split_log(log: &LogExpr, level: usize) -> String {
    let mut out = format!("{}{}", indent(level), print::selector(log));
    for stage in &log.stages {
        out.push_str(&format!("\n{}{stage}", indent(level + 1)));
    }
    out
}
