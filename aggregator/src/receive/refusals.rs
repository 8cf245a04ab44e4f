//! What is refused is told in the log: for each protocol and reason one message in [`PAUSE`], with an
//! example and its sender, so that whoever reads a count finds what was meant.
//!
//! Text fields of line protocol are left out: they come with every batch of Telegraf, and their sender
//! cannot help it.
//!
//! Bound: protocols and reasons are fixed, so there is one row for each pair of them.

use super::{append::Appended, counters::Protocol, failure::Failure};
use crate::auth::TokenName;
use axum::{extract::ConnectInfo, http::Extensions};
use daemon::Seldom;
use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use wire::Refusal;

/// Between two messages about one reason.
const PAUSE: Duration = Duration::from_secs(60);
/// Of an example; the answer to the sender has all of it.
const EXAMPLE_BYTES_MAX: usize = 512;

/// Who sent, as far as that is known: nothing of it is for syslog, whose batches are of many.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    peer: Option<IpAddr>,
    token: Option<TokenName>,
}

impl Sender {
    pub(super) fn of(extensions: &Extensions) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Sender { peer, token: extensions.get::<TokenName>().cloned() }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer}")?,
            None => f.write_str("unknown")?,
        }
        match &self.token {
            Some(token) => write!(f, " with the token `{}`", token.0),
            None => Ok(()),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Refusals {
    told: Mutex<HashMap<(Protocol, &'static str), Seldom>>,
}

impl Refusals {
    /// A request was refused as a whole.
    pub(super) fn whole(&self, protocol: Protocol, sender: &Sender, failure: &Failure) {
        let reason = failure.reason();
        let Some(requests) = self.due(protocol, reason) else { return };
        let (protocol, failure) = (protocol.as_str(), failure.to_string());
        let error = shortened(&failure);
        tracing::warn!(protocol, reason, %sender, requests, error, "write requests are refused");
    }

    /// Parts of a request were refused.
    pub(super) fn parts(&self, protocol: Protocol, sender: &Sender, appended: &Appended) {
        for (reason, example) in examples(appended) {
            let Some(requests) = self.due(protocol, reason) else { continue };
            let (protocol, example) = (protocol.as_str(), shortened(example));
            tracing::warn!(protocol, reason, %sender, requests, example, "parts of write requests are refused");
        }
    }

    /// When it is time to tell of this reason again: of how many requests since the last message.
    pub(super) fn due(&self, protocol: Protocol, reason: &'static str) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.entry((protocol, reason)).or_insert_with(|| Seldom::every(PAUSE)).happened()
    }
}

fn examples(appended: &Appended) -> impl Iterator<Item = (&'static str, &str)> {
    let decoding = appended.report.rejected.iter().filter(|rejected| rejected.reason != Refusal::StringField);
    let decoding = decoding.map(|rejected| (rejected.reason.as_str(), rejected.example.as_str()));
    let storing = appended.rejections.iter();
    decoding.chain(storing.map(|rejected| (rejected.reason.as_str(), rejected.example.as_str())))
}

/// What a message in the log shows of `text`.
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(EXAMPLE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_of_a_protocol_is_told_by_itself() {
        let refusals = Refusals::default();
        for (protocol, reason, told) in [
            (Protocol::Influx, "malformed", Some(1)),
            (Protocol::Influx, "malformed", None),
            (Protocol::Influx, "too_old", Some(1)),
            (Protocol::OtlpLogs, "malformed", Some(1)),
        ] {
            assert_eq!(refusals.due(protocol, reason), told, "{protocol:?} {reason}");
        }
    }

    #[test]
    fn a_sender_is_named_as_far_as_it_is_known() {
        let peer = ConnectInfo(SocketAddr::from(([10, 0, 0, 7], 4711)));
        let token = TokenName("edge".into());
        for (peer, token, expected) in [
            (None, None, "unknown"),
            (Some(peer), None, "10.0.0.7"),
            (Some(peer), Some(token), "10.0.0.7 with the token `edge`"),
        ] {
            let mut extensions = Extensions::new();
            peer.map(|peer| extensions.insert(peer));
            token.map(|token| extensions.insert(token));
            assert_eq!(Sender::of(&extensions).to_string(), expected);
        }
    }

    #[test]
    fn long_examples_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(400)).len(), 512);
        assert_eq!(shortened(&format!("a{}", "ä".repeat(400))).len(), 511);
    }
}
