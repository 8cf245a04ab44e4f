//! The command line.

use crate::{Agent, AgentConfig, Destination, agent, collect::Runner, exposition};
use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use daemon::{
    Shutdown, clock,
    config::{Misspelt, misspelt_variables},
};
use model::MetricBatch;
use std::{
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};

/// Collects this host's metrics and logs and ships them to a Bellwether aggregator, or to
/// anything that takes Prometheus remote write and OTLP logs.
///
/// Without a configuration file it watches this host and ships to http://127.0.0.1:9390.
#[derive(Debug, Parser)]
#[command(name = "bellwether-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where to ship to, instead of the configured destinations
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// File with the bearer token for --server
    #[arg(long, value_name = "FILE", requires = "server", global = true)]
    token_file: Option<PathBuf>,
    /// File (PEM) with the authorities that --server's certificate is checked against
    #[arg(long, value_name = "FILE", requires = "server", global = true)]
    ca_file: Option<PathBuf>,
    /// Folder for identity, checkpoints and spool
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Address for the agent's own pages, such as localhost:9391, or :9391 for all of the host's
    #[arg(long, value_name = "ADDRESS", global = true)]
    listen: Option<String>,
    /// Where the host's /proc is mounted
    #[arg(long, value_name = "DIR", global = true)]
    path_procfs: Option<PathBuf>,
    /// Where the host's /sys is mounted
    #[arg(long, value_name = "DIR", global = true)]
    path_sysfs: Option<PathBuf>,
    /// Where the host's / is mounted
    #[arg(long, value_name = "DIR", global = true)]
    path_rootfs: Option<PathBuf>,
    /// Print one collection as exposition text, and end
    #[arg(long)]
    print_metrics: bool,
    /// Print what would be collected and shipped, and end
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration, and end with 1 when it cannot be used
    Check,
    /// Print a shell's completion script
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Runs the program and returns its exit code.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; the exit code says enough then.
            let told = writeln!(std::io::stderr(), "bellwether-agent: {error:#}");
            ExitCode::from(if told.is_ok() { 1 } else { 2 })
        }
    }
}

fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(Command::Completions { shell }) = arguments.command {
        return print(&completions(shell));
    }
    let config = load(arguments)?;
    if let Some(Command::Check) = arguments.command {
        config.check_files().with_context(|| name(arguments))?;
        for Misspelt { name, right } in misspelt_variables::<AgentConfig>() {
            // Said for people; the exit code is that of the configuration.
            drop(writeln!(std::io::stderr(), "warning: `{name}` is not read; write `{right}`"));
        }
        return print("the configuration can be used\n");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_stack_size(512 << 10)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    if arguments.print_metrics {
        return runtime.block_on(print_metrics(&config));
    }
    if arguments.dry_run {
        return runtime.block_on(dry_run(&config));
    }
    daemon::logging::init(config.log.format, &config.log.filter).map_err(anyhow::Error::msg)?;
    for Misspelt { name, right } in misspelt_variables::<AgentConfig>() {
        tracing::warn!(name, right, "an environment variable is passed over: settings are spelt otherwise");
    }
    daemon::limits::raise_open_files();
    runtime.block_on(serve(arguments, config))
}

/// The file, then the environment, then the flags.
fn load(arguments: &Arguments) -> anyhow::Result<AgentConfig> {
    let mut config: AgentConfig = daemon::config::load(arguments.config.as_deref())?;
    if let Some(url) = &arguments.server {
        let (token_file, ca_file) = (arguments.token_file.clone(), arguments.ca_file.clone());
        let url = url.clone();
        config.destinations = vec![Destination { url, token_file, ca_file, ..Destination::default() }];
    }
    let set = |target: &mut PathBuf, flag: &Option<PathBuf>| {
        if let Some(path) = flag {
            target.clone_from(path);
        }
    };
    set(&mut config.data_dir, &arguments.data_dir);
    set(&mut config.paths.procfs, &arguments.path_procfs);
    set(&mut config.paths.sysfs, &arguments.path_sysfs);
    set(&mut config.paths.rootfs, &arguments.path_rootfs);
    if arguments.listen.is_some() {
        config.listen.clone_from(&arguments.listen);
    }
    config.check().with_context(|| name(arguments))?;
    Ok(config)
}

/// What the configuration is called in messages.
fn name(arguments: &Arguments) -> String {
    arguments.config.as_deref().unwrap_or(Path::new("configuration")).display().to_string()
}

/// Runs until a signal. SIGHUP loads the configuration anew: when it can be used the agent starts
/// again with it, and otherwise goes on as it is. Nothing is lost meanwhile: files and spool wait.
async fn serve(arguments: &Arguments, mut config: AgentConfig) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals().context("failed to listen for signals")?;
    let mut hangups = signal(SignalKind::hangup()).context("failed to listen for signals")?;
    loop {
        let part = Shutdown::new();
        let destinations: Vec<String> = config.destinations.iter().map(Destination::name).collect();
        let running = Agent::start(config.clone(), part.clone()).await?;
        tracing::info!(data_dir = %config.data_dir.display(), destinations = ?destinations, "agent is running");
        let reloaded = loop {
            tokio::select! {
                () = shutdown.wait() => break None,
                _ = hangups.recv() => match load(arguments) {
                    Ok(config) => break Some(config),
                    Err(error) => tracing::error!(error = format!("{error:#}"), "configuration not reloaded; the old one stays"),
                },
            }
        };
        part.trigger();
        running.join().await;
        match reloaded {
            Some(new) => {
                tracing::info!("configuration reloaded");
                config = new;
            }
            None => return Ok(()),
        }
    }
}

async fn collect_once(config: &AgentConfig) -> MetricBatch {
    Runner::new(agent::setup(config)).collect(clock::now_ms(), MetricBatch::default()).await
}

async fn print_metrics(config: &AgentConfig) -> anyhow::Result<()> {
    let batch = collect_once(config).await;
    print(&exposition::to_text(&batch, &config.base_labels()))
}

async fn dry_run(config: &AgentConfig) -> anyhow::Result<()> {
    let batch = collect_once(config).await;
    let mut text = String::new();
    for destination in &config.destinations {
        let to = |url: Option<String>| url.unwrap_or_else(|| "nowhere".to_owned());
        text.push_str(&format!("metrics go to {}\n", to(destination.metrics_endpoint())));
        text.push_str(&format!("logs go to    {}\n", to(destination.logs_endpoint())));
    }
    text.push_str(&format!("every {:?}: {} samples\n", config.interval, batch.sample_count()));
    for source in config.sources(&config.instance())? {
        let labels: Vec<String> =
            source.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        text.push_str(&format!("logs of {} as {{{}}}:\n", source.name, labels.join(", ")));
        for (path, bytes) in source.files() {
            text.push_str(&format!("  {} ({bytes} bytes)\n", path.display()));
        }
    }
    print(&text)
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "bellwether-agent", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Whoever closes the output early, such as `head`, has what it wanted.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("failed to write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_know_commands_and_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for word in ["completions", "print-metrics", "token-file"] {
                assert!(script.contains(word), "{word} for {shell}");
            }
        }
    }
}
