//! `bellwether demo`

use anyhow::ensure;
use daemon::ListenAddress;
use std::path::PathBuf;

/// Show Bellwether on this very host.
///
/// Runs the aggregator with an agent for this host in one process: its metrics, its logs in
/// /var/log as far as they can be read, and a small log that the demo writes. Open the printed
/// address. Ctrl-C stops everything; starting again shows yesterday's data.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Folder for everything that is kept
    #[arg(long, value_name = "DIR", default_value = "bellwether-data")]
    data_dir: PathBuf,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9390")]
    listen: ListenAddress,
    /// More log files to follow; may be repeated, globs allowed
    #[arg(long, value_name = "GLOB")]
    logs: Vec<String>,
    /// Routes and receivers, in Alertmanager's configuration format
    #[arg(long, value_name = "FILE")]
    alertmanager_config: Option<PathBuf>,
    /// Log level, or target=level pairs
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    check_address(&args.listen)?;
    let serve = super::serve::Args {
        data_dir: Some(args.data_dir),
        listen: Some(args.listen),
        alertmanager_config: args.alertmanager_config,
        log: Some(args.log),
        ..super::serve::Args::default()
    };
    let config = serve.resolve()?;
    daemon::logging::init(config.log.format, &config.log.filter).map_err(anyhow::Error::msg)?;
    super::serve::warn_of_variables();
    daemon::limits::raise_open_files();
    super::block_on(crate::demo::run(config, args.logs))
}

/// The demo has no tokens to ask for, so nobody else may reach it.
fn check_address(listen: &ListenAddress) -> anyhow::Result<()> {
    ensure!(
        listen.is_loopback(),
        "the demo asks for no token, so it listens on this host alone: take an address such as 127.0.0.1:9390, \
         or `bellwether serve` with `auth.tokens` to be reached at {listen}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_for_this_host_alone() {
        for (address, is_taken) in [("127.0.0.1:0", true), ("[::1]:9390", true), ("0.0.0.0:9390", false)] {
            let checked = check_address(&address.parse().unwrap());
            assert_eq!(checked.is_ok(), is_taken, "{address}: {checked:?}");
        }
    }
}
