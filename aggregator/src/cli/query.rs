//! `bellwether query`

use super::{
    client::{Address, block_on},
    output::tell,
    span::{Span, parse_duration, parse_time},
};
use anyhow::{anyhow, bail};
use serde_json::Value;
use std::{io::Write, time::Duration};

/// Longest wait for an answer; the server has its own, shorter one.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Points of a range when no step is given.
const POINTS_DEFAULT: i64 = 250;
const SECOND_NS: i64 = 1_000_000_000;

/// Ask a PromQL or LogQL question.
///
/// At one instant, or with --since or --start over a range of time. Works with any server that
/// speaks Prometheus' or Loki's HTTP API.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// PromQL expression, or LogQL with --logql
    #[arg(value_name = "QUERY")]
    query: String,
    /// The query is LogQL
    #[arg(long)]
    logql: bool,
    /// The instant: Unix seconds, or RFC 3339; now when absent
    #[arg(long, value_name = "TIME", conflicts_with_all = ["since", "start", "end"])]
    time: Option<String>,
    #[command(flatten)]
    span: Span,
    /// Distance of the points of a range
    #[arg(long, value_name = "DURATION")]
    step: Option<String>,
    /// How to print the answer
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    address: Address,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    block_on(async move {
        let (path, params) = question(&args)?;
        let connection = args.address.connect(PATIENCE)?;
        let answer = connection.post_form(path, &params).await.map_err(with_advice)?;
        let mut out = std::io::stdout().lock();
        for warning in answer["warnings"].as_array().into_iter().flatten() {
            tell(format_args!("warning: {}", warning.as_str().unwrap_or_default()));
        }
        match args.output {
            Output::Json => writeln!(out, "{}", answer["data"])?,
            Output::Text => out.write_all(text(&answer["data"]).as_bytes())?,
        }
        Ok(())
    })
}

/// A refusal, with the way to ask when the question was put in the wrong language or form.
fn with_advice(error: anyhow::Error) -> anyhow::Error {
    let said = format!("{error:#}");
    if said.contains("unexpected character: '|'") {
        return anyhow!(
            "{said}; if this is LogQL, add --logql, or ask for the lines themselves with `bellwether logs`"
        );
    }
    if said.contains("log queries are not supported as an instant query") {
        return anyhow!("{said}; `bellwether logs` shows the lines");
    }
    error
}

type Question = (&'static str, Vec<(&'static str, String)>);

fn question(args: &Args) -> anyhow::Result<Question> {
    let mut params = vec![("query", args.query.clone())];
    let is_range = args.span.is_given();
    if args.step.is_some() && !is_range {
        bail!(
            "--step is the distance of the points of a range: say which with --since, such as --since 1h, or --start"
        );
    }
    if args.span.has_end() && !is_range {
        bail!(
            "--end is the end of a range: say where it begins with --since or --start, or ask at one instant with --time"
        );
    }
    let path = match (args.logql, is_range) {
        (false, false) => "api/v1/query",
        (false, true) => "api/v1/query_range",
        (true, false) => "loki/api/v1/query",
        (true, true) => "loki/api/v1/query_range",
    };
    // Loki reads a long number as nanoseconds, Prometheus a decimal one as seconds.
    let time = |nanoseconds: i64| match args.logql {
        true => nanoseconds.to_string(),
        false => format!("{}.{:03}", nanoseconds / SECOND_NS, nanoseconds % SECOND_NS / 1_000_000),
    };
    if is_range {
        let (start, end) = args.span.resolve("1h")?;
        let step = match &args.step {
            Some(text) => parse_duration(text)?,
            None => ((end - start) / POINTS_DEFAULT / SECOND_NS).max(1) * SECOND_NS,
        };
        params.push(("start", time(start)));
        params.push(("end", time(end)));
        params.push(("step", (step as f64 / 1e9).to_string()));
    } else if let Some(text) = &args.time {
        params.push(("time", time(parse_time(text)?)));
    }
    Ok((path, params))
}

/// One line for each value: `{job="a"} => 5 @[1795168800]`.
fn text(data: &Value) -> String {
    let mut out = String::new();
    let result = &data["result"];
    match data["resultType"].as_str().unwrap_or_default() {
        "scalar" | "string" => out.push_str(&format!("{}\n", point(result))),
        "vector" => {
            for element in result.as_array().into_iter().flatten() {
                out.push_str(&format!("{} => {}\n", series(&element["metric"]), value_of(element)));
            }
        }
        "matrix" => {
            for element in result.as_array().into_iter().flatten() {
                out.push_str(&format!("{} =>\n", series(&element["metric"])));
                for pair in element["values"].as_array().into_iter().flatten() {
                    out.push_str(&format!("{}\n", point(pair)));
                }
            }
        }
        "streams" => {
            for stream in result.as_array().into_iter().flatten() {
                for entry in stream["values"].as_array().into_iter().flatten() {
                    let line = entry[1].as_str().unwrap_or_default();
                    out.push_str(&format!("{} {line}\n", series(&stream["stream"])));
                }
            }
        }
        other => out.push_str(&format!("a result of the unknown type {other:?}; use --output json\n")),
    }
    out
}

fn value_of(element: &Value) -> String {
    match &element["value"] {
        // A native histogram has no single value.
        Value::Null => element["histogram"].to_string(),
        pair => point(pair),
    }
}

fn point(pair: &Value) -> String {
    format!("{} @[{}]", pair[1].as_str().unwrap_or_default(), pair[0])
}

/// `name{a="b"}`
pub(super) fn series(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let inner: Vec<_> = pairs
        .filter(|(name, _)| name.as_str() != "__name__")
        .map(|(name, value)| format!("{name}={:?}", text(value)))
        .collect();
    format!("{}{{{}}}", text(&labels["__name__"]), inner.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn asked(line: &[&str]) -> Question {
        try_asked(line).unwrap()
    }

    fn try_asked(line: &[&str]) -> anyhow::Result<Question> {
        question(&Line::parse_from(["query"].iter().chain(line)).args)
    }

    #[test]
    fn what_is_only_of_a_range_needs_one() {
        for (line, expected) in [
            (&["up", "--step", "1m"][..], "--since"),
            (&["up", "--step", "1m", "--time", "100"], "--since"),
            (&["up", "--end", "100"], "--time"),
            (&["up", "--since", "5"], "`5` has no unit; write 5s"),
            (&["up", "--since", "1h", "--step", "60"], "`60` has no unit; write 60s"),
        ] {
            let error = try_asked(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line:?}: {error}");
        }
    }

    #[test]
    fn a_question_in_the_wrong_language_is_told_how_to_be_asked() {
        for (said, advice) in [
            ("1:11: parse error: unexpected character: '|'", "--logql"),
            ("log queries are not supported as an instant query type, please change", "`bellwether logs`"),
        ] {
            let told = with_advice(anyhow!(said)).to_string();
            assert!(told.starts_with(said) && told.contains(advice), "{told}");
        }
        assert_eq!(with_advice(anyhow!("query timed out")).to_string(), "query timed out");
    }

    #[test]
    fn questions() {
        let pair = |name, value: &str| (name, value.to_owned());
        assert_eq!(asked(&["up"]), ("api/v1/query", vec![pair("query", "up")]));
        assert_eq!(
            asked(&["up", "--start", "100", "--end", "600.5", "--step", "1m"]),
            (
                "api/v1/query_range",
                vec![
                    pair("query", "up"),
                    pair("start", "100.000"),
                    pair("end", "600.500"),
                    pair("step", "60")
                ]
            )
        );
        let (path, params) = asked(&["rate({a=\"b\"}[5m])", "--logql", "--time", "100"]);
        assert_eq!((path, &params[1]), ("loki/api/v1/query", &pair("time", "100000000000")));
    }

    #[test]
    fn answers_as_text() {
        for (data, expected) in [
            (json!({"resultType": "scalar", "result": [1, "2"]}), "2 @[1]\n"),
            (
                json!({"resultType": "vector", "result": [{"metric": {"__name__": "up", "job": "a"}, "value": [1, "1"]}]}),
                "up{job=\"a\"} => 1 @[1]\n",
            ),
            (
                json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"], [2, "3"]]}]}),
                "{} =>\n2 @[1]\n3 @[2]\n",
            ),
        ] {
            assert_eq!(text(&data), expected);
        }
    }
}
