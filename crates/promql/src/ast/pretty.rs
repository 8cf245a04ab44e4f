//! The tree as text over several lines: what fits a line stays on one, the rest is indented.

use super::{Aggregate, Expr, print};

/// Longer expressions are split.
const LINE_CHARS_MAX: usize = 100;

impl Expr {
    /// The expression in its canonical form, split into lines where it is long.
    pub fn pretty(&self) -> String {
        self.pretty_at(0)
    }

    fn pretty_at(&self, level: usize) -> String {
        let indent = "  ".repeat(level);
        let line = self.to_string();
        if line.len() <= LINE_CHARS_MAX {
            return format!("{indent}{line}");
        }
        match self {
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {
                format!("{indent}{line}")
            }
            Expr::Paren(node) => format!("{indent}(\n{}\n{indent})", node.expr.pretty_at(level + 1)),
            Expr::Subquery(node) => format!("{}{}", node.expr.pretty_at(level), print::SubqueryTail(node)),
            Expr::Unary(node) => {
                let sign = if node.negative { "-" } else { "+" };
                format!("{indent}{sign}{}", node.expr.pretty_at(level).trim_start())
            }
            Expr::Binary(node) => format!(
                "{}\n{indent}{}{}\n{}",
                node.left.pretty_at(level + 1),
                node.op.as_str(),
                print::Modifier(node),
                node.right.pretty_at(level + 1)
            ),
            Expr::Aggregate(node) => pretty_aggregate(node, level),
            Expr::Call(node) => {
                let args: Vec<_> = node.args.iter().map(|arg| arg.pretty_at(level + 1)).collect();
                format!("{indent}{}(\n{}\n{indent})", node.function.name, args.join(",\n"))
            }
        }
    }
}

fn pretty_aggregate(node: &Aggregate, level: usize) -> String {
    let indent = "  ".repeat(level);
    let args: Vec<_> =
        node.parameter.iter().chain([&node.expr]).map(|arg| arg.pretty_at(level + 1)).collect();
    format!("{indent}{}(\n{}\n{indent})", print::AggregateHead(node), args.join(",\n"))
}

#[cfg(test)]
mod tests {
    use crate::parser::{ParseOptions, parse};

    #[test]
    fn long_expressions_are_split_and_mean_the_same() {
        let text = "sum by (instance, job) (rate(http_requests_total{job=\"api-server\",code=~\"5..\"}[5m])) \
                    / on (instance) group_left (job) (sum(rate(http_requests_total[5m])) + topk(3, \
                    max_over_time(rate(http_request_duration_seconds_count{handler=\"/api/v1/query_range\"}[5m])[1h:1m])))";
        let expr = parse(text, &ParseOptions::default()).unwrap();
        let pretty = expr.pretty();
        let expected =
            "  sum by (instance, job) (rate(http_requests_total{code=~\"5..\",job=\"api-server\"}[5m]))
/ on (instance) group_left (job)
  (
      sum(rate(http_requests_total[5m]))
    +
      topk(
        3,
        max_over_time(rate(http_request_duration_seconds_count{handler=\"/api/v1/query_range\"}[5m])[1h:1m])
      )
  )";
        assert_eq!(pretty, expected);
        assert_eq!(parse(&pretty, &ParseOptions::default()).unwrap().to_string(), expr.to_string());
        assert_eq!(parse("a+b", &ParseOptions::default()).unwrap().pretty(), "a + b");
    }
}
