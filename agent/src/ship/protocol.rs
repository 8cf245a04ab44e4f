//! The forms in which a payload can be sent, best first.

use model::{LogBatch, MetricBatch};
use wire::{
    WireError,
    compression::{Encoding, compress},
    otlp, remote_write,
};

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) message: Message,
    pub(super) encoding: Encoding,
}

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    RemoteWrite(remote_write::Version),
    OtlpLogs,
}

pub(super) const V2: Message = Message::RemoteWrite(remote_write::Version::V2);
const V1: Message = Message::RemoteWrite(remote_write::Version::V1);

/// Remote write 2.0 with zstd is ours, with snappy the specification's, and 1.0 everybody's.
const METRICS: [Protocol; 3] = [
    Protocol { message: V2, encoding: Encoding::Zstd },
    Protocol { message: V2, encoding: Encoding::Snappy },
    Protocol { message: V1, encoding: Encoding::Snappy },
];
/// Every OTLP receiver has gzip.
const LOGS: [Protocol; 3] = [
    Protocol { message: Message::OtlpLogs, encoding: Encoding::Zstd },
    Protocol { message: Message::OtlpLogs, encoding: Encoding::Gzip },
    Protocol { message: Message::OtlpLogs, encoding: Encoding::Identity },
];

/// The forms of a payload, and the one in use.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    forms: &'static [Protocol; 3],
    at: usize,
}

impl Ladder {
    pub(super) fn metrics() -> Self {
        Ladder { forms: &METRICS, at: 0 }
    }

    pub(super) fn logs() -> Self {
        Ladder { forms: &LOGS, at: 0 }
    }

    pub(super) fn current(&self) -> Protocol {
        self.forms[self.at]
    }

    /// Goes on to the next form; false when there is none.
    pub(super) fn step_down(&mut self) -> bool {
        let has_next = self.at + 1 < self.forms.len();
        self.at += usize::from(has_next);
        has_next
    }

    pub(super) fn start_again(&mut self) {
        self.at = 0;
    }
}

/// What is to be sent.
#[derive(Debug)]
pub(super) enum Payload {
    Metrics {
        batch: MetricBatch,
        /// The batch in the best form already, as it comes from the spool.
        ready: Option<Vec<u8>>,
    },
    Logs(LogBatch),
}

impl Payload {
    /// The body in a form. Takes time in proportion to the payload; runs on the CPU pool.
    pub(super) fn encode(&self, protocol: Protocol) -> Result<Vec<u8>, WireError> {
        if let Payload::Metrics { ready: Some(body), .. } = self
            && protocol == METRICS[0]
        {
            return Ok(body.clone());
        }
        let mut raw = Vec::new();
        match (self, protocol.message) {
            (Payload::Metrics { batch, .. }, Message::RemoteWrite(remote_write::Version::V1)) => {
                remote_write::encode_v1(batch, &mut raw);
            }
            (Payload::Metrics { batch, .. }, _) => remote_write::encode_v2(batch, &mut raw),
            (Payload::Logs(logs), _) => otlp::encode_logs(logs, &mut raw),
        }
        let mut body = Vec::new();
        compress(protocol.encoding, &raw, &mut body)?;
        Ok(body)
    }
}

impl Message {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Message::RemoteWrite(version) => version.content_type(),
            Message::OtlpLogs => otlp::Format::Protobuf.content_type(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::compression::decompress;

    #[test]
    fn every_form_says_the_same() {
        let mut batch = MetricBatch::default();
        batch.begin();
        batch.label(b"__name__", b"up");
        batch.end_labels().unwrap();
        batch.sample(5, 0, 1.0);
        let payload = Payload::Metrics { batch, ready: None };
        let mut ladder = Ladder::metrics();
        loop {
            let protocol = ladder.current();
            let mut raw = Vec::new();
            decompress(protocol.encoding, &payload.encode(protocol).unwrap(), 1 << 20, &mut raw).unwrap();
            let mut decoded = MetricBatch::default();
            match protocol.message {
                V1 => remote_write::decode_v1(&raw, &mut decoded).unwrap(),
                _ => remote_write::decode_v2(&raw, &mut decoded).unwrap(),
            };
            let series: Vec<_> =
                decoded.series().map(|series| (series.labels().to_owned(), series.samples()[0])).collect();
            assert_eq!((series[0].0.metric_name(), series[0].1.value, series.len()), ("up", 1.0, 1));
            if !ladder.step_down() {
                break;
            }
        }
        assert_eq!(ladder.current(), METRICS[2]);
    }
}
