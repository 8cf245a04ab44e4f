//! The operator's command line: one subcommand a file.

mod alerts;
mod check;
mod client;
mod completions;
mod demo;
mod explain;
mod history;
mod logs;
mod notify;
mod output;
mod query;
mod rules;
mod serve;
mod silence;
mod span;
mod test;
mod token;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Metrics, logs, alerts and auto-scaling of a fleet, in one program.
///
/// `bellwether demo` shows it on this very host. `bellwether serve` runs the aggregator; it needs
/// no configuration file. Agents (`bellwether-agent`) ship to it, and so can anything that speaks
/// Prometheus remote write, OTLP/HTTP or Loki push. Grafana, promtool and amtool read from it.
#[derive(Parser)]
#[command(name = "bellwether", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Check(check::Args),
    Query(query::Args),
    Logs(logs::Args),
    Test(test::Args),
    Alerts(alerts::Args),
    Silence(silence::Args),
    Explain(explain::Args),
    History(history::Args),
    Notify(notify::Args),
    Rules(rules::Args),
    Token(token::Args),
    Completions(completions::Args),
}

/// Parses the command line, runs it, and says how it ended.
pub fn run() -> ExitCode {
    let success = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args).map(success),
        Command::Serve(args) => serve::run(args).map(success),
        Command::Check(args) => check::run(&args),
        Command::Query(args) => query::run(args).map(success),
        Command::Logs(args) => logs::run(args).map(success),
        Command::Test(args) => test::run(&args),
        Command::Alerts(args) => alerts::run(&args).map(success),
        Command::Silence(args) => silence::run(&args).map(success),
        Command::Explain(args) => explain::run(&args).map(success),
        Command::History(args) => history::run(&args).map(success),
        Command::Notify(args) => notify::run(&args),
        Command::Rules(args) => rules::run(&args).map(success),
        Command::Token(args) => token::run(&args).map(success),
        Command::Completions(args) => completions::run(&args).map(success),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_closed_output(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::tell(format_args!("bellwether: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether nobody reads the output any more, as after `bellwether logs … | head`: the reader has what
/// it wanted. A connection that broke is told by the HTTP client.
fn is_closed_output(error: &anyhow::Error) -> bool {
    let is_closed = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.root_cause().downcast_ref().is_some_and(is_closed)
        && !error.chain().any(<dyn std::error::Error>::is::<reqwest::Error>)
}

/// A runtime for the commands that serve.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_in_the_help_keep_their_lines() {
        for (path, expected) in [
            (&["alerts"][..], "  bellwether alerts severity=critical 'instance=~\"db-.*\"'\n"),
            (&["silence"], "  bellwether silence expire 3f2a7c1e-…\n"),
            (&["history"], "  bellwether history --kind given_up,attempt_failed --receiver on-call\n"),
            (&["rules", "replay"], "  bellwether rules replay --last 7d rules/disks.yml\n"),
        ] {
            let args = std::iter::once("bellwether").chain(path.iter().copied()).chain(["--help"]);
            let help = Cli::try_parse_from(args).err().expect("help ends the parsing").to_string();
            assert!(help.contains(expected), "{help}");
        }
    }

    #[test]
    fn an_output_that_was_closed_is_no_failure() {
        let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_closed_output(&broken().into()));
        assert!(is_closed_output(&anyhow::Error::new(broken()).context("failed to write")));
        assert!(!is_closed_output(&std::io::Error::from(std::io::ErrorKind::NotFound).into()));
        assert!(!is_closed_output(&anyhow::anyhow!("broken pipe")));
    }
}
