//! Where the server is and who we are to it.

use crate::OpenError;
use reqwest::Url;

/// See the module.
#[derive(Clone)]
pub struct Options {
    /// Of the HTTP interface, as `http://clickhouse:8123` or `https://…:8443`.
    pub url: String,
    /// Created when it does not exist and the user may.
    pub database: String,
    /// "default" when nothing else is set up.
    pub user: String,
    /// Empty for none.
    pub password: String,
}

impl Options {
    /// Whether the address can be one, which nobody is asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), OpenError> {
        self.parsed_url().map(drop)
    }

    pub(crate) fn parsed_url(&self) -> Result<Url, OpenError> {
        let bad = |reason: String| OpenError::Url { url: self.url.clone(), reason };
        let url = Url::parse(&self.url).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("its scheme is neither http nor https".to_owned()));
        }
        if url.query().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it carries a user or parameters, which are settings of their own".to_owned()));
        }
        Ok(url)
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} as {} in {}", self.url, self.user, self.database)
    }
}
