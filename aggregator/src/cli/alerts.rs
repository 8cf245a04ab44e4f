//! `bellwether alerts`

use super::client::{Server, Table, ago, at_ms, block_on, labels, matchers, text};
use serde_json::Value;
use std::{collections::HashMap, time::Duration};

/// List alerts of a running server.
///
/// Shows what fires and what is pending, which receivers it goes to, and what mutes it. Whether one
/// was reached, `bellwether explain` says:
///
///   bellwether alerts
///   bellwether alerts severity=critical 'instance=~"db-.*"'
#[derive(clap::Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Only alerts that match all of these; a first word alone is an alert's name
    #[arg(value_name = "MATCHER")]
    matchers: Vec<String>,
    /// Leave out alerts that are silenced, inhibited or outside the hours of all who would be told
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
        // Hours mute groups, so that only these tell of them.
        let groups = connection.get("api/v2/alerts/groups", &query).await?;
        let intervals = muted_by_time(&groups);
        let ruled = connection.get("api/v1/alerts", &[]).await?;
        let mut table = Table::new(["STATE", "SEVERITY", "ALERT", "SINCE", "LABELS", "RECEIVERS", "SUMMARY"]);
        for alert in firing.as_array().into_iter().flatten() {
            let (told, is_muted) = told(alert, &intervals);
            if args.unmuted && is_muted {
                continue;
            }
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

/// The time intervals that keep an alert from a receiver, by fingerprint and receiver.
type Intervals<'a> = HashMap<(&'a str, &'a str), String>;

fn muted_by_time(groups: &Value) -> Intervals<'_> {
    let mut intervals = Intervals::new();
    for group in groups.as_array().into_iter().flatten() {
        let receiver = text(&group["receiver"], "name");
        for alert in group["alerts"].as_array().into_iter().flatten() {
            let names = alert["status"]["mutedBy"].as_array().into_iter().flatten();
            let names: Vec<_> = names.filter_map(Value::as_str).collect();
            if !names.is_empty() {
                intervals.insert((text(alert, "fingerprint"), receiver), names.join(", "));
            }
        }
    }
    intervals
}

/// Who is told of an alert, or what keeps it from whom; and whether nobody is told.
fn told(alert: &Value, intervals: &Intervals<'_>) -> (String, bool) {
    let has = |field: &str| alert["status"][field].as_array().is_some_and(|by| !by.is_empty());
    if has("silencedBy") {
        return ("silenced".to_owned(), true);
    }
    if has("inhibitedBy") {
        return ("inhibited".to_owned(), true);
    }
    let mut is_muted = true;
    let receivers = alert["receivers"].as_array().into_iter().flatten().map(|it| text(it, "name"));
    let told = receivers.map(|receiver| match intervals.get(&(text(alert, "fingerprint"), receiver)) {
        Some(names) => format!("{receiver} (muted by {names})"),
        None => {
            is_muted = false;
            receiver.to_owned()
        }
    });
    (told.collect::<Vec<_>>().join(", "), is_muted)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn time_intervals_are_shown_with_the_receiver_they_mute() {
        let status = |by: &[&str]| json!({"mutedBy": by, "silencedBy": [], "inhibitedBy": []});
        let group = |receiver: &str, by: &[&str]| json!({"receiver": {"name": receiver}, "alerts": [{"fingerprint": "f", "status": status(by)}]});
        let alert = |receivers: &[&str]| {
            let receivers: Vec<_> = receivers.iter().map(|name| json!({"name": name})).collect();
            json!({"fingerprint": "f", "status": status(&[]), "receivers": receivers})
        };
        let groups = json!([group("ops", &["night", "weekend"]), group("dba", &[])]);
        let intervals = muted_by_time(&groups);
        let check = |receivers: &[&str], expected: (&str, bool)| {
            assert_eq!(told(&alert(receivers), &intervals), (expected.0.to_owned(), expected.1));
        };
        check(&["dba", "ops"], ("dba, ops (muted by night, weekend)", false));
        check(&["ops"], ("ops (muted by night, weekend)", true));
        let mut silenced = alert(&["dba"]);
        silenced["status"]["silencedBy"] = json!(["s-1"]);
        assert_eq!(told(&silenced, &intervals), ("silenced".to_owned(), true));
    }
}
