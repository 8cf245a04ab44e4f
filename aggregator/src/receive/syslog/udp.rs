//! One datagram, one message.

use super::{
    config::{Network, is_allowed},
    queue::Queue,
};
use daemon::{Shutdown, clock};
use tokio::net::UdpSocket;
use wire::syslog::Received;

/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// The transport's name in counters.
const TRANSPORT: &str = "udp";

pub(super) async fn receive(
    socket: UdpSocket,
    queue: Queue,
    allowed: Vec<Network>,
    message_bytes_max: usize,
    shutdown: Shutdown,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let (length, peer) = tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(%error, "a datagram could not be received");
                    continue;
                }
            },
            () = shutdown.wait() => return,
        };
        if !is_allowed(&allowed, peer.ip()) {
            queue.counters.lost(TRANSPORT, "not_allowed", 1);
            continue;
        }
        let kept = length.min(message_bytes_max);
        queue.counters.cut(TRANSPORT, u64::from(kept < length));
        let (message, sender) = (buffer[..kept].to_vec(), peer.ip().to_canonical().to_string());
        queue.offer(Received { message, sender, received_ns: clock::now_ns() }, TRANSPORT);
    }
}
