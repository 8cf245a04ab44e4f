//! Delivers samples and lines to the destinations: each until it is stored, however long it takes.
//!
//! Samples go as Prometheus remote write 2.0, lines as OTLP/HTTP, both zstd-compressed; a receiver
//! that answers 415 gets older forms instead ([`protocol`]), which is remembered. Each request
//! says who sends it and its number within this start of the agent, so that a receiver knows a
//! repetition. A request is repeated unchanged, under the same number, until it is answered.
//!
//! What the answers mean ([`endpoint`]):
//! * 2xx: stored; what the receiver says it refused is counted as lost.
//! * 400, 413, 422 and most other 4xx: the batch is halved until the poison stands alone, which is
//!   dropped and counted.
//! * Anything else is the receiver's trouble or the operator's (401, 403, 404: a wrong token or
//!   address is no reason to drop data): tried again with full jitter, at most [`backoff::LONGEST`]
//!   apart, or as `Retry-After` says, for ever.
//!
//! One request at a time for samples and one for lines, per destination.

mod backoff;
mod channel;
mod endpoint;
mod logs;
mod metrics;
mod protocol;

pub(crate) use channel::{Channel, ChannelSettings, Stop};
pub(crate) use endpoint::Sender;
pub(crate) use logs::LogSender;
pub(crate) use metrics::MetricsSender;
