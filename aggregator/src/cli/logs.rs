//! `bellwether logs`

use super::{
    client::{Address, Connection, block_on, may_pass},
    output::tell,
    query::{PATIENCE, series},
    span::Span,
};
use anyhow::bail;
use daemon::clock;
use serde_json::{Value, json};
use std::{
    collections::{HashSet, VecDeque},
    io::Write,
    time::Duration,
};

/// How often new lines are asked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often a server that is away is asked.
const RETRY_INTERVAL: Duration = Duration::from_secs(3);
/// How far back each question reaches, for lines that come late.
const OVERLAP_NS: i64 = 10_000_000_000;
/// Most lines of one question.
const PAGE_LINES: usize = 5000;
/// Lines remembered so that none is printed twice.
const SEEN_MAX: usize = 100_000;

/// Search log lines, or follow them.
///
/// Prints the newest lines that a LogQL query finds, oldest first. With --follow it goes on with
/// those that arrive, also after the server was away. Works with any server that speaks Loki's HTTP API.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// LogQL query, such as '{job="api"} |= "timeout"'
    #[arg(value_name = "QUERY")]
    query: String,
    #[command(flatten)]
    span: Span,
    /// Most lines to begin with
    #[arg(long, default_value_t = 100, value_name = "LINES")]
    limit: usize,
    /// Go on with lines that arrive
    #[arg(long, short)]
    follow: bool,
    /// How to print a line
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    address: Address,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Output {
    /// Time, labels and line
    Text,
    /// The line alone
    Raw,
    /// One JSON object for each line
    Json,
}

/// A line as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Line {
    time_ns: i64,
    labels: String,
    text: String,
}

/// How to search for what was asked, when it is words and no LogQL, which has a selector in braces.
fn advice_for_words(query: &str) -> Option<String> {
    let is_words = !query.contains('{');
    is_words.then(|| {
        format!("this is no LogQL query; lines that contain it are found by '{{service_name=~\".+\"}} |= {query:?}'")
    })
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if let Some(advice) = advice_for_words(&args.query) {
        bail!(advice);
    }
    block_on(async move {
        let server = args.address.connect(PATIENCE)?;
        let (start, end) = args.span.resolve("1h")?;
        let found = ask(&server, &args.query, (start, end), args.limit, "backward").await?;
        print(&found, args.output)?;
        if args.follow {
            follow(&server, &args, found, end).await?;
        }
        Ok(())
    })
}

/// Asks for what has come since, again and again, until the process is ended. A server that is away is
/// waited for, and what came meanwhile is asked for then.
async fn follow(server: &Connection, args: &Args, found: Vec<Line>, end: i64) -> anyhow::Result<()> {
    let mut seen = Seen::default();
    let first = end.saturating_sub(OVERLAP_NS);
    // Lines of the overlap that the limit kept back are not news.
    let recent = ask(server, &args.query, (first, end), PAGE_LINES, "backward").await?;
    for line in found.iter().chain(&recent) {
        seen.is_new(line);
    }
    let (mut from, mut is_away) = (end, false);
    loop {
        tokio::time::sleep(if is_away { RETRY_INTERVAL } else { POLL_INTERVAL }).await;
        let now = clock::now_ns();
        let range = (from.saturating_sub(OVERLAP_NS).max(first), now);
        if range.0 >= range.1 {
            continue;
        }
        let mut fresh = match ask(server, &args.query, range, PAGE_LINES, "forward").await {
            Ok(fresh) => fresh,
            Err(error) if may_pass(&error) => {
                if !is_away {
                    tell(format_args!("bellwether: {error:#}; waiting for it"));
                }
                is_away = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        is_away = false;
        // A full page is read on from its last line.
        from = if fresh.len() < PAGE_LINES {
            now
        } else {
            fresh.last().map_or(now, |line| line.time_ns + OVERLAP_NS)
        };
        fresh.retain(|line| seen.is_new(line));
        print(&fresh, args.output)?;
    }
}

/// The lines printed last.
#[derive(Default)]
struct Seen {
    lines: HashSet<Line>,
    order: VecDeque<Line>,
}

impl Seen {
    fn is_new(&mut self, line: &Line) -> bool {
        if !self.lines.insert(line.clone()) {
            return false;
        }
        self.order.push_back(line.clone());
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.lines.remove(&oldest);
        }
        true
    }
}

async fn ask(
    server: &Connection,
    query: &str,
    (start, end): (i64, i64),
    limit: usize,
    direction: &str,
) -> anyhow::Result<Vec<Line>> {
    let params = [
        ("query", query.to_owned()),
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("limit", limit.to_string()),
        ("direction", direction.to_owned()),
    ];
    let answer = server.post_form("loki/api/v1/query_range", &params).await?;
    lines(&answer["data"])
}

/// The lines of all streams, oldest first.
fn lines(data: &Value) -> anyhow::Result<Vec<Line>> {
    if data["resultType"] != "streams" {
        bail!("this is a metric query; ask it with `bellwether query --logql`");
    }
    let mut found = Vec::new();
    for stream in data["result"].as_array().into_iter().flatten() {
        let labels = series(&stream["stream"]);
        for entry in stream["values"].as_array().into_iter().flatten() {
            let time_ns = entry[0].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
            let text = entry[1].as_str().unwrap_or_default().to_owned();
            found.push(Line { time_ns, labels: labels.clone(), text });
        }
    }
    found.sort_by_key(|line| line.time_ns);
    Ok(found)
}

fn print(lines: &[Line], output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", show(line, output))?;
    }
    out.flush()?;
    Ok(())
}

fn show(line: &Line, output: Output) -> String {
    let time = || {
        let time = jiff::Timestamp::from_nanosecond(line.time_ns.into());
        time.map_or_else(|_| line.time_ns.to_string(), |time| format!("{time:.3}"))
    };
    match output {
        Output::Raw => line.text.clone(),
        Output::Text => format!("{} {} {}", time(), line.labels, line.text),
        Output::Json => {
            json!({"time": line.time_ns.to_string(), "labels": line.labels, "line": line.text}).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_how_to_be_searched_for() {
        let advice = advice_for_words("shop").unwrap();
        assert!(advice.ends_with(r#"'{service_name=~".+"} |= "shop"'"#), "{advice}");
        assert_eq!(advice_for_words(r#"{job="a"} |= "shop""#), None);
    }

    #[test]
    fn lines_of_all_streams_by_time() {
        let data = json!({"resultType": "streams", "result": [
            {"stream": {"app": "b"}, "values": [["3000000000", "z"], ["1000000000", "x"]]},
            {"stream": {"app": "a"}, "values": [["2000000000", "y"]]},
        ]});
        let found = lines(&data).unwrap();
        let shown: Vec<_> = found.iter().map(|line| show(line, Output::Text)).collect();
        assert_eq!(
            shown,
            [
                r#"1970-01-01T00:00:01.000Z {app="b"} x"#,
                r#"1970-01-01T00:00:02.000Z {app="a"} y"#,
                r#"1970-01-01T00:00:03.000Z {app="b"} z"#
            ]
        );
        assert_eq!(show(&found[0], Output::Raw), "x");
        assert!(lines(&json!({"resultType": "matrix"})).is_err());
    }

    #[test]
    fn no_line_is_printed_twice() {
        let mut seen = Seen::default();
        let line = |time_ns| Line { time_ns, labels: String::new(), text: "x".into() };
        assert!(seen.is_new(&line(1)) && seen.is_new(&line(2)) && !seen.is_new(&line(1)));
    }
}
