//! The settings of a store in ClickHouse (`docs/guides/clickhouse.md`).

use daemon::Secret;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `storage.clickhouse`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickHouseConfig {
    /// Of its HTTP interface.
    pub url: String,
    /// Made at the start when it is absent.
    #[serde(default = "database")]
    pub database: String,
    /// Whom to connect as.
    #[serde(default = "user")]
    pub user: String,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

fn database() -> String {
    "bellwether".to_owned()
}

fn user() -> String {
    "default".to_owned()
}

impl ClickHouseConfig {
    /// What the store asks for, secrets read.
    ///
    /// # Errors
    /// When the address is none, the password is given twice or its file cannot be read.
    pub(crate) fn options(&self) -> anyhow::Result<clickhouse_store::Options> {
        let name = "storage.clickhouse.password";
        let password = Secret::resolve(name, self.password.as_ref(), self.password_file.as_deref())?;
        let options = clickhouse_store::Options {
            url: self.url.clone(),
            database: self.database.clone(),
            user: self.user.clone(),
            password: password.map(|secret| secret.expose().to_owned()).unwrap_or_default(),
        };
        options.check()?;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn an_address_that_is_none_is_refused() {
        for (url, is_taken) in [
            ("http://127.0.0.1:8123", true),
            ("127.0.0.1:8123", false),
            ("localhost:8123", false),
            ("http://me@x:8123", false),
        ] {
            let text = format!("storage: {{clickhouse: {{url: '{url}'}}}}\n");
            let config: Config = daemon::config::parse_yaml(&text, "test").unwrap();
            let options = config.storage.clickhouse.unwrap().options().map_err(|error| error.to_string());
            assert_eq!(options.is_ok(), is_taken, "{url}");
            assert!(
                options.err().is_none_or(|error| error.contains("write it like `http://127.0.0.1:8123`"))
            );
        }
    }

    #[test]
    fn only_the_url_has_to_be_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        let text = format!(
            "storage:\n  clickhouse:\n    url: http://127.0.0.1:8123\n    password_file: {}\n",
            file.display()
        );
        let config: Config = daemon::config::parse_yaml(&text, "test").unwrap();
        let options = config.storage.clickhouse.unwrap().options().unwrap();
        assert_eq!((options.database.as_str(), options.user.as_str()), ("bellwether", "default"));
        assert_eq!(options.password, "secret");
        assert!(!format!("{options:?}").contains("secret"));
    }
}
