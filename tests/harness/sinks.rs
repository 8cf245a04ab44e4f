//! Where notifications arrive: an HTTP listener, and a real SMTP server (aiosmtpd).

use crate::{Certificates, eventually, find_tool, free_port};
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;

/// A request that a webhook delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: String,
}

impl Delivery {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a webhook's body is JSON")
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Received {
    deliveries: Vec<Delivery>,
    refused: Vec<Delivery>,
    /// Requests to refuse with this status before any is taken.
    refuse: Vec<u16>,
}

/// Listens for webhooks on loopback for as long as it lives.
pub struct WebhookSink {
    /// Where to send them.
    pub url: String,
    received: Arc<Mutex<Received>>,
    server: tokio::task::JoinHandle<()>,
}

impl WebhookSink {
    /// Starts a listener that takes everything.
    pub async fn start() -> Self {
        Self::start_refusing(&[]).await
    }

    /// Starts a listener that answers the first requests with these statuses.
    pub async fn start_refusing(statuses: &[u16]) -> Self {
        let refuse = statuses.iter().rev().copied().collect();
        let received = Arc::new(Mutex::new(Received { refuse, ..Received::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("a bound socket has an address"));
        let router = Router::new().fallback(take).with_state(received.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the listener goes on");
        });
        WebhookSink { url, received, server }
    }

    /// What has been delivered so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).deliveries.clone()
    }

    /// What has been refused so far.
    pub fn refused(&self) -> Vec<Delivery> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }
}

impl Drop for WebhookSink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(received): State<Arc<Mutex<Received>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = headers.iter().map(header).collect();
    let delivery = Delivery { headers, body: String::from_utf8_lossy(&body).into_owned() };
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(status) = received.refuse.pop() {
        received.refused.push(delivery);
        return StatusCode::from_u16(status).expect("a valid status");
    }
    received.deliveries.push(delivery);
    StatusCode::OK
}

const SMTP_SERVER: &str = r#"
import asyncio, email, json, ssl, sys
from email import policy
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

class Sink:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart() and part.get_content_maintype() == "text"}
        row = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": server.transport.get_extra_info("ssl_object") is not None, "user": getattr(session, "user", None), "headers": {k.lower(): str(v) for k, v in message.items()}, "parts": parts}
        with open(sys.argv[2], "a") as out:
            out.write(json.dumps(row) + "\n")
        return "250 OK"

def authenticate(server, session, envelope, mechanism, login):
    good = (login.login, login.password) == (b"bw", b"pw")
    session.user = login.login.decode()
    return AuthResult(success=good, handled=False)

options = {}
mode = sys.argv[3] if len(sys.argv) > 3 else "plain"
if mode != "plain":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    options = {"authenticator": authenticate, "auth_required": True}
    if mode == "implicit":
        options.update(ssl_context=context, auth_require_tls=False)
    else:
        options.update(tls_context=context, require_starttls=True)
controller = Controller(Sink(), hostname="127.0.0.1", port=int(sys.argv[1]), **options)
controller.start()
print("ready", flush=True)
sys.stdin.read()
"#;

/// A real SMTP server on loopback for as long as it lives.
pub struct MailSink {
    /// `127.0.0.1:PORT`
    pub address: String,
    server: Child,
    mails: PathBuf,
    _folder: TempDir,
}

impl MailSink {
    /// Starts aiosmtpd; `None` where Python or the package is missing. `$BELLWETHER_TEST_PYTHON`
    /// names an interpreter that has it.
    pub async fn start() -> Option<Self> {
        Self::launch(&[]).await
    }

    /// Starts one that asks for TLS, from the first byte (`implicit`) or by STARTTLS (`starttls`),
    /// and for the user `bw` with the password `pw`. It is called `localhost`.
    pub async fn start_tls(mode: &str, certificates: &Certificates) -> Option<Self> {
        let path = |path: &std::path::Path| path.display().to_string();
        Self::launch(&[mode.to_owned(), path(&certificates.certificate), path(&certificates.key)]).await
    }

    async fn launch(more: &[String]) -> Option<Self> {
        let python =
            std::env::var_os("BELLWETHER_TEST_PYTHON").map(PathBuf::from).or_else(|| find_tool("python3"))?;
        let has_package =
            Command::new(&python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !has_package.is_ok_and(|status| status.success()) {
            return None;
        }
        let folder = TempDir::with_prefix("bellwether-mail-").expect("a temporary folder can be made");
        let mails = folder.path().join("mails");
        let port = free_port();
        let server = Command::new(python)
            .args(["-c", SMTP_SERVER, &port.to_string()])
            .arg(&mails)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("python can be started");
        let address = if more.is_empty() { format!("127.0.0.1:{port}") } else { format!("localhost:{port}") };
        eventually(Duration::from_secs(15), "the SMTP server listens", || async {
            tokio::net::TcpStream::connect(&address).await.is_ok()
        })
        .await;
        Some(MailSink { address, server, mails, _folder: folder })
    }

    /// The mails so far: `from`, `to`, `headers`, `parts` by content type.
    pub fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.mails).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("the server writes JSON lines")).collect()
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        // An error means that it has ended already.
        if self.server.kill().is_ok() {
            self.server.wait().expect("a killed child can be waited for");
        }
    }
}
