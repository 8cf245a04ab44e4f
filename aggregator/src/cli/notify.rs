//! `bellwether notify`

use super::client::{Server, Table, block_on, text};
use anyhow::bail;
use clap::Subcommand;
use std::{process::ExitCode, time::Duration};

/// Try out how people are told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Send a test notification by every integration of a receiver, and say what came of it
    Test {
        /// The receiver's name in the routing file
        receiver: String,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Test { receiver } = &args.command;
    if receiver.is_empty() {
        bail!("name a receiver of the routing file");
    }
    // Mail servers are slow to greet strangers.
    let connection = args.server.connect(Duration::from_secs(120))?;
    block_on(async {
        let path = format!("api/bellwether/v1/alerting/notify/test/{}", path_segment(receiver));
        let answer = connection.post(&path, &serde_json::json!({})).await?;
        let delivered = answer["delivered"].as_bool().unwrap_or(false);
        if !connection.shows_json(&answer)? {
            let mut table = Table::new(["INTEGRATION", "DELIVERED", "TOOK", "ERROR"]);
            for it in answer["integrations"].as_array().into_iter().flatten() {
                let came = if it["delivered"].as_bool().unwrap_or(false) { "yes" } else { "no" };
                let took = format!("{}ms", it["duration_ms"].as_u64().unwrap_or(0));
                table.row([
                    text(it, "integration").to_owned(),
                    came.to_owned(),
                    took,
                    text(it, "error").to_owned(),
                ]);
            }
            table.show("the receiver has no integrations: it is told nothing")?;
        }
        Ok(if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// A name as one part of a path.
fn path_segment(name: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    name.bytes()
        .map(|byte| if keep(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_part_of_the_path() {
        assert_eq!(path_segment("on-call/team ä"), "on-call%2Fteam%20%C3%A4");
    }
}
