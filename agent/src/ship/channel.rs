//! Delivers one payload at a time: falls back, retries, and says what became of it.

use super::{
    backoff::Backoff,
    endpoint::{Answer, Endpoint, Post, Sender},
    protocol::{Ladder, Message, Payload, Protocol, V2},
};
use crate::metrics::DestinationCounters;
use bytes::Bytes;
use daemon::{Pool, Secret, Shutdown};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use wire::remote_write::{SILENT, Silence};

/// While the agent ends, pauses are short: the time left is.
const PAUSE_WHILE_STOPPING: Duration = Duration::from_millis(200);
/// The pool turns jobs away only when it is overloaded by others.
const PAUSE_WHILE_BUSY: Duration = Duration::from_millis(50);
/// The two steps of an end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// Finish what is there.
    pub(crate) gently: Shutdown,
    /// Leave what is there for the next start.
    pub(crate) now: Shutdown,
}

/// Where a channel leads.
#[derive(Clone)]
pub(crate) struct ChannelSettings {
    pub(crate) client: reqwest::Client,
    pub(crate) token: Option<Secret>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) sender: Sender,
    pub(crate) counters: Arc<DestinationCounters>,
    pub(crate) pool: Pool,
    pub(crate) stop: Stop,
}

/// See the module.
pub(crate) struct Channel {
    endpoint: Endpoint,
    ladder: Ladder,
    /// Some payload was stored in the present form, so a refusal is about the payload.
    is_form_proven: bool,
    silence: Silence,
    backoff: Backoff,
    is_troubled: bool,
    pub(super) counters: Arc<DestinationCounters>,
    pub(super) pool: Pool,
    pub(super) stop: Stop,
}

/// What became of a payload.
#[derive(Debug, PartialEq)]
pub(super) enum Delivered {
    /// Stored, except for some samples or lines.
    Stored { refused: u64 },
    /// It will not be taken as it is; some of it was nevertheless.
    Refused { written: u64 },
    /// The agent ends.
    Abandoned,
}

/// The number under which a payload is sent, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shipment {
    pub(super) boot: u64,
    pub(super) sequence: u64,
    /// Samples or lines.
    pub(super) items: u64,
    pub(super) is_goodbye: bool,
}

impl Channel {
    pub(crate) fn metrics(url: String, settings: &ChannelSettings) -> Self {
        Self::new(url, Ladder::metrics(), settings)
    }

    pub(crate) fn logs(url: String, settings: &ChannelSettings) -> Self {
        Self::new(url, Ladder::logs(), settings)
    }

    fn new(url: String, ladder: Ladder, settings: &ChannelSettings) -> Self {
        let ChannelSettings { client, token, token_file, sender, counters, pool, stop } = settings.clone();
        Channel {
            endpoint: Endpoint { client, url, token, token_file, sender },
            ladder,
            is_form_proven: false,
            silence: Silence::default(),
            backoff: Backoff::default(),
            is_troubled: false,
            counters,
            pool,
            stop,
        }
    }

    pub(super) fn boot(&self) -> u64 {
        self.endpoint.sender.boot
    }

    /// Sends until there is an answer, or the agent must end.
    pub(super) async fn deliver(&mut self, payload: &Arc<Payload>, shipment: Shipment) -> Delivered {
        let mut body: Option<(Protocol, Bytes)> = None;
        let mut tries = 0;
        loop {
            let protocol = self.ladder.current();
            let encoded = match body.take().filter(|(form, _)| *form == protocol) {
                Some((_, encoded)) => encoded,
                None => match self.encode(payload, protocol).await {
                    Some(encoded) => encoded,
                    None => return Delivered::Refused { written: 0 },
                },
            };
            let Shipment { boot, sequence, is_goodbye, .. } = shipment;
            let post = Post { protocol, body: encoded.clone(), boot, sequence, is_goodbye };
            let answer = tokio::select! {
                answer = self.endpoint.post(&post) => answer,
                () = self.stop.now.wait() => return Delivered::Abandoned,
            };
            let answer = self.heard(answer, protocol.message);
            self.count(&answer, encoded.len());
            body = Some((protocol, encoded));
            match self.judge(answer, shipment.items, tries) {
                Judgement::Done(delivered) => return delivered,
                Judgement::OtherForm => {}
                Judgement::Again(pause) => {
                    tries += 1;
                    if !self.pause(pause).await {
                        return Delivered::Abandoned;
                    }
                }
            }
        }
    }

    async fn encode(&self, payload: &Arc<Payload>, protocol: Protocol) -> Option<Bytes> {
        loop {
            let job = payload.clone();
            match self.pool.run(move || job.encode(protocol)).await {
                Ok(Ok(body)) => return Some(Bytes::from(body)),
                Ok(Err(error)) => {
                    tracing::error!(%error, "failed to encode a batch");
                    return None;
                }
                Err(_) => tokio::time::sleep(PAUSE_WHILE_BUSY).await,
            }
        }
    }

    /// What the answer to this message means. Who knows remote write 2.0 says what was written. Older
    /// receivers find nothing in it that they know, and are content with that.
    fn heard(&mut self, answer: Answer, message: Message) -> Answer {
        match answer {
            Answer::Stored { written: None, .. } if message == V2 => {
                let is_older = !self.is_form_proven || self.silence.goes_on(Instant::now());
                return match is_older {
                    true => Answer::Unsupported,
                    false => Answer::Retry { after: None, why: SILENT.to_owned() },
                };
            }
            Answer::Retry { .. } => self.silence.pause(Instant::now()),
            _ => self.silence.end(),
        }
        answer
    }

    fn count(&self, answer: &Answer, body_bytes: usize) {
        self.counters.request_bytes.add(body_bytes as u64);
        match answer {
            Answer::Retry { .. } => self.counters.retries.add(1),
            _ => self.counters.requests.add(1),
        }
    }

    fn judge(&mut self, answer: Answer, items: u64, tries: u32) -> Judgement {
        match answer {
            Answer::Stored { written, refused } => {
                self.note_success();
                self.is_form_proven = true;
                // A repetition may be answered with nothing written, because it had been before.
                let missing =
                    written.filter(|_| tries == 0).map_or(0, |written| items.saturating_sub(written));
                Judgement::Done(Delivered::Stored { refused: refused.max(missing).min(items) })
            }
            Answer::Unsupported if self.ladder.step_down() => {
                self.is_form_proven = false;
                tracing::info!(url = self.endpoint.url, form = ?self.ladder.current(), "receiver wants another form");
                Judgement::OtherForm
            }
            // Old receivers say 400 to a form they do not know.
            Answer::Refused { written: None, .. } if !self.is_form_proven && self.ladder.step_down() => {
                Judgement::OtherForm
            }
            Answer::Refused { written, why } => {
                self.is_form_proven |= written.is_some();
                if !self.is_form_proven {
                    self.ladder.start_again();
                }
                tracing::warn!(url = self.endpoint.url, why, "receiver refused a batch");
                Judgement::Done(Delivered::Refused { written: written.unwrap_or(0).min(items) })
            }
            Answer::TooLarge => Judgement::Done(Delivered::Refused { written: 0 }),
            Answer::Unsupported => {
                let why = "415: no form that we know is taken; is the address right?".to_owned();
                Judgement::Again(self.note_trouble(None, &why))
            }
            Answer::Retry { after, why } => Judgement::Again(self.note_trouble(after, &why)),
        }
    }

    fn note_success(&mut self) {
        self.backoff.reset();
        if std::mem::take(&mut self.is_troubled) {
            tracing::info!(url = self.endpoint.url, "delivering again");
        }
    }

    /// Trouble is logged when it begins, not at every try.
    fn note_trouble(&mut self, after: Option<Duration>, why: &str) -> Duration {
        if !std::mem::replace(&mut self.is_troubled, true) {
            tracing::warn!(url = self.endpoint.url, why, "failed to deliver; trying again until it works");
        }
        self.backoff.next(after)
    }

    /// False when the agent must end.
    async fn pause(&self, pause: Duration) -> bool {
        let hurried = async {
            self.stop.gently.wait().await;
            tokio::time::sleep(PAUSE_WHILE_STOPPING).await;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = hurried => true,
            () = self.stop.now.wait() => false,
        }
    }
}

enum Judgement {
    Done(Delivered),
    OtherForm,
    Again(Duration),
}

#[cfg(test)]
mod tests;
