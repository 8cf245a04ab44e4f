//! A small HTTP client and patience.

use serde_json::Value;
use std::{sync::Once, time::Duration};

/// Waits until `condition` holds, looking every 50 ms.
///
/// # Panics
/// After `patience`, naming what did not come about.
pub async fn eventually<F: Future<Output = bool>>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let deadline = tokio::time::Instant::now() + patience;
    while tokio::time::Instant::now() < deadline {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within {patience:?}: {what}");
}

/// Talks to one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// A client of the server at `base`.
    pub fn new(base: &str) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error means that one is installed.
            if rustls::crypto::ring::default_provider().install_default().is_err() {}
        });
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client can be made");
        Client { http, base: base.to_owned() }
    }

    /// A request to `path`, to be finished by the caller.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Status of a GET, `None` when nobody answers.
    pub async fn get_status(&self, path: &str) -> Option<u16> {
        self.request(reqwest::Method::GET, path).send().await.ok().map(|response| response.status().as_u16())
    }

    /// Status and text of a GET.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> (u16, String) {
        let url =
            reqwest::Url::parse_with_params(&format!("{}{path}", self.base), query).expect("a valid address");
        let response = self.http.get(url).send().await.expect("the server answers");
        (response.status().as_u16(), response.text().await.expect("the answer has a body"))
    }

    /// The JSON answer of a GET that must succeed.
    pub async fn json(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let (status, text) = self.get(path, query).await;
        assert_eq!(status, 200, "{path} {query:?}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Status and text of a POST.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> (u16, String) {
        let mut request = self.request(reqwest::Method::POST, path).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the server answers");
        (response.status().as_u16(), response.text().await.expect("the answer has a body"))
    }

    /// The elements of an instant vector, as (labels, value).
    pub async fn vector(&self, expression: &str) -> Vec<(Value, f64)> {
        let answer = self.json("/api/v1/query", &[("query", expression)]).await;
        let elements = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let element = |element: &Value| {
            let value = element["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
            (element["metric"].clone(), value)
        };
        elements.iter().map(element).collect()
    }

    /// The lines of a log query over the last hour, oldest first: (nanoseconds, line).
    pub async fn lines(&self, query: &str) -> Vec<(i64, String)> {
        let params = [("query", query), ("since", "1h"), ("limit", "5000"), ("direction", "forward")];
        let answer = self.json("/loki/api/v1/query_range", &params).await;
        let streams = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let mut lines = Vec::new();
        for entry in streams.iter().filter_map(|stream| stream["values"].as_array()).flatten() {
            let at = entry[0].as_str().and_then(|text| text.parse().ok()).expect("a timestamp");
            lines.push((at, entry[1].as_str().expect("a line").to_owned()));
        }
        lines.sort();
        lines
    }

    /// Pushes lines to one stream over Loki's JSON API; returns the status.
    pub async fn push(&self, labels: &Value, lines: &[(i64, String)]) -> u16 {
        let values: Vec<Value> =
            lines.iter().map(|(at, line)| serde_json::json!([at.to_string(), line])).collect();
        let body = serde_json::json!({"streams": [{"stream": labels, "values": values}]}).to_string();
        self.post("/loki/api/v1/push", &[("content-type", "application/json")], body).await.0
    }
}
