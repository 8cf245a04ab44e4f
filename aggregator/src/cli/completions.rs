//! `bellwether completions`

use clap::CommandFactory;
use clap_complete::Shell;

/// Print a shell's completion script.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "bellwether", &mut std::io::stdout());
    Ok(())
}
