//! `oauth2`: a token by client credentials, fetched when it is needed and kept while it lasts.

use super::{
    Context, SecretUrl, check_target,
    connection::{Connection, Written},
    http::{HeaderValues, required_secret},
    tls::TlsYaml,
};
use crate::{
    notify::http::{Answer, AttemptError, End, form},
    problem::Place,
};
use daemon::Secret;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// A token is not used in the last moments of its life, nor longer than this without a word of it,
/// nor longer than a day whatever the word.
const MARGIN: Duration = Duration::from_secs(10);
const LIFE_DEFAULT: Duration = Duration::from_secs(3600);
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oauth2Yaml {
    client_id: String,
    client_secret: Option<Secret>,
    client_secret_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    scopes: Vec<String>,
    token_url: Spanned<String>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    endpoint_params: BTreeMap<String, Secret>,
    tls_config: Option<TlsYaml>,
    proxy_url: Option<Spanned<String>>,
    no_proxy: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    proxy_connect_header: BTreeMap<String, HeaderValues>,
    #[serde(default)]
    proxy_from_environment: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Oauth2 {
    token_url: SecretUrl,
    client_id: String,
    client_secret: Secret,
    /// What is asked for.
    form: Vec<(String, Secret)>,
    connection: Connection,
    client: Option<reqwest::Client>,
    /// The token, and until when.
    held: Mutex<Option<(Secret, Instant)>>,
}

/// Two are equal when they ask the same.
impl PartialEq for Oauth2 {
    fn eq(&self, other: &Self) -> bool {
        (&self.token_url, &self.client_id, &self.client_secret, &self.form, &self.connection)
            == (&other.token_url, &other.client_id, &other.client_secret, &other.form, &other.connection)
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    /// Seconds; some servers write them as a text.
    expires_in: Option<serde_json::Value>,
}

impl Granted {
    fn life(&self) -> Duration {
        let seconds = self
            .expires_in
            .as_ref()
            .and_then(|life| life.as_f64().or_else(|| life.as_str().and_then(|text| text.parse().ok())));
        // 0 is written by servers that do not say.
        let life =
            seconds.filter(|seconds| *seconds > 0.0).map(|seconds| seconds.min(LIFE_MAX.as_secs_f64()));
        life.map_or(LIFE_DEFAULT, Duration::from_secs_f64)
    }
}

impl Oauth2Yaml {
    pub(super) fn build(
        &self,
        context: &mut Context<'_>,
        place: Place,
        allow_link_local: bool,
    ) -> Option<Oauth2> {
        let written = Written {
            tls: self.tls_config.as_ref(),
            proxy_url: self.proxy_url.as_ref(),
            no_proxy: self.no_proxy.as_ref(),
            proxy_connect_header: &self.proxy_connect_header,
            proxy_from_environment: self.proxy_from_environment,
            follow_redirects: false,
            allow_link_local,
        };
        let connection = written.read(context, place);
        let given = [(self.client_secret.as_ref(), self.client_secret_file.as_ref()), (None, None)];
        let client_secret = required_secret(context, place, "client_secret", given);
        let at = Place::of(&self.token_url);
        let mut form = vec![("grant_type".to_owned(), Secret::new("client_credentials"))];
        if !self.scopes.is_empty() {
            form.push(("scope".to_owned(), Secret::new(self.scopes.join(" "))));
        }
        for name in ["scope", "client_id", "client_secret"] {
            if self.endpoint_params.contains_key(name) {
                context.report(
                    place,
                    format!("`endpoint_params` cannot set `{name}`, which has a field of its own"),
                );
            }
        }
        // Some servers want another `grant_type`.
        form.retain(|(name, _)| !self.endpoint_params.contains_key(name));
        form.extend(self.endpoint_params.clone());
        Some(Oauth2 {
            token_url: check_target(context, at, "token_url", &self.token_url.value, allow_link_local)?,
            client_id: self.client_id.clone(),
            client_secret: client_secret?,
            form,
            client: connection.client(context, place),
            connection,
            held: Mutex::new(None),
        })
    }
}

impl Oauth2 {
    /// A token that is good now. Who comes while it is fetched waits for the same one.
    pub(super) async fn token(&self, shared: &reqwest::Client) -> Result<Secret, AttemptError> {
        let mut held = self.held.lock().await;
        if let Some((token, until)) = &*held
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let granted = self.fetch(shared).await.map_err(|mut error| {
            error.message = format!("no token from `token_url`: {}", error.message);
            // The receiver was not asked.
            error.may_be_taken = false;
            error
        })?;
        let usable = granted.life().saturating_sub(MARGIN);
        *held = Some((granted.access_token.clone(), Instant::now() + usable));
        Ok(granted.access_token)
    }

    /// The credentials go into the header first, as the standard prefers, then into the form,
    /// which is all that some servers read.
    async fn fetch(&self, shared: &reqwest::Client) -> Result<Granted, AttemptError> {
        let mut answer = self.ask(shared, true).await?;
        if matches!(answer.status.as_u16(), 400 | 401) {
            answer = self.ask(shared, false).await?;
        }
        answer.accepted()?;
        // The answer may hold a token, so it is not shown.
        serde_json::from_str(&answer.body).map_err(|error| match answer.end {
            End::TooLong => AttemptError::permanent("the answer is longer than any token"),
            End::Lost => AttemptError::passing("the answer was cut off"),
            // By a proxy, say.
            End::Whole if error.is_eof() && !answer.body.is_empty() => {
                AttemptError::passing("the answer was cut off")
            }
            End::Whole => AttemptError::permanent("the answer holds no `access_token`"),
        })
    }

    async fn ask(&self, shared: &reqwest::Client, in_header: bool) -> Result<Answer, AttemptError> {
        let url = self.token_url.expose().clone();
        let mut request = self.client.as_ref().unwrap_or(shared).post(url);
        if in_header {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request =
                request.basic_auth(encoded(&self.client_id), Some(encoded(self.client_secret.expose())));
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Answer::of(request.body(self.form(!in_header))).await
    }

    fn form(&self, with_credentials: bool) -> String {
        let pairs = self.form.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let credentials =
            [("client_id", self.client_id.as_str()), ("client_secret", self.client_secret.expose())];
        form(pairs.chain(credentials.into_iter().filter(|_| with_credentials)))
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{self, Script, Sink, firing, problems};

    const JSON: &str = "application/json";

    fn config(sink: &Sink, token_sink: &Sink) -> String {
        format!(
            "webhook_configs:\n- url: '{}hook'\n  http_config:\n    oauth2: {{client_id: 'me&', client_secret: s3cret, token_url: '{}token', scopes: [a, b], endpoint_params: {{audience: x}}}}",
            sink.url, token_sink.url
        )
    }

    #[tokio::test]
    async fn a_token_is_fetched_and_shown() {
        let tokens = Sink::start(&[(200, JSON, r#"{"access_token":"t0ken","expires_in":3600}"#)]).await;
        let sink = Sink::start(&[]).await;
        sink.send(&config(&sink, &tokens), firing()).await.unwrap();
        assert_eq!(sink.request(0).headers["authorization"], "Bearer t0ken");
        let asked = tokens.form(0);
        let expected = [("grant_type", "client_credentials"), ("scope", "a b"), ("audience", "x")];
        for (name, value) in expected {
            assert_eq!(asked[name], value);
        }
        assert!(
            tokens.request(0).headers["authorization"].starts_with("Basic "),
            "credentials are in the header"
        );
    }

    /// A life in numbers was not read at all: what the server had forgotten was shown for an hour.
    #[tokio::test]
    async fn a_token_is_kept_for_as_long_as_the_server_says() {
        for (life, asked) in [
            ("3600", 1),
            ("\"3600\"", 1),
            ("5", 2),
            ("\"5\"", 2),
            ("18446744073709551615", 1),
            ("\"18446744073709551615\"", 1),
            ("5.0", 2),
            ("3600.5", 1),
            ("0", 1),
            ("-1", 1),
            ("null", 1),
        ] {
            let body = format!(r#"{{"access_token":"t0ken","expires_in":{life}}}"#).leak();
            let script: Script = Box::leak(Box::new([(200, JSON, &*body); 2]));
            let (tokens, sink) = (Sink::start(script).await, Sink::start(&[]).await);
            let config = sink::config(&config(&sink, &tokens));
            sink.send_with(&config, firing()).await.unwrap();
            sink.send_with(&config, firing()).await.unwrap();
            assert_eq!((tokens.count(), sink.count()), (asked, 2), "{life}");
        }
    }

    #[tokio::test]
    async fn a_parameter_takes_the_place_of_what_is_asked_for_by_default() {
        let tokens = Sink::start(&[(200, JSON, r#"{"access_token":"t0ken"}"#)]).await;
        let sink = Sink::start(&[]).await;
        let config = config(&sink, &tokens).replace("audience: x", "grant_type: x");
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(tokens.request(0).body, "scope=a+b&grant_type=x");
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_may_pass() {
        let long = format!(r#"{{"access_token":"{}"}}"#, "t0".repeat(20_000)).leak();
        let script: Script = Box::leak(Box::new([
            (200, JSON, r#"{"access_token":"t0"#),
            (200, JSON, "s3cret"),
            (200, JSON, ""),
            (200, JSON, &*long),
        ]));
        let (tokens, sink) = (Sink::start(script).await, Sink::start(&[]).await);
        for recoverable in [true, false, false, false] {
            let error = sink.send(&config(&sink, &tokens), firing()).await.unwrap_err();
            assert!(error.recoverable == recoverable && !error.message.contains("t0"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_reads_the_form_only_is_asked_by_form() {
        let tokens = Sink::start(&[(401, JSON, "{}"), (200, JSON, r#"{"access_token":"t0ken"}"#)]).await;
        let sink = Sink::start(&[]).await;
        sink.send(&config(&sink, &tokens), firing()).await.unwrap();
        assert_eq!(
            (tokens.form(1)["client_id"].as_str(), tokens.form(1)["client_secret"].as_str()),
            ("me&", "s3cret")
        );
    }

    #[tokio::test]
    async fn without_a_token_nothing_is_sent_and_no_secret_is_told() {
        let tokens =
            Sink::start(&[(500, JSON, ""), (403, JSON, ""), (200, JSON, r#"{"token":"s3cret"}"#)]).await;
        let sink = Sink::start(&[(500, "text/plain", "")]).await;
        for recoverable in [true, false, false] {
            let error = sink.send(&config(&sink, &tokens), firing()).await.unwrap_err();
            assert_eq!((error.recoverable, error.may_be_taken), (recoverable, false), "{error:?}");
            assert!(error.message.contains("token_url") && !error.message.contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn what_is_missing_or_contradicts_is_named() {
        let found = problems(
            "webhook_configs: [{url: 'http://h', http_config: {oauth2: {client_id: i, token_url: 'http://t'}, basic_auth: {username: u}}}]",
        );
        assert!(
            found.iter().any(|it| it.contains("`client_secret`"))
                && found.iter().any(|it| it.contains("at most one")),
            "{found:?}"
        );
        let found = problems(
            "webhook_configs: [{url: 'http://h', http_config: {oauth2: {client_id: i, client_secret: s, token_url: 'http://t', endpoint_params: {scope: a, grant_type: b}}}}]",
        );
        assert!(found.len() == 1 && found[0].contains("`scope`"), "{found:?}");
    }
}
