//! Commands that speak to a running server: where it is, how it is asked, how answers are shown.

mod table;

pub(super) use table::Table;

use anyhow::{Context, anyhow, bail};
use daemon::{
    Secret,
    http::{ClientOptions, ClientTls, client, explain, read_authorities},
};
use reqwest::{Method, Response, StatusCode, Url, header};
use serde_json::Value;
use std::{io::Write, path::PathBuf, time::Duration};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where the server is, and who asks.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Address {
    /// Address of the server
    #[arg(
        long,
        env = "BELLWETHER_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9390",
        global = true
    )]
    url: String,
    /// File that holds a bearer token, for servers that ask for one
    #[arg(long, env = "BELLWETHER_TOKEN_FILE", value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// File (PEM) with the authorities to check the server's certificate against, instead of the system's
    #[arg(long, env = "BELLWETHER_CA_FILE", value_name = "FILE", global = true)]
    ca_file: Option<PathBuf>,
}

/// Where the server is and how its answers are shown.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Server {
    #[command(flatten)]
    address: Address,
    /// How to show the answer
    #[arg(long, value_enum, default_value = "table", global = true)]
    output: Output,
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs, as the server gave it
    Json,
}

/// A way to the server.
pub(super) struct Connection {
    client: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    output: Output,
}

impl Address {
    /// Ready to ask; an answer may take `patience`.
    pub(super) fn connect(&self, patience: Duration) -> anyhow::Result<Connection> {
        if !self.url.contains("://") {
            bail!("`{}` is not an address; write http:// or https:// before it", self.url);
        }
        let mut base = Url::parse(&self.url).with_context(|| format!("`{}` is not an address", self.url))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            bail!("`{}` is not an address; write it like http://127.0.0.1:9390", self.url);
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let token = Secret::resolve("token", None, self.token_file.as_deref())?;
        if let (Some(token), Some(file)) = (&token, &self.token_file) {
            if token.expose().trim().is_empty() {
                bail!("`{}` is empty; it must hold the token", file.display());
            }
            if token.expose().contains(char::is_whitespace) {
                bail!("`{}` must hold the token alone, on one line", file.display());
            }
        }
        let ca_pem = self.ca_file.as_deref().map(read_authorities).transpose().context("--ca-file")?;
        let tls = ClientTls { ca_pem, ..ClientTls::default() };
        let client = client(&ClientOptions { timeout: patience, tls, ..ClientOptions::default() })?;
        Ok(Connection { client, base, token, output: Output::Table })
    }
}

impl Server {
    /// See [`Address::connect`].
    pub(super) fn connect(&self, patience: Duration) -> anyhow::Result<Connection> {
        Ok(Connection { output: self.output, ..self.address.connect(patience)? })
    }
}

/// What is sent with a request.
enum Body<'a> {
    None,
    Json(&'a Value),
    Form(&'a [(&'a str, String)]),
}

impl Connection {
    /// `GET path?query`
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, query, Body::None).await
    }

    /// `POST path` with a JSON body.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, &[], Body::Json(body)).await
    }

    /// `POST path` with a form, to be answered in JSON.
    pub(super) async fn post_form(&self, path: &str, form: &[(&str, String)]) -> anyhow::Result<Value> {
        match self.ask(Method::POST, path, &[], Body::Form(form)).await? {
            Value::String(_) => {
                bail!("{}{path} answered something that is no JSON; is --url right?", self.base)
            }
            answer => Ok(answer),
        }
    }

    /// `DELETE path`
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::DELETE, path, &[], Body::None).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Body<'_>,
    ) -> anyhow::Result<Value> {
        let mut url = self.base.join(path).with_context(|| format!("`{path}` is not a path"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        request = match body {
            Body::None => request,
            Body::Json(body) => request.json(body),
            Body::Form(pairs) => request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()),
        };
        let response =
            request.send().await.map_err(|error| Unreached(unreached(&self.base, &explain(&error))))?;
        let status = response.status();
        let text = read(response).await?;
        if status.is_success() {
            return Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
        if status == StatusCode::UNAUTHORIZED && self.token.is_some() {
            bail!(
                "the server does not know this token; was it made for another server, or since the last start?"
            );
        }
        Err(refusal(status, &text))
    }

    /// Whether the answer is wanted as the server gave it; shows it then.
    pub(super) fn shows_json(&self, answer: &Value) -> anyhow::Result<bool> {
        if self.output == Output::Json {
            writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(answer)?)?;
        }
        Ok(self.output == Output::Json)
    }
}

/// That nothing came back, with what to do about it.
fn unreached(base: &Url, why: &str) -> String {
    if why.contains("UnknownIssuer") {
        return format!("failed to reach {base}: {why}; --ca-file names the authority of its certificate");
    }
    if why.contains("invalid peer certificate") {
        return format!("failed to reach {base}: {why}");
    }
    format!("failed to reach {base}; is the server running? (--url names another): {why}")
}

async fn read(mut response: Response) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the answer broke off")? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            bail!("the answer is larger than {ANSWER_BYTES_MAX} bytes; ask for less");
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).context("the answer is not text")
}

/// What the server says is wrong, in any of the forms that its APIs have.
fn refusal(status: StatusCode, text: &str) -> anyhow::Error {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let said = parsed.as_ref().and_then(|value| {
        let field = value.get("error").or_else(|| value.get("message")).unwrap_or(value);
        field.as_str()
    });
    let said = said.unwrap_or(text).trim();
    if status == StatusCode::UNAUTHORIZED {
        return anyhow!("the server asks for a token; give one with --token-file");
    }
    if status == StatusCode::NOT_FOUND && said.is_empty() {
        return anyhow!(NotThere);
    }
    let said = if said.is_empty() { format!("the server answered {status}") } else { said.to_owned() };
    if status.is_server_error() { anyhow!(Unavailable(said)) } else { anyhow!(said) }
}

/// The server is not there, or does not speak as its address says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreached(String);

/// The server is there and cannot answer now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unavailable(String);

/// The server has nothing of that name.
#[derive(Debug, thiserror::Error)]
#[error("the server answered 404 Not Found")]
pub(super) struct NotThere;

/// Whether the same question may be answered later: the server is away, or cannot answer now.
pub(super) fn may_pass(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.is::<Unreached>() || cause.is::<Unavailable>() || cause.is::<reqwest::Error>())
}

/// Runs a command's requests.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Text of a field, or nothing.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// `name="value", …` of an object of labels, without those in `without`.
pub(super) fn labels(value: &Value, without: &[&str]) -> String {
    let all = value.as_object().into_iter().flatten();
    let shown = all.filter(|(name, _)| !without.contains(&name.as_str()));
    let texts: Vec<_> = shown.map(|(name, value)| format!("{name}={value}")).collect();
    texts.join(", ")
}

/// How long ago a time was, such as `3h12m`.
pub(super) fn ago(at_ms: i64) -> String {
    let seconds = (daemon::clock::now_ms() - at_ms).max(0) / 1000;
    span(seconds)
}

/// A duration with its two largest units.
pub(super) fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// The milliseconds of an RFC 3339 time; 0 when it is none.
pub(super) fn at_ms(text: &str) -> i64 {
    alerting::timestamp::parse(text).ok().flatten().unwrap_or(0)
}

/// Matchers of a command line: `name=value`, `name=~"regex"`, …; a first word without an operator
/// is an alert's name.
///
/// # Errors
/// When one does not parse.
pub(super) fn matchers(words: &[String]) -> anyhow::Result<Vec<String>> {
    let mut matchers = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let text = if index == 0 && !word.contains(['=', '~', '{']) {
            format!("alertname={}", serde_json::Value::from(word.as_str()))
        } else {
            word.clone()
        };
        let parsed = alerting::matchers::parse_matchers(&text)
            .map_err(|error| anyhow!("`{word}` is not a matcher such as severity=critical: {error}"))?;
        matchers.extend(parsed.iter().map(ToString::to_string));
    }
    Ok(matchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_does_not() {
        for (status, passes) in [(503, true), (502, true), (400, false), (401, false), (404, false)] {
            let refused = refusal(StatusCode::from_u16(status).unwrap(), "no");
            assert_eq!(may_pass(&refused.context("asking")), passes, "{status}");
        }
    }

    #[test]
    fn what_cannot_be_reached_is_told_with_advice_that_helps() {
        let base = Url::parse("https://x/").unwrap();
        for (why, advice) in [
            ("connection refused", Some("--url")),
            ("invalid peer certificate: UnknownIssuer", Some("--ca-file")),
            ("invalid peer certificate: Expired", None),
        ] {
            let told = unreached(&base, why);
            for flag in ["--url", "--ca-file"] {
                assert_eq!(told.contains(flag), Some(flag) == advice, "{told}");
            }
        }
    }

    #[test]
    fn an_authority_that_is_none_is_told_before_anything_is_asked() {
        let address = |ca_file: &str| Address {
            url: "https://127.0.0.1:1".to_owned(),
            token_file: None,
            ca_file: Some(ca_file.into()),
        };
        for (file, expected) in [
            ("/dev/null", "--ca-file: `/dev/null` holds no certificate in PEM form"),
            ("/nonexistent", "--ca-file: failed to read `/nonexistent`: "),
        ] {
            let refused = address(file).connect(Duration::from_secs(1)).err().expect("it is refused");
            assert!(format!("{refused:#}").starts_with(expected), "{refused:#}");
        }
    }

    #[test]
    fn addresses_and_token_files_that_are_none_are_told_before_anything_is_asked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (url, content, expected) in [
            ("127.0.0.1:9390", "secret", "write http:// or https:// before it"),
            ("localhost:9390", "secret", "write http:// or https:// before it"),
            ("ftp://localhost", "secret", "write it like http://127.0.0.1:9390"),
            ("http://127.0.0.1:1", "", "is empty"),
            ("http://127.0.0.1:1", " \n", "is empty"),
            ("http://127.0.0.1:1", "two words", "must hold the token alone"),
        ] {
            std::fs::write(file.path(), content).unwrap();
            let token_file = Some(file.path().to_owned());
            let address = Address { url: url.to_owned(), token_file, ca_file: None };
            let refused = address.connect(Duration::from_secs(1)).err().expect("it is refused").to_string();
            let named = if content == "secret" { url.to_owned() } else { file.path().display().to_string() };
            assert!(refused.contains(expected) && refused.contains(&named), "{refused}");
        }
    }

    #[test]
    fn words_become_matchers() {
        let words =
            |words: &[&str]| matchers(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            words(&["DiskFull", "instance=~db-.*", "{a=\"b\",c!=\"d\"}"]).unwrap(),
            [r#"alertname="DiskFull""#, r#"instance=~"db-.*""#, r#"a="b""#, r#"c!="d""#]
        );
        assert!(words(&["a=b", "nonsense"]).is_err());
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, expected) in [(5, "5s"), (65, "1m5s"), (3720, "1h2m"), (90_000, "1d1h")] {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn refusals_are_told_in_the_servers_words() {
        let told = |status: u16, text: &str| refusal(StatusCode::from_u16(status).unwrap(), text).to_string();
        assert_eq!(told(400, "\"bad matcher\""), "bad matcher");
        assert_eq!(told(422, r#"{"code": 602, "message": "no labels"}"#), "no labels");
        assert_eq!(told(400, r#"{"status": "error", "error": "parse error"}"#), "parse error");
        assert_eq!(told(503, ""), "the server answered 503 Service Unavailable");
        assert!(told(401, "").contains("--token-file"));
    }
}
