//! Syslog messages as they come from devices and daemons: RFC 5424, RFC 3164, and what calls itself
//! that.
//!
//! A message that follows neither is kept whole as the line: losing it would be worse.

mod framing;
mod parse;

pub use framing::Framer;

use crate::{
    DecodeReport, LogOptions, WireError,
    logs::{LogWriter, StreamKeeper},
};
use model::LogBatch;
use parse::Message;

/// The `job` label.
const JOB: &str = "syslog";
/// Names of severities, from 0.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// Names of facilities, from 0.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// What messages do not say themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyslogOptions {
    /// Seconds east of UTC of the clocks that write times without a zone (RFC 3164).
    pub offset_seconds: i32,
    /// How many messages came before these. A time is made finer by a message's number, as far as it is not
    /// told: the same line written twice in a second is two lines.
    pub number: u64,
}

/// One received message and who sent it.
#[derive(Clone, Debug)]
pub struct Received {
    /// As it came, without its frame.
    pub message: Vec<u8>,
    /// The sender's address, which stands for a host name that is missing.
    pub sender: String,
    /// When it came, nanoseconds since the epoch.
    pub received_ns: i64,
}

/// Replaces `batch` with the messages.
///
/// # Errors
/// When they are more than a request may expand to; the batch is then empty.
pub fn decode_messages(
    messages: &[Received],
    syslog: SyslogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    let now_ns = messages.last().map_or(0, |received| received.received_ns);
    let mut writer = LogWriter::new(batch, LogOptions { now_ns, enrich: true });
    let mut keeper = StreamKeeper::default();
    let mut result = Ok(());
    for (received, number) in messages.iter().zip(syslog.number..) {
        let syslog = SyslogOptions { number, ..syslog };
        result = write_message(received, syslog, &mut keeper, &mut writer);
        if result.is_err() {
            break;
        }
    }
    writer.finish(result)
}

fn write_message(
    received: &Received,
    syslog: SyslogOptions,
    keeper: &mut StreamKeeper,
    writer: &mut LogWriter<'_>,
) -> Result<(), WireError> {
    // Devices write Latin-1 and worse; a line's broken bytes are replaced by the writer.
    let text = String::from_utf8_lossy(&received.message);
    let message = parse::parse(&text, received.received_ns, syslog.offset_seconds);
    let host = if message.host.is_empty() { received.sender.as_str() } else { message.host };
    let labels = [("job", JOB), ("host", host), ("app", message.app)];
    keeper.stream(writer, labels.into_iter().filter(|(_, value)| !value.is_empty()))?;
    writer.begin_entry();
    put_metadata(&message, writer);
    let told_ns = message.timestamp_ns.map(|at| told_apart(at, message.unit_ns, syslog.number));
    writer.end_entry(told_ns.unwrap_or(received.received_ns), message.text.as_bytes())
}

/// A time, later by less than the unit that it is told in.
fn told_apart(at_ns: i64, unit_ns: i64, number: u64) -> i64 {
    at_ns.saturating_add((number % unit_ns.max(1) as u64) as i64)
}

fn put_metadata(message: &Message<'_>, writer: &mut LogWriter<'_>) {
    if let Some(priority) = message.priority {
        let (facility, severity) = (usize::from(priority >> 3), usize::from(priority & 7));
        writer.metadata(b"level", SEVERITIES[severity].as_bytes());
        if let Some(facility) = FACILITIES.get(facility) {
            writer.metadata(b"facility", facility.as_bytes());
        }
    }
    for (name, value) in [("pid", message.process), ("msgid", message.id)] {
        if !value.is_empty() {
            writer.metadata(name.as_bytes(), value.as_bytes());
        }
    }
    for (name, value) in &message.data {
        writer.metadata(name.as_bytes(), value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_become_lines() {
        let received = |message: &str| Received {
            message: message.as_bytes().to_vec(),
            sender: "10.0.0.9".into(),
            received_ns: 1_780_000_000_000_000_000,
        };
        let mut batch = LogBatch::default();
        let messages = [
            received(
                "<165>1 2026-05-28T20:26:40.5Z web1 app 77 ID47 [ex@1 iut=\"3\" q=\"a\\\"b\\]\"][m x=\"y\"] \u{feff}hello",
            ),
            received("<34>May 28 20:26:41 mymachine su[230]: 'su root' failed"),
            received("<0>kernel panic"),
            received("no priority at all"),
        ];
        let report = decode_messages(&messages, SyslogOptions::default(), &mut batch).unwrap();
        assert_eq!(report.entries, 4);
        let mut found = Vec::new();
        for stream in batch.streams() {
            for entry in stream.entries() {
                let at = entry.timestamp_ns - 1_780_000_000_000_000_000;
                found.push(format!("{} {at} {} {}", stream.labels(), entry.line, entry.metadata));
            }
        }
        assert_eq!(
            found,
            [
                r#"{app="app", host="web1", job="syslog", service_name="app"} 500000000 hello {detected_level="info", ex_1_iut="3", ex_1_q="a\"b]", facility="local4", level="notice", m_x="y", msgid="ID47", pid="77"}"#,
                r#"{app="su", host="mymachine", job="syslog", service_name="su"} 1000000001 'su root' failed {detected_level="critical", facility="auth", level="crit", pid="230"}"#,
                r#"{host="10.0.0.9", job="syslog", service_name="syslog"} 0 kernel panic {detected_level="fatal", facility="kern", level="emerg"}"#,
                r#"{host="10.0.0.9", job="syslog", service_name="syslog"} 0 no priority at all {detected_level="unknown"}"#,
            ]
        );
    }

    #[test]
    fn the_same_line_twice_in_a_second_is_two_lines() {
        let number = 7_001_002_003;
        for (time, expected) in [
            ("2026-05-28T20:26:41Z", 1_001_002_003),
            // Not told in seconds, so that it stays before the next millisecond.
            ("2026-05-28T20:26:40.000Z", 2_003),
            ("2026-05-28T20:26:40.000000+00:00", 3),
            ("2026-05-28T20:26:40.000000000Z", 0),
        ] {
            for message in [format!("<34>1 {time} sw1 sshd - - - x"), format!("<34>{time} sw1 sshd: x")] {
                let message = parse::parse(&message, 0, 0);
                let told = told_apart(message.timestamp_ns.unwrap(), message.unit_ns, number);
                assert_eq!(told - 1_780_000_000_000_000_000, expected, "{time}");
            }
        }
        assert_eq!(told_apart(i64::MAX, 1000, 9), i64::MAX);
        let message = b"<34>May 28 20:26:41 sw1 sshd: Failed password".to_vec();
        let received = Received { message, sender: "s".into(), received_ns: 1_780_000_000_000_000_000 };
        let mut batch = LogBatch::default();
        let options = SyslogOptions { number: 40, ..SyslogOptions::default() };
        decode_messages(&[received.clone(), received], options, &mut batch).unwrap();
        let times: Vec<Vec<i64>> = batch
            .streams()
            .map(|stream| stream.entries().map(|entry| entry.timestamp_ns % 1_000_000_000).collect())
            .collect();
        assert_eq!(times, [[40, 41]]);
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_line(message in prop::collection::vec(any::<u8>(), 0..120)) {
            let messages = [Received { message, sender: "s".into(), received_ns: 5 }];
            let report = decode_messages(&messages, SyslogOptions::default(), &mut LogBatch::default()).unwrap();
            prop_assert_eq!(report.entries, 1);
        }

        #[test]
        fn nearly_right_messages_become_a_line(message in "<[0-9]{1,4}>(1 )?([A-Za-z0-9:. \\[\\]\"=\\\\@-]|é){0,80}") {
            let messages = [Received { message: message.into_bytes(), sender: "s".into(), received_ns: 5 }];
            let report = decode_messages(&messages, SyslogOptions::default(), &mut LogBatch::default()).unwrap();
            prop_assert_eq!(report.entries, 1);
        }
    }
}
