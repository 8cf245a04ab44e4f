//! `bellwether token`

use crate::auth::{Role, hash};
use clap::ValueEnum;
use rand::RngExt;
use std::io::Write;

/// Make a bearer token.
///
/// Prints the token once, for its bearer, and the item to add to the list `auth.tokens` of the
/// configuration file, which holds only its hash.
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
    writeln!(out, "add this item to the list `auth.tokens` in the configuration file:")?;
    write!(out, "{}", item(&args.name, role.as_str().unwrap_or_default(), &token))?;
    Ok(())
}

/// Indented as it stands below `auth:` and `  tokens:`, so that several can be put one after the other.
fn item(name: &str, role: &str, token: &str) -> String {
    format!("    - name: {name}\n      role: {role}\n      sha256: {}\n", hex(&hash(token)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn items_of_several_tokens_make_one_list() {
        let items = item("agents", "agent", "bw_1") + &item("people", "operator", "bw_2");
        let text = format!("auth:\n  tokens:\n{items}");
        let config: Config = daemon::config::parse_yaml(&text, "test").unwrap();
        assert_eq!(crate::auth::tokens(&config.auth.tokens).unwrap().len(), 2);
    }
}
