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
mod query;
mod remote;
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
        Err(error) => {
            eprintln!("bellwether: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A runtime for the commands that serve.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
