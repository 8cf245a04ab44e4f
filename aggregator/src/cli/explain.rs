//! `bellwether explain`

use super::client::{Server, block_on, labels, matchers, span, text};
use serde_json::Value;
use std::{io::Write, time::Duration};

/// Say why an alert did or did not reach someone.
///
/// Shows the way through the routes, the group and its timers, what mutes it, and what each
/// receiver was told and when. For an alert that does not exist, give all of its labels with `=`
/// to see where it would go:
///
///   bellwether explain DiskFull instance=db-1
#[derive(clap::Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which alert; a first word alone is an alert's name
    #[arg(required = true, value_name = "MATCHER")]
    matchers: Vec<String>,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let query: Vec<_> = matchers(&args.matchers)?.into_iter().map(|it| ("matcher", it)).collect();
    let connection = args.server.connect(Duration::from_secs(30))?;
    block_on(async {
        let answer = connection.get("api/bellwether/v1/alerting/explain", &query).await?;
        if connection.shows_json(&answer)? {
            return Ok(());
        }
        let now_ms = daemon::clock::now_ms();
        let alerts = answer["alerts"].as_array();
        let shown: Vec<_> = alerts.into_iter().flatten().map(|alert| explained(alert, now_ms)).collect();
        let mut out = std::io::stdout().lock();
        if shown.is_empty() {
            writeln!(out, "no such alert")?;
        }
        write!(out, "{}", printable(&shown.join("\n")))?;
        Ok(())
    })
}

/// Nothing that a terminal would obey: labels come from strangers.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

fn explained(alert: &Value, now_ms: i64) -> String {
    let set = &alert["labels"];
    let mut lines = vec![format!("{} {{{}}}", text(set, "alertname"), labels(set, &["alertname"]))];
    let since = alert["since_ms"].as_i64().map(|at| format!(" for {}", span((now_ms - at) / 1000)));
    lines.push(format!("  {}{}", text(alert, "state"), since.unwrap_or_default()));
    for route in alert["routes"].as_array().into_iter().flatten() {
        let path = route["path"].as_array().into_iter().flatten().map(|step| text(step, "matchers"));
        lines.push(format!("  route {} → {}", path.collect::<Vec<_>>().join(" "), text(route, "receiver")));
        let next = route["next_flush_ms"]
            .as_i64()
            .map(|at| format!(", looked at in {}", span((at - now_ms).max(0) / 1000)));
        let size = route["group_size"].as_u64().unwrap_or(0);
        lines.push(format!("    group {} of {size}{}", text(route, "group_key"), next.unwrap_or_default()));
        lines.extend(mutes(route).into_iter().map(|mute| format!("    muted by {mute}")));
        for integration in route["integrations"].as_array().into_iter().flatten() {
            lines.push(format!("    {}: {}", text(integration, "integration"), text(integration, "verdict")));
            let delivery = &integration["delivery"];
            if !delivery.is_null() {
                lines.push(format!(
                    "      under way, {} failed attempts: {}",
                    delivery["failed_attempts"],
                    text(delivery, "last_error")
                ));
            }
        }
    }
    let events = alert["events"].as_array().into_iter().flatten();
    lines.extend(events.map(|event| format!("  {}", super::history::one(event))));
    lines.join("\n") + "\n"
}

fn mutes(route: &Value) -> Vec<String> {
    let each = |field: &str| route[field].as_array().cloned().unwrap_or_default();
    let silences = each("silenced_by").into_iter().map(|it| {
        let id = it.as_str().unwrap_or_else(|| text(&it, "id")).to_owned();
        format!("silence {id} {}", text(&it, "comment"))
    });
    let alerts =
        each("inhibited_by").into_iter().map(|it| format!("alert {{{}}}", labels(&it["labels"], &[])));
    let intervals = each("muted_by_intervals").into_iter().map(|it| format!("time interval {it}"));
    silences.chain(alerts).chain(intervals).map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_an_explanation() {
        let alert = serde_json::json!({
            "state": "firing", "labels": {"alertname": "DiskFull", "instance": "db-1"}, "since_ms": 40_000,
            "routes": [{
                "path": [{"matchers": "{}"}, {"matchers": "{team=\"db\"}"}], "receiver": "dba",
                "group_key": "{}:{}", "group_size": 3, "next_flush_ms": 160_000,
                "silenced_by": [{"id": "s-1", "comment": "why"}], "inhibited_by": [], "muted_by_intervals": ["night"],
                "integrations": [{"integration": "dba/webhook/0", "verdict": "not told: silenced",
                    "delivery": {"failed_attempts": 2, "last_error": "503"}}]
            }],
            "events": [{"at": "2026-03-01T10:00:31.004Z", "kind": "muted", "labels": {"alertname": "DiskFull"}, "reason": "silenced"}]
        });
        let expected = "DiskFull {instance=\"db-1\"}\n  firing for 1m0s\n  route {} {team=\"db\"} → dba\n    \
            group {}:{} of 3, looked at in 1m0s\n    muted by silence s-1 why\n    muted by time interval \"night\"\n    \
            dba/webhook/0: not told: silenced\n      under way, 2 failed attempts: 503\n  \
            2026-03-01T10:00:31.004Z  muted  DiskFull  silenced\n";
        assert_eq!(explained(&alert, 100_000), expected);
    }
}
