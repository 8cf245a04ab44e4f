//! `bellwether token`

use crate::auth::{Role, hash};
use clap::ValueEnum;
use rand::RngExt;
use std::io::Write;

/// Make a bearer token.
///
/// Prints the token once, for its bearer, and the lines to put under `auth.tokens` in the
/// configuration file, which hold only its hash.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// What the token allows
    #[arg(long, value_enum)]
    role: RoleName,
    /// Name to know it by in logs
    #[arg(long, default_value = "token")]
    name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Agent,
    Viewer,
    Operator,
    Admin,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let role = match args.role {
        RoleName::Agent => Role::Agent,
        RoleName::Viewer => Role::Viewer,
        RoleName::Operator => Role::Operator,
        RoleName::Admin => Role::Admin,
    };
    let secret: [u8; 32] = rand::rng().random();
    let token = format!("bw_{}", hex(&secret));
    let role = serde_json::to_value(role)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "token (give it to its bearer; it is not shown again):\n  {token}\n")?;
    writeln!(out, "configuration:\n  auth:\n    tokens:")?;
    writeln!(out, "      - name: {}\n        role: {}", args.name, role.as_str().unwrap_or_default())?;
    writeln!(out, "        sha256: {}", hex(&hash(&token)))?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
