//! The server that a command asks.

use anyhow::{Context, bail};
use reqwest::{Url, header};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

/// Longest wait for an answer; the server has its own, shorter one.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Where the server is, and who asks.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Remote {
    /// Address of the server
    #[arg(long, env = "BELLWETHER_URL", default_value = "http://127.0.0.1:9390", value_name = "URL")]
    url: String,
    /// File with the bearer token to send
    #[arg(long, env = "BELLWETHER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Remote {
    pub(crate) fn connect(&self) -> anyhow::Result<Server> {
        let base = format!("{}/", self.url.trim_end_matches('/'));
        let base: Url = base.parse().with_context(|| format!("`{}` is no address", self.url))?;
        let token = match &self.token_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("failed to read the token in `{}`", path.display()))?;
                Some(text.trim().to_owned())
            }
        };
        let options = daemon::http::ClientOptions { timeout: TIMEOUT, ..Default::default() };
        Ok(Server { client: daemon::http::client(&options)?, base, token })
    }
}

/// A server that can be asked.
pub(crate) struct Server {
    client: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Server {
    /// Posts a form and reads the JSON that comes back.
    pub(crate) async fn ask(&self, path: &str, params: &[(&str, String)]) -> anyhow::Result<Value> {
        let url = self.base.join(path)?;
        let mut form = self.base.clone();
        form.query_pairs_mut().clear().extend_pairs(params);
        let mut request = self
            .client
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response =
            request.send().await.with_context(|| format!("failed to reach `{}`; set --url", self.base))?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{}", refusal(&text, status));
        }
        serde_json::from_str(&text).with_context(|| format!("`{url}` answered something that is no JSON"))
    }
}

/// What the server says is wrong: Prometheus' API says it in JSON, Loki's as text.
fn refusal(text: &str, status: reqwest::StatusCode) -> String {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let message = json["error"].as_str().unwrap_or(text).trim();
    if message.is_empty() { format!("the server answered {status}") } else { message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_the_servers_words() {
        let status = reqwest::StatusCode::BAD_REQUEST;
        assert_eq!(refusal(r#"{"status":"error","error":"bad query"}"#, status), "bad query");
        assert_eq!(refusal("parse error : x\n", status), "parse error : x");
        assert_eq!(refusal("", status), "the server answered 400 Bad Request");
    }
}
