//! Syslog over UDP, TCP and TLS. Off unless configured (`syslog.*`).
//!
//! Syslog carries no token. On loopback anybody may send; beyond it only the networks in
//! `syslog.allow_from` may, and over TLS also whoever shows a certificate of `client_ca_file`.
//!
//! Nobody is answered, so what can be lost is counted ([`counters`]): over UDP what does not fit into
//! the queue ([`queue`]); over TCP and TLS reading waits instead. A batch that the store cannot take
//! now is tried again until it can.

mod config;
mod counters;
mod queue;
mod tcp;
mod tls;
mod udp;
mod writer;

pub use config::SyslogConfig;

use crate::app::AppState;
use anyhow::{Context, bail};
use counters::SyslogCounters;
use daemon::{ListenAddress, Seldom, Shutdown};
use queue::Queue;
use std::sync::Arc;
use tcp::TcpShared;
use tokio::{net::UdpSocket, task::JoinHandle};

/// Where the listeners are, and what to wait for at the end.
pub(crate) struct Syslog {
    /// Ends once everything received is stored, or cannot be.
    writer: Option<JoinHandle<()>>,
}

impl Syslog {
    /// Waits for the last batch.
    pub(crate) async fn join(self) -> anyhow::Result<()> {
        match self.writer {
            Some(writer) => Ok(writer.await?),
            None => Ok(()),
        }
    }
}

/// Whether [`start`] would refuse these settings.
///
/// # Errors
/// When a listener is open to everybody, or its certificate cannot be used.
pub(crate) fn check(config: &SyslogConfig) -> anyhow::Result<()> {
    for (name, address) in [("udp", config.udp), ("tcp", config.tcp)] {
        address.map_or(Ok(()), |address| check_open(config, name, address))?;
    }
    let Some(tls) = &config.tls else { return Ok(()) };
    if tls.client_ca_file.is_none() {
        check_open(config, "tls", tls.listen)?;
    }
    tls::acceptor(tls).map(drop).context("failed to set up TLS for syslog")
}

/// Starts what is configured.
///
/// # Errors
/// When a listener may not or cannot be opened.
pub(crate) async fn start(app: &AppState, shutdown: &Shutdown) -> anyhow::Result<Syslog> {
    let config = &app.config.syslog;
    if config.udp.is_none() && config.tcp.is_none() && config.tls.is_none() {
        return Ok(Syslog { writer: None });
    }
    let counters = Arc::new(SyslogCounters::new(&app.own));
    let message_bytes_max = config.message_bytes_max.0.clamp(480, 1 << 20) as usize;
    let (queue, receiver) = Queue::new(counters.clone());
    if let Some(address) = config.udp {
        check_open(config, "udp", address)?;
        let socket = bind_udp(address).await.with_context(|| format!("failed to listen on udp {address}"))?;
        tracing::info!(address = %socket.local_addr()?, "taking syslog over UDP");
        let allowed = config.allow_from.clone();
        tokio::spawn(udp::receive(socket, queue.clone(), allowed, message_bytes_max, shutdown.clone()));
    }
    let shared = |transport, tls, is_verified| TcpShared {
        queue: queue.clone(),
        allowed: config.allow_from.clone(),
        message_bytes_max,
        transport,
        tls,
        is_verified,
        failures: Seldom::every(tcp::FAILURES_PAUSE),
    };
    if let Some(address) = config.tcp {
        check_open(config, "tcp", address)?;
        listen_tcp(address, shared("tcp", None, false), shutdown).await?;
    }
    if let Some(tls) = &config.tls {
        if tls.client_ca_file.is_none() {
            check_open(config, "tls", tls.listen)?;
        }
        let acceptor = tls::acceptor(tls).context("failed to set up TLS for syslog")?;
        listen_tcp(tls.listen, shared("tls", Some(acceptor), tls.client_ca_file.is_some()), shutdown).await?;
    }
    Ok(Syslog { writer: Some(tokio::spawn(writer::run(app.clone(), receiver, counters, shutdown.clone()))) })
}

async fn bind_udp(address: ListenAddress) -> std::io::Result<UdpSocket> {
    match UdpSocket::bind(address.0).await {
        Err(error) => match address.without_version_6(&error) {
            Some(address) => UdpSocket::bind(address).await,
            None => Err(error),
        },
        bound => bound,
    }
}

async fn listen_tcp(address: ListenAddress, shared: TcpShared, shutdown: &Shutdown) -> anyhow::Result<()> {
    let listener = address.bind().await.with_context(|| format!("failed to listen on tcp {address}"))?;
    tracing::info!(address = %listener.local_addr()?, transport = shared.transport, "taking syslog");
    tokio::spawn(tcp::accept(listener, Arc::new(shared), shutdown.clone()));
    Ok(())
}

fn check_open(config: &SyslogConfig, name: &str, address: ListenAddress) -> anyhow::Result<()> {
    if !address.is_loopback() && config.allow_from.is_empty() {
        bail!(
            "`syslog.{name}` listens on {address}, which is not loopback: name the networks that may send \
             in `syslog.allow_from`, such as [10.0.0.0/8]"
        );
    }
    Ok(())
}
