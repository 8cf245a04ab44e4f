//! ClickHouse's HTTP interface for threads: sockets live on a runtime of their own with one
//! worker, callers block until an answer comes, at most [`PARTS_WAITING`] pieces of which wait.
//!
//! What a caller never waits for: [`CONNECT_PATIENCE`] for a connection, [`WRITE_PATIENCE`] for a
//! write, and a query's own context, looked at every [`LOOK`].

use crate::{
    answer::Answer,
    error::{Error, OpenError},
    options::Options,
};
use bytes::Bytes;
use model::BatchId;
use reqwest::{Url, header::HeaderValue};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};
use store::QueryContext;
use tokio::{runtime::Runtime, sync::Semaphore, task::JoinHandle};

/// For a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// For the answer to a write or a statement.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// For the next piece of an answer.
const PIECE_PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at a query's context.
const LOOK: Duration = Duration::from_millis(20);
/// Pieces of an answer that wait for their reader.
const PARTS_WAITING: usize = 8;
/// Longest error text that is read.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Attempts of a write whose failure may pass, each with the same deduplication token.
const WRITE_ATTEMPTS: u32 = 3;
/// Before the second attempt; doubled before each further one.
const WRITE_PAUSE: Duration = Duration::from_millis(200);

/// Settings of every request, so that nothing depends on the defaults of a version or a profile.
const SETTINGS: &[(&str, &str)] = &[
    // Long lists of ids are part of queries.
    ("max_query_size", "268435456"),
    ("http_write_exception_in_output_format", "0"),
];
/// Settings of inserts: the answer comes when the rows are in the table, all of them or none by
/// partition, and a repeat with the same token is ignored.
const INSERT_SETTINGS: &[(&str, &str)] = &[
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("max_partitions_per_insert_block", "0"),
    ("wait_end_of_query", "1"),
];
/// Settings of queries: stop when nobody listens any more.
const QUERY_SETTINGS: &[(&str, &str)] = &[
    ("cancel_http_readonly_queries_on_client_close", "1"),
    ("do_not_merge_across_partitions_select_final", "1"),
];
/// Settings of other statements: done when answered.
const STATEMENT_SETTINGS: &[(&str, &str)] =
    &[("wait_end_of_query", "1"), ("mutations_sync", "2"), ("lightweight_deletes_sync", "2")];

/// See the module.
pub(crate) struct Client {
    http: reqwest::Client,
    /// `Some` until dropped.
    runtime: Option<Runtime>,
    url: Url,
    database: String,
    user: HeaderValue,
    password: HeaderValue,
    /// Tells this process's own tokens from those of others.
    nonce: u64,
    tokens: AtomicU64,
}

/// A piece of an answer.
pub(crate) enum Part {
    /// The first one. `tag` marks a failure in the middle of the body.
    Head {
        status: u16,
        code: u32,
        tag: Vec<u8>,
    },
    Chunk(Bytes),
    /// The last one of a whole answer.
    End,
    /// The connection broke.
    Broken(String),
}

impl Client {
    pub(crate) fn new(options: &Options) -> Result<Self, OpenError> {
        let url = options.parsed_url()?;
        let header = |name: &str, text: &str| {
            HeaderValue::from_str(text).map_err(|_| OpenError::Client(format!("the {name} has line breaks")))
        };
        // A provider may be installed by the process already.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::trace!("a TLS provider was installed before");
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()
            .map_err(|error| OpenError::Client(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("clickhouse")
            .enable_all()
            .build()
            .map_err(|error| OpenError::Client(error.to_string()))?;
        Ok(Client {
            http,
            runtime: Some(runtime),
            url,
            database: options.database.clone(),
            user: header("user", &options.user)?,
            password: header("password", &options.password)?,
            nonce: RandomState::new().build_hasher().finish(),
            tokens: AtomicU64::new(0),
        })
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The deduplication token of one insert: a single batch's own name; of several batches together,
    /// or of rows without one, a name that only this very insert has.
    pub(crate) fn token(&self, ids: &[&BatchId], jobs: usize) -> String {
        match ids {
            [id] if jobs == 1 => format!("{}:{}:{}", id.agent, id.boot, id.sequence),
            _ => format!("bellwether:{:016x}:{}", self.nonce, self.tokens.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Runs a query; its rows come in `RowBinary`. `context` is charged for what is read and stops
    /// it.
    pub(crate) fn query<'a>(
        &self,
        sql: &str,
        context: Option<&'a QueryContext>,
    ) -> Result<Answer<'a>, Error> {
        if let Some(context) = context {
            context.check()?;
        }
        let sql = format!("{sql} FORMAT RowBinary");
        let request = self.request(&[QUERY_SETTINGS], true).body(sql);
        self.send(request, context, PIECE_PATIENCE)
    }

    /// Runs a statement to its end.
    pub(crate) fn execute(&self, sql: &str) -> Result<(), Error> {
        self.send(self.request(&[STATEMENT_SETTINGS], true).body(sql.to_owned()), None, WRITE_PATIENCE)?
            .finish()
    }

    /// Like [`Client::execute`], without a database: it may not exist yet.
    pub(crate) fn execute_outside(&self, sql: &str) -> Result<(), Error> {
        self.send(self.request(&[STATEMENT_SETTINGS], false).body(sql.to_owned()), None, WRITE_PATIENCE)?
            .finish()
    }

    /// Inserts rows in `RowBinary` and waits until the server has them. The same token within the
    /// table's window is taken for a repeat.
    pub(crate) fn insert(&self, table: &str, columns: &str, rows: Vec<u8>, token: &str) -> Result<(), Error> {
        let rows = Bytes::from(rows);
        let mut attempt = 1;
        loop {
            let statement = format!("INSERT INTO {table} ({columns}) FORMAT RowBinary");
            let own = [("query", statement.as_str()), ("insert_deduplication_token", token)];
            let request = self.request(&[INSERT_SETTINGS, &own], true).body(rows.clone());
            let outcome = self.send(request, None, WRITE_PATIENCE).and_then(Answer::finish);
            match outcome {
                Err(error) if attempt < WRITE_ATTEMPTS && error.advice() == crate::error::Advice::Retry => {
                    tracing::debug!(%error, table, attempt, "an insert is tried again");
                    std::thread::sleep(WRITE_PAUSE * (1 << (attempt - 1)));
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn request(&self, parameters: &[&[(&str, &str)]], in_database: bool) -> reqwest::RequestBuilder {
        let mut url = self.url.clone();
        {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(SETTINGS);
            for some in parameters {
                pairs.extend_pairs(*some);
            }
            if in_database {
                pairs.append_pair("database", &self.database);
            }
        }
        let mut password = self.password.clone();
        password.set_sensitive(true);
        self.http
            .post(url)
            .header("x-clickhouse-user", self.user.clone())
            .header("x-clickhouse-key", password)
    }

    fn send<'a>(
        &self,
        request: reqwest::RequestBuilder,
        context: Option<&'a QueryContext>,
        patience: Duration,
    ) -> Result<Answer<'a>, Error> {
        let runtime = self.runtime.as_ref().expect("the runtime lives as long as the client");
        let (sender, parts) = sync_channel(PARTS_WAITING + 2);
        let room = Arc::new(Semaphore::new(PARTS_WAITING));
        let task = runtime.spawn(deliver(request, sender, room.clone()));
        let pieces = Pieces { parts, room, task, url: self.url.to_string(), patience };
        let (status, code, tag) = match pieces.next(context)? {
            Part::Head { status, code, tag } => (status, code, tag),
            _ => return Err(Error::Garbled("it has no head".to_owned())),
        };
        let mut answer = Answer::new(pieces, context, tag);
        if status == 200 && code == 0 {
            return Ok(answer);
        }
        let text = answer.text(ERROR_BYTES_MAX)?;
        Err(match code {
            0 if matches!(status, 429 | 502..=504) => {
                Error::Unreachable { url: self.url.to_string(), message: format!("status {status}: {text}") }
            }
            code => Error::server(code, if text.is_empty() { "no reason given" } else { &text }),
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Waiting for tasks here would panic when the last user is an async one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sends the request and hands the answer over piece by piece; the channel has more places than
/// there is room, so sending never blocks the runtime.
async fn deliver(request: reqwest::RequestBuilder, parts: SyncSender<Part>, room: Arc<Semaphore>) {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return tell(&parts, Part::Broken(reason(&error))),
    };
    let header =
        |name: &str| response.headers().get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let code = String::from_utf8_lossy(&header("x-clickhouse-exception-code")).parse().unwrap_or(0);
    tell(
        &parts,
        Part::Head { status: response.status().as_u16(), code, tag: header("x-clickhouse-exception-tag") },
    );
    loop {
        let chunk = response.chunk().await;
        let Ok(permit) = room.acquire().await else { return };
        permit.forget();
        match chunk {
            Ok(Some(chunk)) => tell(&parts, Part::Chunk(chunk)),
            Ok(None) => return tell(&parts, Part::End),
            Err(error) => return tell(&parts, Part::Broken(reason(&error))),
        }
    }
}

/// An error means that the reader has gone, who aborts this task.
fn tell(parts: &SyncSender<Part>, part: Part) {
    if parts.try_send(part).is_err() {
        tracing::trace!("the reader of an answer has gone");
    }
}

/// The innermost cause says most: "connection refused".
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The reader's end of an answer. Dropping it ends the request.
pub(crate) struct Pieces {
    parts: Receiver<Part>,
    room: Arc<Semaphore>,
    task: JoinHandle<()>,
    url: String,
    patience: Duration,
}

impl Pieces {
    /// Waits for the next piece, as long as `context` allows.
    pub(crate) fn next(&self, context: Option<&QueryContext>) -> Result<Part, Error> {
        let broken = |message: String| Error::Unreachable { url: self.url.clone(), message };
        let deadline = Instant::now() + self.patience;
        loop {
            match self.parts.recv_timeout(if context.is_some() { LOOK } else { self.patience }) {
                Ok(Part::Broken(message)) => return Err(broken(message)),
                Ok(part) => {
                    if !matches!(part, Part::Head { .. }) {
                        self.room.add_permits(1);
                    }
                    return Ok(part);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(broken("the request was given up".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(context) = context {
                context.check()?;
            }
            if Instant::now() >= deadline {
                return Err(broken(format!("no answer within {} s", self.patience.as_secs())));
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.task.abort();
    }
}
