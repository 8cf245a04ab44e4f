//! `bellwether silence`

use super::client::{Connection, NotThere, Server, Table, at_ms, block_on, labels, matchers, span, text};
use crate::config::parse_duration_ms;
use alerting::{SilenceMatcher, matchers::parse_matcher, timestamp};
use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use model::MatchOp;
use serde_json::{Value, json};
use std::{io::Write, time::Duration};

/// Make, end, preview and list silences of a running server.
///
/// A silence mutes the notifications of the alerts that it matches; the alerts stay visible.
///
///   bellwether silence preview DiskFull instance=db-1
///   bellwether silence add DiskFull instance=db-1 --duration 2h --comment "disk is being replaced"
///   bellwether silence expire 3f2a7c1e-…
#[derive(clap::Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Make a silence and print its id
    Add {
        /// What is muted, such as alertname=DiskFull or 'instance=~"db-.*"'; all must match
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
        /// How long, such as 2h or 3d
        #[arg(long, default_value = "1h")]
        duration: String,
        /// From when (RFC 3339); now when left out
        #[arg(long, value_name = "TIME")]
        start: Option<String>,
        /// Until when (RFC 3339), in place of a duration
        #[arg(long, value_name = "TIME", conflicts_with = "duration")]
        end: Option<String>,
        /// Why; whoever is on call will ask
        #[arg(long)]
        comment: String,
        /// Whose silence it is; the user's name when left out
        #[arg(long)]
        author: Option<String>,
    },
    /// End silences
    Expire {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Show which alerts a silence would mute now
    Preview {
        /// What would be muted
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
    },
    /// List silences
    List {
        /// Show those that are over, too
        #[arg(long)]
        expired: bool,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let connection = args.server.connect(Duration::from_secs(30))?;
    block_on(async {
        match &args.command {
            Command::Add { matchers, duration, start, end, comment, author } => {
                let times = times(start.as_deref(), end.as_deref(), duration, daemon::clock::now_ms())?;
                add(&connection, matchers, times, comment, author.as_deref()).await
            }
            Command::Expire { ids } => expire(&connection, ids).await,
            Command::Preview { matchers } => preview(&connection, matchers).await,
            Command::List { expired } => list(&connection, *expired).await,
        }
    })
}

/// Start and end.
fn times(start: Option<&str>, end: Option<&str>, duration: &str, now_ms: i64) -> anyhow::Result<(i64, i64)> {
    let time = |text: &str| {
        let parsed = timestamp::parse(text).ok().flatten();
        parsed.ok_or_else(|| anyhow!("`{text}` is not a time like 2026-01-31T12:00:00Z"))
    };
    let start_ms = start.map_or(Ok(now_ms), time)?;
    let end_ms = match end {
        Some(end) => time(end)?,
        None => start_ms + parse_duration_ms(duration).map_err(anyhow::Error::msg).context("--duration")?,
    };
    if end_ms <= now_ms || end_ms <= start_ms {
        bail!("the silence would end before it begins to mute");
    }
    Ok((start_ms, end_ms))
}

async fn add(
    connection: &Connection,
    words: &[String],
    (start_ms, end_ms): (i64, i64),
    comment: &str,
    author: Option<&str>,
) -> anyhow::Result<()> {
    let matchers: Vec<_> = matchers(words)?.iter().map(|text| to_api(text)).collect::<Result<_, _>>()?;
    let user = || std::env::var("USER").unwrap_or_else(|_| "bellwether".to_owned());
    let wanted = json!({
        "matchers": matchers,
        "startsAt": timestamp::millis(start_ms),
        "endsAt": timestamp::millis(end_ms),
        "createdBy": author.map_or_else(user, str::to_owned),
        "comment": comment,
    });
    let answer = connection.post("api/v2/silences", &wanted).await?;
    if !connection.shows_json(&answer)? {
        writeln!(std::io::stdout().lock(), "{}", text(&answer, "silenceID"))?;
    }
    Ok(())
}

fn to_api(text: &str) -> anyhow::Result<SilenceMatcher> {
    let matcher = parse_matcher(text).map_err(anyhow::Error::msg)?;
    Ok(SilenceMatcher {
        name: matcher.name().to_owned(),
        value: matcher.value().to_owned(),
        is_regex: matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex),
        is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex),
    })
}

async fn expire(connection: &Connection, ids: &[String]) -> anyhow::Result<()> {
    for id in ids {
        // An id is part of the path.
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            bail!("`{id}` is not the id of a silence");
        }
        let outcome = connection.delete(&format!("api/v2/silence/{id}")).await;
        outcome.map_err(|error| refused(id, error))?;
    }
    Ok(())
}

fn refused(id: &str, error: anyhow::Error) -> anyhow::Error {
    if error.is::<NotThere>() {
        return anyhow!(
            "there is no silence `{id}`; `bellwether silence list --expired` shows the ids of those there are"
        );
    }
    error.context(format!("silence `{id}`"))
}

async fn preview(connection: &Connection, words: &[String]) -> anyhow::Result<()> {
    let query: Vec<_> = matchers(words)?.into_iter().map(|matcher| ("matcher", matcher)).collect();
    let answer = connection.get("api/bellwether/v1/alerting/silences/preview", &query).await?;
    if connection.shows_json(&answer)? {
        return Ok(());
    }
    let mut table = Table::new(["ALERT", "LABELS", "SUMMARY"]);
    for alert in answer["alerts"].as_array().into_iter().flatten() {
        table.row([
            text(&alert["labels"], "alertname").to_owned(),
            labels(&alert["labels"], &["alertname"]),
            text(&alert["annotations"], "summary").to_owned(),
        ]);
    }
    Ok(table.show("it would mute no alert that is active now")?)
}

async fn list(connection: &Connection, expired: bool) -> anyhow::Result<()> {
    let answer = connection.get("api/v2/silences", &[]).await?;
    if connection.shows_json(&answer)? {
        return Ok(());
    }
    let mut table = Table::new(["ID", "STATE", "MATCHES", "ENDS", "BY", "COMMENT"]);
    let now_ms = daemon::clock::now_ms();
    for silence in answer.as_array().into_iter().flatten() {
        let state = text(&silence["status"], "state");
        if state == "expired" && !expired {
            continue;
        }
        let end_ms = at_ms(text(silence, "endsAt"));
        let ends = if end_ms > now_ms {
            format!("in {}", span((end_ms - now_ms) / 1000))
        } else {
            format!("{} ago", span((now_ms - end_ms) / 1000))
        };
        table.row([
            text(silence, "id").to_owned(),
            state.to_owned(),
            shown_matchers(&silence["matchers"]),
            ends,
            text(silence, "createdBy").to_owned(),
            text(silence, "comment").to_owned(),
        ]);
    }
    Ok(table.show("no silences")?)
}

fn shown_matchers(matchers: &Value) -> String {
    let all = matchers.as_array().into_iter().flatten();
    let shown = all.map(|matcher| {
        let is = |field: &str, default: bool| matcher[field].as_bool().unwrap_or(default);
        let operator = match (is("isRegex", false), is("isEqual", true)) {
            (false, true) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (true, false) => "!~",
        };
        format!("{}{operator}{}", text(matcher, "name"), matcher["value"])
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_checked_before_anything_is_sent() {
        let now = at_ms("2026-01-31T12:00:00Z");
        assert_eq!(times(None, None, "2h", now).unwrap(), (now, now + 7_200_000));
        assert_eq!(
            times(Some("2026-01-31T13:00:00Z"), None, "1m", now).unwrap(),
            (now + 3_600_000, now + 3_660_000)
        );
        assert_eq!(times(None, Some("2026-01-31T12:00:01Z"), "1h", now).unwrap(), (now, now + 1_000));
        for (start, end, duration) in [
            (Some("soon"), None, "1h"),
            (None, Some("2026-01-31T11:00:00Z"), "1h"),
            (None, None, "0s"),
            (None, None, "two hours"),
        ] {
            assert!(times(start, end, duration, now).is_err(), "{start:?} {end:?} {duration}");
        }
    }

    #[test]
    fn a_silence_that_is_not_there_is_named() {
        let told = format!("{:#}", refused("3f2a", NotThere.into()));
        assert!(told.starts_with("there is no silence `3f2a`"), "{told}");
        assert_eq!(format!("{:#}", refused("3f2a", anyhow!("no"))), "silence `3f2a`: no");
    }

    #[test]
    fn matchers_keep_their_operators() {
        let api = to_api("a!~\"b.*\"").unwrap();
        assert_eq!((api.is_regex, api.is_equal, api.value.as_str()), (true, false, "b.*"));
    }
}
