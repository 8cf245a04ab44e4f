//! `bellwether completions`

use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Print a shell's completion script.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "bellwether", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
