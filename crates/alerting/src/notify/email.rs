//! The mail: text and HTML, and headers that make the mails of one group one conversation.

use super::{http::AttemptError, telling::Telling};
use crate::config::{EmailConfig, SmtpTls};
use daemon::http::TlsVersion;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    address::Envelope,
    message::{
        Mailbox, Mailboxes, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, Identity, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::time::Duration;

/// How long the server may take for one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

fn permanent(message: impl Into<String>) -> AttemptError {
    AttemptError::permanent(message)
}

impl EmailConfig {
    pub(crate) fn target(&self) -> String {
        format!("email:{}", self.to)
    }

    /// Sends the message once.
    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let mail = compose(self, telling)?;
        let sent = transport(self)?.send(mail).await;
        sent.map(|_| ()).map_err(|error| AttemptError {
            // 5xx is the server's last word; anything else may pass.
            recoverable: !error.is_permanent(),
            retry_after: None,
            may_be_taken: may_be_taken(&error),
            message: format!("{}:{}: {}", self.host, self.port, describe(&error)),
        })
    }
}

/// Whether no answer may mean that the server has the mail: it is not known how far the words with it had
/// come. A refusal of any of them is one of the mail.
fn may_be_taken(error: &smtp::Error) -> bool {
    // There is no other way to learn the kind.
    let is_unconnected = error.to_string().starts_with("Connection error");
    let is_refused = error.is_transient() || error.is_permanent();
    !is_unconnected && !is_refused && !error.is_tls() && !error.is_client()
}

fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

fn transport(config: &EmailConfig) -> Result<AsyncSmtpTransport<Tokio1Executor>, AttemptError> {
    let parameters = || {
        let name = config.server_name.clone().unwrap_or_else(|| config.host.clone());
        let mut builder =
            TlsParameters::builder(name).dangerous_accept_invalid_certs(config.insecure_skip_verify);
        if let Some(pem) = &config.ca_pem {
            let authority =
                Certificate::from_pem(pem.as_bytes()).map_err(|error| permanent(error.to_string()))?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
        }
        if let Some([certificate, key]) = &config.identity_pem {
            let identity = Identity::from_pem(certificate.expose().as_bytes(), key.expose().as_bytes());
            builder = builder.identify_with(identity.map_err(|error| permanent(error.to_string()))?);
        }
        if config.tls_version_min == Some(TlsVersion::Tls13) {
            builder = builder.set_min_tls_version(lettre::transport::smtp::client::TlsVersion::Tlsv13);
        }
        builder.build_rustls().map_err(|error| permanent(error.to_string()))
    };
    let tls = match config.tls {
        SmtpTls::Plain => Tls::None,
        SmtpTls::Required => Tls::Required(parameters()?),
        SmtpTls::Implicit => Tls::Wrapper(parameters()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.as_str())
        .port(config.port)
        .hello_name(ClientId::Domain(config.hello.clone()))
        .timeout(Some(COMMAND_TIMEOUT))
        .tls(tls);
    if let Some((user, password)) = &config.auth {
        builder = builder
            .credentials(Credentials::new(user.clone(), password.expose().to_owned()))
            .authentication(vec![Mechanism::Plain, Mechanism::Login]);
    }
    Ok(builder.build())
}

/// The mail for `message`. Its identity is the notification's, so a repeat is recognised.
pub(crate) fn compose(config: &EmailConfig, telling: &Telling<'_>) -> Result<Mail, AttemptError> {
    let Telling { message, idempotency_key, now_ms, .. } = *telling;
    let expand = |text: &str, html: bool| if html { telling.html(text) } else { telling.text(text) };
    let from: Mailbox = parse_address("from", &expand(&config.from, false)?)?;
    let to: Mailboxes = parse_address("to", &expand(&config.to, false)?)?;
    let recipients = to.iter().map(|mailbox| mailbox.email.clone()).collect();
    let envelope =
        Envelope::new(Some(from.email.clone()), recipients).map_err(|error| permanent(error.to_string()))?;
    let domain = from.email.domain().to_owned();
    let sent_at = std::time::UNIX_EPOCH + Duration::from_millis(now_ms.max(0) as u64);
    let mut builder = Mail::builder()
        .envelope(envelope)
        .from(from)
        .mailbox(lettre::message::header::To::from(to))
        .date(sent_at)
        .raw_header(raw_header("Message-Id", format!("<{idempotency_key}@{domain}>"))?);
    if config.threading {
        let thread = xxhash_rust::xxh3::xxh3_64(message.group_key.as_bytes());
        let root = format!("<group-{thread:016x}@{domain}>");
        builder = builder.references(root.clone()).in_reply_to(root);
    }
    for (name, text) in &config.headers {
        let value = expand(text, false)?.replace(['\r', '\n'], " ");
        builder = if name.eq_ignore_ascii_case("subject") {
            builder.subject(value)
        } else {
            builder.raw_header(raw_header(name, value)?)
        };
    }
    let text = expand(&config.text, false)?;
    let html = expand(&config.html, true)?;
    let plain = (!text.is_empty() || html.is_empty()).then(|| SinglePart::plain(text));
    let rich = (!html.is_empty()).then(|| SinglePart::html(html));
    // One part, too, is one of several: so whoever reads it need not tell the two apart.
    let mut parts = MultiPart::alternative().build();
    for part in plain.into_iter().chain(rich) {
        parts = parts.singlepart(part);
    }
    builder.multipart(parts).map_err(|error| permanent(error.to_string()))
}

fn raw_header(name: &str, value: String) -> Result<HeaderValue, AttemptError> {
    let header = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|_| permanent(format!("`{name}` is not the name of a header")))?;
    Ok(HeaderValue::new(header, value))
}

fn parse_address<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, AttemptError>
where
    T::Err: std::fmt::Display,
{
    text.trim().parse().map_err(|error| permanent(format!("`{text}` in `{field}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::IntegrationConfig,
        expand::NotificationTemplates,
        notify::sparkline::Sparklines,
        receivers::sink::{config, firing},
    };

    fn email(smarthost: &str, settings: &str) -> EmailConfig {
        let config = config(&format!(
            "email_configs: [{{to: a@example.org, from: b@example.org, smarthost: '{smarthost}'{settings}}}]"
        ));
        let IntegrationConfig::Email(email) = &config.receivers["r"].integrations[0].config else {
            panic!("it is a mail")
        };
        (**email).clone()
    }

    /// The mail of a receiver with `settings`.
    fn mail(settings: &str) -> String {
        let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
        let (templates, message) = (NotificationTemplates::default(), firing());
        let telling = Telling::new((&client, "http://bw"), &templates, &message, "n", Sparklines::new(), 0);
        let mail = compose(&email("h:25", settings), &telling).unwrap();
        String::from_utf8(mail.formatted()).unwrap()
    }

    #[tokio::test]
    async fn a_failure_names_the_mail_server() {
        let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
        let (templates, message) = (NotificationTemplates::default(), firing());
        let telling = Telling::new((&client, "http://bw"), &templates, &message, "n", Sparklines::new(), 0);
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let smarthost = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = email(&smarthost, ", require_tls: false").send(&telling).await.unwrap_err();
        assert!(error.message.starts_with(&format!("{smarthost}: ")), "{}", error.message);
        assert!(error.recoverable && !error.may_be_taken);
    }

    /// A server that hangs up when it has the mail, and two that refuse it.
    #[tokio::test]
    async fn a_mail_without_an_answer_may_be_taken() {
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
        let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
        let (templates, message) = (NotificationTemplates::default(), firing());
        let telling = Telling::new((&client, "http://bw"), &templates, &message, "n", Sparklines::new(), 0);
        for (last, expected) in [("", true), ("451 later\r\n", false), ("554 never\r\n", false)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let smarthost = listener.local_addr().unwrap().to_string();
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 h\r\n").await.unwrap();
                let mut line = String::new();
                while line != ".\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await.unwrap();
                    let answer = match line.get(..4) {
                        Some("EHLO" | "MAIL" | "RCPT") => "250 h\r\n",
                        Some("DATA") => "354 go on\r\n",
                        _ => "",
                    };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                stream.write_all(last.as_bytes()).await.unwrap();
            });
            let error = email(&smarthost, ", require_tls: false").send(&telling).await.unwrap_err();
            assert_eq!(error.may_be_taken, expected, "{last:?}: {error:?}");
        }
    }

    #[test]
    fn the_parts_are_those_that_are_written() {
        for (settings, expected) in [
            ("", &["text/plain", "text/html"][..]),
            (", html: '<b>x</b>'", &["text/html"]),
            (", html: '<b>x</b>', text: x", &["text/plain", "text/html"]),
            (", html: '', text: x", &["text/plain"]),
            (", html: ''", &["text/plain"]),
        ] {
            let mail = mail(settings);
            let kinds = mail.lines().filter_map(|line| line.strip_prefix("Content-Type: "));
            let mut kinds: Vec<_> = kinds.map(|kind| kind.split(';').next().unwrap_or_default()).collect();
            assert_eq!(kinds.remove(0), "multipart/alternative", "{settings}");
            assert_eq!(kinds, expected, "{settings}");
        }
        let text = mail(", html: '', text: x");
        assert!(text.contains("\r\n\r\nx\r\n--"), "nothing is added to the text: {text}");
    }

    #[test]
    fn names_of_headers_begin_with_capitals() {
        let mail = mail(", headers: {subject: s, x-lower: y}");
        assert!(mail.contains("\r\nX-Lower: y\r\n") && mail.contains("\r\nSubject: s\r\n"), "{mail}");
    }
}
