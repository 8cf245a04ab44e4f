//! `bellwether serve`

use crate::{
    config::{Config, DataDir, Listen},
    external_url::ExternalUrl,
    rules_git::RuleSource,
};
use anyhow::Context;
use daemon::{
    ListenAddress, Shutdown,
    config::{Misspelt, misspelt_variables},
};
use std::path::PathBuf;

/// Run the aggregator.
///
/// Without any flag it listens on 127.0.0.1:9390, keeps its data in ./bellwether-data and evaluates
/// the shipped rules. Settings come from the configuration file, then from the environment
/// (BELLWETHER__SECTION__KEY), then from these flags.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Args {
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for everything that is kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on, such as localhost:9390, or :9390 for all of the host's; beyond loopback
    /// bearer tokens and TLS must be configured
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<ListenAddress>,
    /// Rule file, or folder of rule files; may be repeated
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Do not evaluate the rules shipped inside the program
    #[arg(long)]
    pub no_shipped_rules: bool,
    /// Routes and receivers, in Alertmanager's configuration format
    #[arg(long, value_name = "FILE")]
    pub alertmanager_config: Option<PathBuf>,
    /// Scaling policy file, or folder of them; may be repeated
    #[arg(long, value_name = "PATH")]
    pub scaling: Vec<PathBuf>,
    /// Allow experimental PromQL functions and syntax
    #[arg(long)]
    pub promql_experimental: bool,
    /// Address people reach this server by, for links in notifications
    #[arg(long, value_name = "URL")]
    pub external_url: Option<ExternalUrl>,
    /// Log level, or target=level pairs
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

impl Args {
    /// The configuration file with these flags laid over it.
    pub(crate) fn resolve(&self) -> anyhow::Result<Config> {
        let mut config: Config = daemon::config::load(self.config.as_deref())?;
        if let Some(dir) = &self.data_dir {
            config.data_dir = DataDir(dir.clone());
        }
        if let Some(address) = self.listen {
            config.listen = Listen(address);
        }
        config.alerting.rules.extend(self.rules.iter().cloned().map(RuleSource::Path));
        config.alerting.shipped_rules &= !self.no_shipped_rules;
        if let Some(file) = &self.alertmanager_config {
            config.alerting.alertmanager_config = Some(file.clone());
        }
        if let Some(url) = &self.external_url {
            config.alerting.external_url = Some(url.clone());
        }
        config.scaling.policies.extend(self.scaling.iter().cloned());
        config.promql.experimental |= self.promql_experimental;
        if let Some(filter) = &self.log {
            config.log.filter.clone_from(filter);
        }
        Ok(config)
    }
}

/// Says which variables are meant as settings and are not read.
pub(super) fn warn_of_variables() {
    for Misspelt { name, right } in misspelt_variables::<Config>() {
        tracing::warn!(name, right, "an environment variable is passed over: settings are spelt otherwise");
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.resolve()?;
    daemon::logging::init(config.log.format, &config.log.filter).map_err(anyhow::Error::msg)?;
    warn_of_variables();
    daemon::limits::raise_open_files();
    super::block_on(async {
        let shutdown = Shutdown::on_signals().context("failed to listen for signals")?;
        crate::start(config, &shutdown).await?.join().await
    })
}
