//! The HTTP server: HTTP/1.1, with or without TLS, with keep-alive and upgrades, held to bounds.
//!
//! Bounds: at most `connections_max` connections (further ones wait in the kernel's backlog), 30 s
//! for a TLS handshake and for a request's headers, 10 s for open requests to end at shutdown; bodies and
//! answers as the `patience` module says. The size of bodies is bounded by the routes.

use super::patience::{TimedBody, TimedStream, WRITE_PATIENCE};
use crate::Shutdown;
use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

/// A client that has not sent its headers by then is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a request without TLS where it is spoken, this much is read, and for this long.
const MISDIRECTED_BYTES_MAX: u64 = 1 << 20;
const MISDIRECTED_PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What callers choose.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Most connections at once.
    pub connections_max: usize,
    /// Speak TLS with this certificate.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Open requests get this long to end after the shutdown signal.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions { connections_max: 4096, tls: None, drain_timeout: Duration::from_secs(10) }
    }
}

/// What can be served: whatever answers as a router does.
pub trait Answering:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Answering for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Serves until `shutdown`, then lets open requests end. The peer's address is a request
/// extension ([`axum::extract::ConnectInfo`]`<SocketAddr>`).
pub async fn serve(
    listener: TcpListener,
    service: impl Answering,
    options: ServerOptions,
    shutdown: Shutdown,
) {
    let slots = Arc::new(Semaphore::new(options.connections_max));
    let tls = options.tls.map(TlsAcceptor::from);
    let mut stop = std::pin::pin!(shutdown.wait());
    loop {
        // With all slots taken the signal must still be heard.
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
            () = stop.as_mut() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = stop.as_mut() => break,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        // A listener on all addresses sees those of version 4 in their form of version 6.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let connection =
            Connection { peer, service: service.clone(), shutdown: shutdown.clone(), _slot: slot };
        // Boxed, because a task is moved several times before it first runs.
        match tls.clone() {
            None => drop(tokio::spawn(Box::pin(connection.run(stream)))),
            Some(tls) => drop(tokio::spawn(Box::pin(connection.run_tls(stream, tls)))),
        }
    }
    drop(listener);
    // Every connection holds a slot, so having all of them means that all have ended.
    let all = slots.acquire_many(options.connections_max as u32);
    if tokio::time::timeout(options.drain_timeout, all).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

struct Connection<S> {
    peer: SocketAddr,
    service: S,
    shutdown: Shutdown,
    _slot: OwnedSemaphorePermit,
}

impl<S: Answering> Connection<S> {
    async fn run_tls(self, stream: TcpStream, tls: TlsAcceptor) {
        let peer = self.peer;
        let mut first = [0];
        match tokio::time::timeout(HEADER_TIMEOUT, stream.peek(&mut first)).await {
            // A TLS handshake begins with the byte 22, a request of HTTP/1 with its method.
            Ok(Ok(1)) if first[0].is_ascii_uppercase() => return misdirected(stream).await,
            Ok(_) => {}
            Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
        }
        match tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.run(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, %peer, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn run(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let peer = self.peer;
        let service = self.service.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(body)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(
                TokioIo::new(TimedStream::new(stream, WRITE_PATIENCE)),
                TowerToHyperService::new(service),
            )
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "connection ended early");
        }
    }
}

/// What has no body is not waited for.
fn body(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(TimedBody::new(body)) }
}

/// Says in plain HTTP that TLS is spoken here. The status is one that senders come back after: with
/// one of 4xx they would take what they hold for refused and drop it.
async fn misdirected(mut stream: TcpStream) {
    const TOLD: &str = "this address speaks TLS: write https:// instead of http://\n";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         retry-after: 30\r\nconnection: close\r\n\r\n{TOLD}",
        TOLD.len()
    );
    let talk = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closed with bytes unread, the connection would be reset and the answer lost with it.
        tokio::io::copy(&mut stream.take(MISDIRECTED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    match tokio::time::timeout(MISDIRECTED_PATIENCE, talk).await {
        Ok(Err(error)) => tracing::debug!(%error, "a client that speaks no TLS went away"),
        _ => tracing::debug!("told a client that speaks no TLS to do so"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::get};

    #[tokio::test]
    async fn an_open_request_ends_before_the_server_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let trigger = shutdown.clone();
        let slow = get(move || async move {
            trigger.trigger();
            tokio::time::sleep(Duration::from_millis(50)).await;
            "done"
        });
        let server =
            tokio::spawn(serve(listener, Router::new().route("/", slow), ServerOptions::default(), shutdown));
        let client = crate::http::client(&Default::default()).unwrap();
        let body = client.get(format!("http://{address}/")).send().await.unwrap().text().await.unwrap();
        assert_eq!(body, "done");
        server.await.unwrap();
        assert!(client.get(format!("http://{address}/")).send().await.is_err());
    }

    #[tokio::test]
    async fn the_signal_is_heard_while_all_slots_are_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let drain_timeout = Duration::from_millis(100);
        let options = ServerOptions { connections_max: 1, tls: None, drain_timeout };
        let never = get(|| async { std::future::pending::<()>().await });
        let server =
            tokio::spawn(serve(listener, Router::new().route("/", never), options, shutdown.clone()));
        let mut held = TcpStream::connect(address).await.unwrap();
        held.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        shutdown.trigger();
        tokio::time::timeout(Duration::from_secs(5), server)
            .await
            .expect("it ends once the drain is over")
            .unwrap();
    }
}
