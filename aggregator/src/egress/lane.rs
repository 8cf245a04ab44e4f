//! One connection to an endpoint: gathers pieces into requests, sends one at a time, and does not
//! go on before the endpoint has taken or refused it.
//!
//! A request that is refused for good is cut: first into the pieces it was gathered from, since
//! some of them may have been sent before a crash and be refused as repeats, then into halves until
//! what is bad stands alone. Receivers that reject a whole request for one bad sample lose only that
//! sample. Cutting costs credit, which success earns back, so an endpoint that refuses everything
//! is not asked a thousand times for each batch.

use super::{
    backoff::Backoff,
    cut::{halves, join},
    endpoint::{Answer, Endpoint, Message},
    health::Health,
    metrics::EndpointMetrics,
    progress::Ticket,
};
use daemon::Shutdown;
use model::MetricBatch;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep, sleep_until},
};
use wire::remote_write::Silence;

/// Cuts allowed in a row without a request that was taken whole.
const CREDIT_MAX: u32 = 64;
/// How long a request under way may still take once the process is to end.
const GRACE: Duration = Duration::from_secs(2);

/// A piece of a record, on its way.
pub(super) struct Parcel {
    pub(super) batch: MetricBatch,
    pub(super) ticket: Ticket,
    /// Room in the queue, given back with it.
    pub(super) room: OwnedSemaphorePermit,
}

/// See the module.
pub(super) struct Lane {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) metrics: EndpointMetrics,
    pub(super) health: Arc<Health>,
    pub(super) inbox: mpsc::Receiver<Parcel>,
    pub(super) shutdown: Shutdown,
}

/// What a lane remembers from request to request.
struct Sending {
    backoff: Backoff,
    credit: u32,
    silence: Silence,
}

/// What is left to do after a request.
enum Outcome {
    Settled,
    Cut(Vec<Vec<MetricBatch>>),
    Stopped,
}

impl Lane {
    /// Runs until the shutdown or the end of the inbox. What was not settled is sent again after a
    /// start.
    pub(super) async fn run(mut self) {
        let queue = &self.endpoint.config().queue_config;
        let backoff = Backoff::new(
            Duration::from_millis(queue.min_backoff.0),
            Duration::from_millis(queue.max_backoff.0),
        );
        let mut sending = Sending { backoff, credit: CREDIT_MAX, silence: Silence::default() };
        let mut held = None;
        while let Some(parcels) = self.gather(&mut held).await {
            if !self.deliver(parcels, &mut sending).await {
                return;
            }
        }
    }

    /// The parcels of the next request: as many as fit, or as have come until the deadline.
    async fn gather(&mut self, held: &mut Option<Parcel>) -> Option<Vec<Parcel>> {
        let queue = self.endpoint.config().queue_config.clone();
        let first = match held.take() {
            Some(parcel) => parcel,
            None => tokio::select! {
                parcel = self.inbox.recv() => parcel?,
                () = self.shutdown.wait() => return None,
            },
        };
        let deadline = Instant::now() + Duration::from_millis(queue.batch_send_deadline.0);
        let mut samples = first.batch.sample_count();
        let mut parcels = vec![first];
        while samples < queue.max_samples_per_send {
            let next = tokio::select! {
                next = self.inbox.recv() => next,
                () = sleep_until(deadline) => break,
                () = self.shutdown.wait() => return None,
            };
            let Some(next) = next else { break };
            samples += next.batch.sample_count();
            if samples > queue.max_samples_per_send {
                *held = Some(next);
                break;
            }
            parcels.push(next);
        }
        Some(parcels)
    }

    /// Sends until all is settled; `false` when the process is to end before.
    async fn deliver(&self, parcels: Vec<Parcel>, sending: &mut Sending) -> bool {
        let (mut batches, mut rest) = (Vec::new(), Vec::new());
        for Parcel { batch, ticket, room } in parcels {
            batches.push(batch);
            rest.push((ticket, room));
        }
        let mut jobs = vec![batches];
        let mut is_whole = true;
        while let Some(job) = jobs.pop() {
            match self.send(job, is_whole, sending).await {
                Outcome::Settled => {}
                Outcome::Cut(parts) => {
                    is_whole = false;
                    jobs.extend(parts.into_iter().rev());
                }
                Outcome::Stopped => return false,
            }
        }
        rest.into_iter().for_each(|(ticket, _)| ticket.finish());
        true
    }

    /// Sends one request until it is taken or refused.
    async fn send(&self, job: Vec<MetricBatch>, is_whole: bool, sending: &mut Sending) -> Outcome {
        let joined = if job.len() > 1 { Some(join(&job)) } else { None };
        let Some(batch) = joined.as_ref().or(job.first()) else { return Outcome::Settled };
        let samples = batch.sample_count() as u64;
        loop {
            let message = match self.endpoint.encode(batch) {
                Ok(message) => message,
                Err(error) => return self.give_up(samples, 0, &error.to_string()),
            };
            let Some(answer) = self.post(&message, &mut sending.silence).await else {
                return Outcome::Stopped;
            };
            match answer {
                Answer::Stored { .. } => {
                    sending.backoff.reset();
                    sending.credit = if is_whole { CREDIT_MAX } else { (sending.credit + 2).min(CREDIT_MAX) };
                    self.metrics.requests_stored.inc();
                    self.metrics.sent.inc_by(samples);
                    self.health.stored();
                    return Outcome::Settled;
                }
                Answer::Retry { after, why } => {
                    self.metrics.requests_retry.inc();
                    self.metrics.retried.inc_by(samples);
                    self.health.failed(&why);
                    if !self.pause(sending.backoff.next(after)).await {
                        return Outcome::Stopped;
                    }
                }
                Answer::Unsupported => {
                    if self.endpoint.step_down() {
                        tracing::info!(url = %self.endpoint.config().endpoint_name(),
                            "the endpoint does not know remote write 2.0 and gets 1.0");
                    }
                }
                Answer::Refused { written, why } => {
                    self.metrics.requests_refused.inc();
                    return self.refused(job, samples, written, &why, sending);
                }
            }
        }
    }

    fn refused(
        &self,
        job: Vec<MetricBatch>,
        samples: u64,
        written: Option<u64>,
        why: &str,
        sending: &mut Sending,
    ) -> Outcome {
        // It has looked at each sample by itself: there is nothing to be gained by cutting.
        if let Some(written) = written.filter(|written| *written > 0) {
            return self.give_up(samples, written.min(samples), why);
        }
        if job.len() > 1 {
            return Outcome::Cut(job.into_iter().map(|batch| vec![batch]).collect());
        }
        match job.first() {
            Some(batch) if samples > 1 && sending.credit > 0 => {
                sending.credit -= 1;
                Outcome::Cut(halves(batch).into_iter().map(|half| vec![half]).collect())
            }
            _ => self.give_up(samples, 0, why),
        }
    }

    fn give_up(&self, samples: u64, written: u64, why: &str) -> Outcome {
        self.metrics.sent.inc_by(written);
        self.metrics.failed.inc_by(samples - written);
        self.health.failed(why);
        Outcome::Settled
    }

    /// The answer, or `None` when the process ends before there is one.
    async fn post(&self, message: &Message, silence: &mut Silence) -> Option<Answer> {
        self.metrics.bytes.inc_by(message.bytes());
        let end = async {
            self.shutdown.wait().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            answer = self.endpoint.post(message, silence) => Some(answer),
            () = end => None,
        }
    }

    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = sleep(pause) => true,
            () = self.shutdown.wait() => false,
        }
    }
}
