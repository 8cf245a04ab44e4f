//! `alerting.external_url`: the address people reach this server by.
//!
//! Links in notifications begin with it, and pages from there may change something
//! (`same_origin.rs`), so that one which is no address of a page is refused.

use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::{ops::Deref, str::FromStr};

/// An address with `http://` or `https://`, as written but for blanks around it and slashes at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalUrl(String);

impl ExternalUrl {
    /// Its scheme, host and port, as browsers write them in `Origin`.
    pub(crate) fn origin(&self) -> String {
        Url::parse(&self.0).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }

    /// Its path without a slash at the end; empty when it has none.
    pub(crate) fn path(&self) -> String {
        Url::parse(&self.0).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
    }
}

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('/');
        let is_page = |url: &Url| matches!(url.scheme(), "http" | "https") && text.contains("://");
        match Url::parse(text) {
            Ok(url) if url.query().or(url.fragment()).is_some() => {
                Err(format!("`{text}` must end with its path: links are made by adding to it"))
            }
            Ok(url) if is_page(&url) => Ok(ExternalUrl(text.to_owned())),
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
    fn the_origin_is_without_a_path_and_the_usual_port() {
        for (url, expected) in [
            ("https://M.example.org:443/x", "https://m.example.org"),
            ("http://[::1]:9390/", "http://[::1]:9390"),
        ] {
            assert_eq!(url.parse::<super::ExternalUrl>().unwrap().origin(), expected);
        }
    }

    #[test]
    fn what_browsers_cannot_open_is_refused_with_its_place() {
        let read = |url: &str| {
            let text = format!("alerting:\n  external_url: '{url}'\n");
            daemon::config::parse_yaml::<Config>(&text, "b.yaml").map_err(|error| error.to_string())
        };
        for (url, expected) in [
            ("https://monitor.example.org", "https://monitor.example.org"),
            ("http://[::1]:9390/bw//", "http://[::1]:9390/bw"),
            (" HTTPS://x/ ", "HTTPS://x"),
        ] {
            let config = read(url).unwrap();
            assert_eq!(config.alerting.external_url.as_deref(), Some(expected));
        }
        for url in [
            "monitor.example.org",
            "monitor.example.org:9390",
            "https:monitor.example.org",
            "ftp://x/",
            "javascript:0",
            "https://",
            "",
        ] {
            let error = read(url).unwrap_err();
            assert!(error.starts_with("b.yaml:2:") && error.contains("https://"), "{url}: {error}");
        }
        for url in ["https://x/?a=b", "https://x/#alerts"] {
            assert!(read(url).unwrap_err().contains("must end with its path"), "{url}");
        }
    }
}
