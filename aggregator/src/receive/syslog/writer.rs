//! Stores what the queue holds, in batches: as much as waits, up to [`BATCH_BYTES_MAX`].

use super::{counters::SyslogCounters, queue::Queued};
use crate::{
    app::AppState,
    receive::{append::Decoded, counters::Protocol, failure::Failure, refusals::Sender, request::store},
};
use bytes::Bytes;
use daemon::{Shutdown, clock};
use jiff::{Timestamp, tz::TimeZone};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use wire::syslog::{Received, SyslogOptions, decode_messages};

/// Bytes of one batch.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Messages of one batch.
const BATCH_MESSAGES_MAX: usize = 4096;
/// How long a first message waits for more, so that a steady trickle is not a batch each.
const GATHER: Duration = Duration::from_millis(20);
/// Before a batch is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long the last batches may take after the signal to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(
    app: AppState,
    mut receiver: mpsc::Receiver<Queued>,
    counters: Arc<SyslogCounters>,
    shutdown: Shutdown,
) {
    let mut queued = Vec::new();
    let mut number = 0;
    loop {
        tokio::select! {
            count = receiver.recv_many(&mut queued, BATCH_MESSAGES_MAX) => if count == 0 { break },
            () = shutdown.wait() => break,
        }
        tokio::time::sleep(GATHER).await;
        fill(&mut receiver, &mut queued);
        write(&app, &mut queued, &mut number, &counters, &shutdown).await;
    }
    // What came before the end is stored; the listeners have stopped.
    let rest = async {
        loop {
            fill(&mut receiver, &mut queued);
            if queued.is_empty() {
                return;
            }
            write(&app, &mut queued, &mut number, &counters, &shutdown).await;
        }
    };
    if tokio::time::timeout(STOP_PATIENCE, rest).await.is_err() {
        tracing::warn!("some syslog messages were not stored before the end");
    }
}

fn fill(receiver: &mut mpsc::Receiver<Queued>, queued: &mut Vec<Queued>) {
    let mut bytes: usize = queued.iter().map(|one| one.received.message.len()).sum();
    while queued.len() < BATCH_MESSAGES_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(one) = receiver.try_recv() else { return };
        bytes += one.received.message.len();
        queued.push(one);
    }
}

/// Stores the batch, before which `number` messages came, however often that has to be tried; their places
/// are given back after.
async fn write(
    app: &AppState,
    queued: &mut Vec<Queued>,
    number: &mut u64,
    counters: &SyslogCounters,
    shutdown: &Shutdown,
) {
    let messages: Arc<Vec<Received>> = Arc::new(queued.iter().map(|one| one.received.clone()).collect());
    let bytes: usize = messages.iter().map(|received| received.message.len()).sum();
    loop {
        let Err(failure) = store_once(app, messages.clone(), *number, bytes).await else { break };
        app.receivers.counters.failure(Protocol::Syslog, &failure);
        let passes = failure.status().is_server_error();
        if !passes || shutdown.is_triggered() {
            tracing::error!(%failure, count = messages.len(), "syslog messages were lost");
            queued.iter().for_each(|one| counters.lost(one.transport, failure.reason(), 1));
            break;
        }
        tracing::warn!(%failure, "syslog messages cannot be stored now; they are tried again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    *number += messages.len() as u64;
    queued.clear();
}

async fn store_once(
    app: &AppState,
    messages: Arc<Vec<Received>>,
    number: u64,
    bytes: usize,
) -> Result<(), Failure> {
    let options = SyslogOptions { offset_seconds: offset_seconds(), number };
    // The body is counted by its length alone: the messages are in memory already.
    let (body, sender) = (Bytes::new(), Sender::default());
    let stored = store(app, Protocol::Syslog, &sender, None, None, body, move |work| {
        Ok(Decoded::Logs(decode_messages(&messages, options, &mut work.scratch.logs)?))
    });
    stored.await?;
    app.receivers.counters.body_bytes(Protocol::Syslog, bytes);
    Ok(())
}

/// Of the local time zone now: RFC 3164 writes local time.
fn offset_seconds() -> i32 {
    match Timestamp::from_nanosecond(clock::now_ns().into()) {
        Ok(now) => TimeZone::system().to_offset(now).seconds(),
        Err(_) => 0,
    }
}
