//! `bellwether history`

use super::client::{Server, Table, block_on, labels, matchers, text};
use crate::config::parse_duration_ms;
use anyhow::Context;
use serde_json::Value;
use std::time::Duration;

/// Show what happened to alerts and notifications, newest first.
///
///   bellwether history DiskFull instance=db-1 --last 7d
///   bellwether history --kind given_up,attempt_failed --receiver on-call
#[derive(clap::Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Only events of alerts that match all of these; a first word alone is an alert's name
    #[arg(value_name = "MATCHER")]
    matchers: Vec<String>,
    /// How far back, such as 2h or 7d
    #[arg(long, value_name = "DURATION")]
    last: Option<String>,
    /// Only these kinds, separated by commas: firing, resolved, delivered, given_up, muted, …
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// Only notifications to this receiver
    #[arg(long)]
    receiver: Option<String>,
    /// How many events
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let last = args.last.as_deref().map(parse_duration_ms).transpose();
    last.map_err(anyhow::Error::msg).context("--last")?;
    let mut query: Vec<_> = matchers(&args.matchers)?.into_iter().map(|it| ("matcher", it)).collect();
    let more = [("start", &args.last), ("kind", &args.kind), ("receiver", &args.receiver)];
    query.extend(more.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    query.push(("limit", args.limit.to_string()));
    let connection = args.server.connect(Duration::from_secs(30))?;
    block_on(async {
        let answer = connection.get("api/bellwether/v1/alerting/history", &query).await?;
        if connection.shows_json(&answer)? {
            return Ok(());
        }
        let mut table = Table::new(["TIME", "EVENT", "ALERT", "WHO", "WHAT"]);
        for event in answer["events"].as_array().into_iter().flatten() {
            table.row([
                text(event, "at").to_owned(),
                text(event, "kind").to_owned(),
                alert(event),
                text(event, "receiver").to_owned(),
                what(event),
            ]);
        }
        Ok(table.show("nothing happened")?)
    })
}

/// An event on one line.
pub(super) fn one(event: &Value) -> String {
    let parts = [
        text(event, "at").to_owned(),
        text(event, "kind").to_owned(),
        alert(event),
        text(event, "receiver").to_owned(),
        what(event),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn alert(event: &Value) -> String {
    let set = &event["labels"];
    let (name, rest) = (text(set, "alertname"), labels(set, &["alertname"]));
    let total = event["alerts_total"].as_u64().unwrap_or(0);
    let more = if total > 1 { format!(" ({total} alerts)") } else { String::new() };
    match (name, rest.as_str()) {
        ("", "") => text(event, "rule_group").to_owned(),
        (name, "") => format!("{name}{more}"),
        (name, rest) => format!("{name} {{{rest}}}{more}"),
    }
}

fn what(event: &Value) -> String {
    let attempt = event["attempt"].as_u64().filter(|attempt| *attempt > 1);
    let attempt = attempt.map(|attempt| format!("attempt {attempt}"));
    let said = [text(event, "reason"), text(event, "error")].into_iter().filter(|it| !it.is_empty());
    said.map(str::to_owned).chain(attempt).collect::<Vec<_>>().join("; ")
}
