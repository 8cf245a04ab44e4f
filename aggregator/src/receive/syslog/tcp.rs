//! Connections that carry messages one after the other, with or without TLS. At most
//! [`CONNECTIONS_MAX`]; further ones wait in the kernel's backlog.

use super::{
    config::{Network, is_allowed},
    queue::Queue,
};
use daemon::{Seldom, Shutdown, clock};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use wire::syslog::{Framer, Received};

/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;
/// A TLS handshake takes no longer.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);
/// Between two messages about handshakes that failed.
pub(super) const FAILURES_PAUSE: Duration = Duration::from_secs(60);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections of one listener share.
pub(super) struct TcpShared {
    pub(super) queue: Queue,
    pub(super) allowed: Vec<Network>,
    pub(super) message_bytes_max: usize,
    pub(super) transport: &'static str,
    pub(super) tls: Option<TlsAcceptor>,
    /// Whether every sender shows a certificate of one of ours.
    pub(super) is_verified: bool,
    pub(super) failures: Seldom,
}

pub(super) async fn accept(listener: TcpListener, shared: Arc<TcpShared>, shutdown: Shutdown) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
            () = shutdown.wait() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.wait() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (shared, shutdown) = (shared.clone(), shutdown.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    tokio::select! {
                        () = serve(stream, peer, &shared) => {}
                        () = shutdown.wait() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a syslog connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: &TcpShared) {
    // A certificate of one of ours is as good as an address of one of ours.
    if !shared.is_verified && !is_allowed(&shared.allowed, peer.ip()) {
        shared.queue.counters.lost(shared.transport, "not_allowed", 1);
        return;
    }
    let Some(acceptor) = &shared.tls else { return read(stream, peer, shared).await };
    match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => read(stream, peer, shared).await,
        Ok(Err(error)) => shared.failed_handshake(peer, &error),
        Err(late) => shared.failed_handshake(peer, &late.into()),
    }
}

impl TcpShared {
    /// The sender learns no more than that the connection ends, so it is for us to say why.
    fn failed_handshake(&self, peer: SocketAddr, error: &std::io::Error) {
        self.queue.counters.failed_handshake(self.transport);
        if let Some(count) = self.failures.happened() {
            let error = error.to_string();
            let speaks_plain = error.contains("InvalidContentType");
            let hint = if speaks_plain { "the sender does not speak TLS" } else { "" };
            tracing::warn!(%peer, error, hint, count, "TLS with a syslog sender failed");
        }
    }
}

async fn read(mut stream: impl AsyncRead + Unpin, peer: SocketAddr, shared: &TcpShared) {
    let sender = peer.ip().to_canonical().to_string();
    let mut framer = Framer::new(shared.message_bytes_max);
    let mut buffer = vec![0; 32 << 10];
    let mut messages: Vec<Vec<u8>> = Vec::new();
    loop {
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        let mut take = |message: &[u8]| messages.push(message.to_vec());
        let cut_before = framer.cut_count();
        match length {
            0 => framer.finish(&mut take),
            length => framer.push(&buffer[..length], &mut take),
        }
        shared.queue.counters.cut(shared.transport, framer.cut_count() - cut_before);
        for message in messages.drain(..) {
            let received = Received { message, sender: sender.clone(), received_ns: clock::now_ns() };
            shared.queue.put(received, shared.transport).await;
        }
        if length == 0 {
            return;
        }
    }
}
