//! `alerting.external_url`: the address people reach this server by.
//!
//! Links in notifications begin with it, and pages from there may change something
//! (`same_origin.rs`), so that one which is no address of a page is refused.

use serde::{Deserialize, Serialize};
use std::{ops::Deref, str::FromStr};

/// An address with `http://` or `https://`, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalUrl(String);

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match reqwest::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(ExternalUrl(text.to_owned())),
            _ => Err(format!(
                "`{text}` is not an address that browsers can open; write it with http:// or https://"
            )),
        }
    }
}

impl TryFrom<String> for ExternalUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ExternalUrl> for String {
    fn from(url: ExternalUrl) -> String {
        url.0
    }
}

impl Deref for ExternalUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_browsers_cannot_open_is_refused_with_its_place() {
        let read = |url: &str| {
            let text = format!("alerting:\n  external_url: '{url}'\n");
            daemon::config::parse_yaml::<Config>(&text, "b.yaml").map_err(|error| error.to_string())
        };
        for url in ["https://monitor.example.org", "http://[::1]:9390/bw/", "HTTPS://x"] {
            let config = read(url).unwrap();
            assert_eq!(config.alerting.external_url.as_deref(), Some(url));
        }
        for url in
            ["monitor.example.org", "monitor.example.org:9390", "ftp://x/", "javascript:0", "https://", ""]
        {
            let error = read(url).unwrap_err();
            assert!(error.starts_with("b.yaml:2:") && error.contains("https://"), "{url}: {error}");
        }
    }
}
