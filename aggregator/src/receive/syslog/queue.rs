//! Messages between the listeners and the writer: at most [`MESSAGES_MAX`] of together
//! [`BYTES_MAX`] bytes. When it is full, UDP drops and counts, TCP waits.

use super::counters::SyslogCounters;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use wire::syslog::Received;

/// Messages that wait.
const MESSAGES_MAX: usize = 16_384;
/// Bytes that wait; a message counts for its fields too.
const BYTES_MAX: usize = 16 << 20;
/// What a message takes besides its bytes.
const MESSAGE_BYTES: usize = 128;

/// A message, and its place in the queue for as long as it lives.
pub(super) struct Queued {
    pub(super) received: Received,
    pub(super) transport: &'static str,
    _room: OwnedSemaphorePermit,
}

/// The listeners' end.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    pub(super) counters: Arc<SyslogCounters>,
}

impl Queue {
    pub(super) fn new(counters: Arc<SyslogCounters>) -> (Self, mpsc::Receiver<Queued>) {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        (Queue { sender, room: Arc::new(Semaphore::new(BYTES_MAX)), counters }, receiver)
    }

    fn bytes(received: &Received) -> u32 {
        (received.message.len() + MESSAGE_BYTES).min(BYTES_MAX) as u32
    }

    /// Queues the message, or drops and counts it.
    pub(super) fn offer(&self, received: Received, transport: &'static str) {
        self.counters.received(transport);
        let room = self.room.clone().try_acquire_many_owned(Self::bytes(&received));
        let is_queued =
            room.is_ok_and(|room| self.sender.try_send(Queued { received, transport, _room: room }).is_ok());
        if !is_queued {
            self.counters.lost(transport, "queue_full", 1);
        }
    }

    /// Queues the message once there is room.
    pub(super) async fn put(&self, received: Received, transport: &'static str) {
        self.counters.received(transport);
        let room = self.room.clone().acquire_many_owned(Self::bytes(&received)).await;
        let is_queued = match room {
            Ok(room) => self.sender.send(Queued { received, transport, _room: room }).await.is_ok(),
            Err(_) => false,
        };
        if !is_queued {
            self.counters.lost(transport, "stopping", 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::metrics::Metrics;

    #[test]
    fn what_does_not_fit_is_counted() {
        let own = Metrics::default();
        let (queue, mut receiver) = Queue::new(Arc::new(SyslogCounters::new(&own)));
        let message = || Received { message: vec![b'x'; 1 << 20], sender: "a".into(), received_ns: 1 };
        for _ in 0..20 {
            queue.offer(message(), "udp");
        }
        let mut count = 0;
        while let Ok(queued) = receiver.try_recv() {
            count += 1;
            drop(queued);
        }
        assert_eq!(count, 15, "16 MiB hold 15 messages of 1 MiB and their fields");
        let text = own.encode();
        assert!(
            text.contains("bellwether_syslog_lost_total{transport=\"udp\",reason=\"queue_full\"} 5"),
            "{text}"
        );
        queue.offer(message(), "udp");
        assert!(receiver.try_recv().is_ok(), "there is room again");
    }
}
