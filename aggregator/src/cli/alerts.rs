//! `bellwether alerts`

use super::client::{Server, Table, ago, at_ms, block_on, labels, matchers, text};
use serde_json::Value;
use std::time::Duration;

/// List alerts of a running server.
///
/// Shows what fires and what is pending, who is told, and what mutes it:
///
///   bellwether alerts
///   bellwether alerts severity=critical 'instance=~"db-.*"'
#[derive(clap::Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Only alerts that match all of these; a first word alone is an alert's name
    #[arg(value_name = "MATCHER")]
    matchers: Vec<String>,
    /// Leave out alerts that are silenced or inhibited
    #[arg(long)]
    unmuted: bool,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let filters = matchers(&args.matchers)?;
    let connection = args.server.connect(Duration::from_secs(30))?;
    block_on(async {
        let mut query: Vec<_> = filters.iter().map(|filter| ("filter", filter.clone())).collect();
        if args.unmuted {
            query.extend([("silenced", "false".to_owned()), ("inhibited", "false".to_owned())]);
        }
        let firing = connection.get("api/v2/alerts", &query).await?;
        if connection.shows_json(&firing)? {
            return Ok(());
        }
        let ruled = connection.get("api/v1/alerts", &[]).await?;
        let mut table = Table::new(["STATE", "SEVERITY", "ALERT", "SINCE", "LABELS", "TOLD", "SUMMARY"]);
        for alert in firing.as_array().into_iter().flatten() {
            let receivers = alert["receivers"].as_array().into_iter().flatten().map(|it| text(it, "name"));
            let muted = muted_by(&alert["status"]);
            let told = if muted.is_empty() { receivers.collect::<Vec<_>>().join(", ") } else { muted };
            table.row(row("firing", alert, ago(at_ms(text(alert, "startsAt"))), told));
        }
        let parsed = parse(&filters)?;
        for alert in ruled["data"]["alerts"].as_array().into_iter().flatten() {
            if text(alert, "state") == "pending" && matches(alert, &parsed) {
                table.row(row("pending", alert, ago(at_ms(text(alert, "activeAt"))), String::new()));
            }
        }
        Ok(table.show("no alerts")?)
    })
}

fn row(state: &str, alert: &Value, since: String, told: String) -> [String; 7] {
    let set = &alert["labels"];
    [
        state.to_owned(),
        text(set, "severity").to_owned(),
        text(set, "alertname").to_owned(),
        since,
        labels(set, &["alertname", "severity"]),
        told,
        text(&alert["annotations"], "summary").to_owned(),
    ]
}

fn muted_by(status: &Value) -> String {
    let count = |field: &str| status[field].as_array().map_or(0, Vec::len);
    match (count("silencedBy"), count("inhibitedBy"), count("mutedBy")) {
        (0, 0, 0) => String::new(),
        (0, 0, _) => "muted by time".to_owned(),
        (0, ..) => "inhibited".to_owned(),
        _ => "silenced".to_owned(),
    }
}

fn parse(filters: &[String]) -> anyhow::Result<Vec<model::Matcher>> {
    filters
        .iter()
        .map(|filter| alerting::matchers::parse_matcher(filter).map_err(anyhow::Error::msg))
        .collect()
}

fn matches(alert: &Value, matchers: &[model::Matcher]) -> bool {
    let pairs = alert["labels"].as_object().into_iter().flatten();
    let labels =
        model::Labels::from_pairs(pairs.map(|(name, value)| (name, value.as_str().unwrap_or_default())));
    alerting::matchers::all_match(matchers, &labels)
}
