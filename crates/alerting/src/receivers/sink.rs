//! A local server that takes what receivers send, for tests: answers as told, then 200.

use crate::{
    Annotations,
    alert::Alert,
    config::Config,
    notify::{Message, NotifiedAlert, Reason, http::AttemptError, sparkline::Sparklines, telling::Telling},
    timestamp::Written,
};
use model::Labels;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// See the module.
pub(crate) struct Sink {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// Status, content type (with further headers behind it), body.
pub(crate) type Script = &'static [(u16, &'static str, &'static str)];

impl Sink {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            let mut script = script.iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                seen.lock().unwrap().push(request);
                let (status, kind, body) = script.next().unwrap_or(&(200, "text/plain", "ok"));
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Sink { url, requests }
    }

    /// The request of that number.
    pub(crate) fn request(&self, index: usize) -> Request {
        self.requests.lock().unwrap()[index].clone()
    }

    /// Its body as JSON.
    pub(crate) fn json(&self, index: usize) -> serde_json::Value {
        serde_json::from_str(&self.request(index).body).unwrap()
    }

    /// Its body as a form.
    pub(crate) fn form(&self, index: usize) -> BTreeMap<String, String> {
        let url = reqwest::Url::parse(&format!("http://x/?{}", self.request(index).body)).unwrap();
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// One attempt by the first integration of a receiver that is configured by `written`.
    pub(crate) async fn send(&self, written: &str, message: Message) -> Result<(), AttemptError> {
        self.send_with(&config(written), message).await
    }

    /// As [`Sink::send`], with what the configuration holds from attempts before.
    pub(crate) async fn send_with(&self, config: &Config, message: Message) -> Result<(), AttemptError> {
        let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
        let telling = Telling::new(
            (&client, "http://bw"),
            &config.templates,
            &message,
            "ntf_1",
            Sparklines::new(),
            1_643_114_300_000,
        );
        config.receivers["r"].integrations[0].config.send(&telling).await
    }
}

async fn read(stream: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = BTreeMap::new();
    line.clear();
    while reader.read_line(&mut line).await.unwrap() > 2 {
        if let Some((name, value)) = line.trim().split_once(": ") {
            let twice = headers.insert(name.to_ascii_lowercase(), value.to_owned());
            assert!(twice.is_none(), "`{name}` stands there twice");
        }
        line.clear();
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    Request { method, path, headers, body: String::from_utf8(body).unwrap() }
}

/// A configuration with one receiver, `r`, whose integrations are `written`.
pub(crate) fn config(written: &str) -> Config {
    config_with("{}", written)
}

/// As [`config`], with a section `global`.
pub(crate) fn config_with(global: &str, written: &str) -> Config {
    let indented = written.replace('\n', "\n  ");
    let text = format!("global: {global}\nroute: {{receiver: r}}\nreceivers:\n- name: r\n  {indented}\n");
    Config::parse("f", &text, Path::new(".")).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// What receivers refuse in a configuration, one message a problem.
pub(crate) fn problems(written: &str) -> Vec<String> {
    let text = format!("route: {{receiver: r}}\nreceivers: [{{name: r, {written}}}]\n");
    let parsed = Config::parse("f", &text, Path::new("."));
    let problems = parsed.err().map(|problems| problems.0).unwrap_or_default();
    problems.into_iter().map(|problem| problem.message).collect()
}

/// A disk that is full.
pub(crate) fn firing() -> Message {
    message(false)
}

/// The same disk, no longer full.
pub(crate) fn resolved() -> Message {
    message(true)
}

/// An alert that was open for a minute.
pub(crate) fn alert(labels: Labels, annotations: Annotations) -> Alert {
    Alert {
        labels,
        annotations,
        starts_at_ms: 1_643_114_203_000,
        ends_at_ms: 1_643_114_263_000,
        starts_written: Written::default(),
        ends_written: Written::default(),
        updated_at_ms: 0,
        generator_url: "http://bw/graph".into(),
        timeout: false,
        held: false,
        rendered: crate::Rendered::default(),
        measure: None,
    }
}

fn message(resolved: bool) -> Message {
    let labels =
        Labels::from_pairs([("alertname", "DiskFull"), ("instance", "db-1"), ("severity", "critical")]);
    let annotations =
        Annotations::from_pairs([("summary", "94 % of <b>/</b> is used"), ("runbook_url", "http://runbook")]);
    let alert = alert(labels, annotations);
    Message {
        receiver: "r".into(),
        group_key: r#"{}:{alertname="DiskFull"}"#.into(),
        group_labels: Labels::from_pairs([("alertname", "DiskFull")]),
        alerts: vec![NotifiedAlert { alert, resolved }],
        reason: if resolved { Reason::AllResolved } else { Reason::First },
        incidents: None,
    }
}

/// Sha-256 of the group key above.
pub(crate) fn group_hash() -> String {
    hash_of(r#"{}:{alertname="DiskFull"}"#)
}

/// Sha-256 of a group key.
pub(crate) fn hash_of(group_key: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(group_key.as_bytes());
    hash.as_slice().iter().map(|byte| format!("{byte:02x}")).collect()
}
