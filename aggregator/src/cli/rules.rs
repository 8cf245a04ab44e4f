//! `bellwether rules`

use super::{
    client::{Connection, Server, Table, block_on, labels, span, text},
    output::tell,
};
use crate::config::parse_duration_ms;
use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    io::{IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

const REPLAY: &str = "api/bellwether/v1/rules/replay";
/// What a terminal clears its line for, from where the next text goes.
const CLEAR_LINE: &[u8] = b"\x1b[K";
/// Longest that a replay may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Ask a running server about rules.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Show what would have fired
    ///
    /// The server evaluates the rules over what it has stored, at the times of the past, with the
    /// evaluator that it uses now. Nobody is told and nothing is stored. Without files, the rules in
    /// force are replayed.
    ///
    ///   bellwether rules replay --last 7d rules/disks.yml
    #[command(verbatim_doc_comment)]
    Replay {
        /// Rule files, or folders of them
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// How far back
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        last: String,
        /// Only alerts of this name
        #[arg(long, value_name = "NAME")]
        alert: Option<String>,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Command::Replay { paths, last, alert } = &args.command;
    let last_ms = parse_duration_ms(last).map_err(anyhow::Error::msg).context("--last")?;
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in alerting::rules::rule_files(paths, &mut problems) {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        files.push(json!({"name": path.display().to_string(), "text": text}));
    }
    if !problems.is_empty() {
        bail!("{}", alerting::Problems(problems));
    }
    if !paths.is_empty() && files.is_empty() {
        bail!("no rule files there");
    }
    let connection = args.server.connect(PATIENCE)?;
    block_on(async {
        let wanted = json!({"files": files, "last_ms": last_ms, "alert": alert});
        let asked = connection.post(REPLAY, &wanted);
        let answer = tokio::select! {
            answer = asked => answer,
            never = tell_progress(&connection, last_ms) => match never {},
        };
        if std::io::stderr().is_terminal() {
            drop(std::io::stderr().write_all(CLEAR_LINE));
        }
        let answer = answer?;
        if connection.shows_json(&answer)? {
            return Ok(());
        }
        let mut table = Table::new(["ALERT", "FIRED", "LASTED", "LABELS"]);
        for episode in answer["episodes"].as_array().into_iter().flatten() {
            table.row(row(episode));
        }
        table.show("nothing would have fired")?;
        for error in answer["errors"].as_array().into_iter().flatten() {
            let (rule, count, error) = (text(error, "rule"), &error["count"], text(error, "error"));
            tell(format_args!("rule `{rule}` failed {count} times: {error}"));
        }
        if answer["truncated"].as_bool().unwrap_or(false) {
            tell("there were more; ask for less time, or for one --alert");
        }
        let seconds = answer["seconds"].as_f64().unwrap_or(0.0);
        tell(format_args!("{} evaluations in {seconds:.1} s", answer["evaluations"]));
        Ok(())
    })
}

/// Says on standard error how far the replay is: in place on a terminal, and else a line now and then.
async fn tell_progress(connection: &Connection, last_ms: i64) -> Infallible {
    let is_terminal = std::io::stderr().is_terminal();
    let pause = if is_terminal { Duration::from_secs(1) } else { Duration::from_secs(10) };
    let began = Instant::now();
    loop {
        tokio::time::sleep(pause).await;
        // A server that cannot say how far it is goes on nevertheless, and so does the clock.
        let underway = connection.get(REPLAY, &[]).await.unwrap_or_default();
        let line = progress_line(&underway, last_ms, began.elapsed().as_secs());
        // The next line is written over this one.
        let text = if is_terminal { format!("\x1b[K{line}\r") } else { format!("{line}\n") };
        drop(std::io::stderr().write_all(text.as_bytes()));
    }
}

fn progress_line(underway: &Value, last_ms: i64, seconds: u64) -> String {
    let replays = underway.as_array().into_iter().flatten();
    let mut ours = replays.filter(|replay| replay["last_ms"] == last_ms).filter_map(|it| it["done"].as_f64());
    // The last one that began with this range.
    match ours.next_back() {
        Some(done) => format!("replaying: {:.0} % after {seconds} s", done * 100.0),
        None => format!("replaying for {seconds} s"),
    }
}

fn row(episode: &Value) -> [String; 4] {
    let fired_ms = episode["fired_at_ms"].as_i64().unwrap_or(0);
    let lasted = match episode["resolved_at_ms"].as_i64() {
        Some(resolved_ms) => span((resolved_ms - fired_ms) / 1000),
        None => "still".to_owned(),
    };
    let set = &episode["labels"];
    [
        text(set, "alertname").to_owned(),
        alerting::timestamp::millis(fired_ms),
        lasted,
        labels(set, &["alertname"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_of_the_replay_that_was_asked_for() {
        let underway = json!([{"last_ms": 5, "done": 0.9}, {"last_ms": 7, "done": 0.256}]);
        assert_eq!(progress_line(&underway, 7, 12), "replaying: 26 % after 12 s");
        assert_eq!(progress_line(&underway, 8, 12), "replaying for 12 s");
        assert_eq!(progress_line(&Value::Null, 7, 12), "replaying for 12 s");
    }
}
