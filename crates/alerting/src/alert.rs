//! An alert as the notification half knows it: a label set with a time of validity.
//!
//! Invariants: `labels` holds at least one pair; `starts_at_ms <= ends_at_ms`. Whether an alert is
//! resolved depends on the time asked for, because most alerts end by not being renewed.

use crate::{Annotations, stored, timestamp::Written};
use model::Labels;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// Identity of a label set, in Alertmanager's form: FNV-1a of names and values in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Digits of its text.
    pub(crate) const DIGITS: usize = 16;

    /// The fingerprint of `labels`.
    pub fn of(labels: &Labels) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash = OFFSET;
        let mut add = |bytes: &[u8]| {
            for byte in bytes.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        };
        for (name, value) in labels.iter() {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        Fingerprint(hash)
    }
}

impl Fingerprint {
    /// As it is displayed, without the cost of formatting.
    pub fn encode_hex(self, digits: &mut [u8; 16]) -> &str {
        *digits = std::array::from_fn(|at| b"0123456789abcdef"[(self.0 >> (60 - 4 * at)) as usize & 0xf]);
        str::from_utf8(digits).unwrap_or_default()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode_hex(&mut [0; 16]))
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What identifies the alert.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
    /// What is said about it.
    pub annotations: Annotations,
    /// When it began to fire.
    pub starts_at_ms: i64,
    /// When it ends, or ended; in the future while it fires.
    pub ends_at_ms: i64,
    /// How its sender wrote the beginning.
    #[serde(default, skip_serializing_if = "Written::is_plain")]
    pub starts_written: Written,
    /// How its sender wrote the end.
    #[serde(default, skip_serializing_if = "Written::is_plain")]
    pub ends_written: Written,
    /// When it was last heard of.
    pub updated_at_ms: i64,
    /// Where it comes from, as a link.
    pub generator_url: String,
    /// The end was not given by the sender but follows from `resolve_timeout`.
    pub timeout: bool,
    /// A rule of this process holds the alert: it ends when the rule says so and never by the
    /// passing of time, so that a failing query does not look like recovery.
    pub held: bool,
    /// What the rule measured when it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// See [`Alert::rendered`].
    #[serde(skip)]
    pub rendered: Rendered,
}

/// Text that follows from an alert's labels, annotations and link; none at first.
#[derive(Clone, Default)]
pub struct Rendered(OnceLock<(Arc<str>, usize)>);

/// What follows from the rest makes no difference.
impl PartialEq for Rendered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rendered")
    }
}

/// What a rule of this process measured, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// The element's value.
    pub value: String,
    /// Such as `> 0.9`; empty when the rule does not compare with a number.
    pub condition: String,
    /// The expression without the condition, for a graph; empty when there is none.
    pub expr: String,
    /// The element: a hash of its labels without the metric's name. 0 where it is not known, as of
    /// alerts that an earlier release has stored.
    #[serde(default)]
    pub element: u64,
}

impl Alert {
    /// The `alertname` label.
    pub fn name(&self) -> &str {
        self.labels.value(ALERT_NAME)
    }

    /// The alert's identity.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels)
    }

    /// The two texts that `render` makes of labels, annotations and link. They are kept, for everybody who
    /// has a copy and for the alert when it is heard of again with the same words: lists of thousands of
    /// alerts are asked for again and again, and these are most of them.
    pub fn rendered(&self, render: impl FnOnce(&Alert) -> [String; 2]) -> (&str, &str) {
        let (text, middle) = self.rendered.0.get_or_init(|| {
            let [first, second] = render(self);
            (Arc::from(first.clone() + &second), first.len())
        });
        text.split_at(*middle)
    }

    /// Takes the texts over from the same alert as it was before, if they are still true.
    pub(crate) fn keep_rendered(&mut self, before: &Alert) {
        if (&self.annotations, &self.generator_url) == (&before.annotations, &before.generator_url) {
            self.rendered = before.rendered.clone();
        }
    }

    /// Whether the alert is over at `now_ms`.
    pub fn is_resolved(&self, now_ms: i64) -> bool {
        self.ends_at_ms <= now_ms && (!self.held || self.ended_explicitly())
    }

    /// Whether the last thing heard of the alert was its end.
    fn ended_explicitly(&self) -> bool {
        self.ends_at_ms <= self.updated_at_ms
    }

    /// Whether `newer` only says that the alert still fires. For an alert that a rule holds nothing
    /// of that must be written down: it does not end by the passing of time.
    pub(crate) fn is_renewed_by(&self, newer: &Alert, now_ms: i64) -> bool {
        let fires = |alert: &Alert| alert.held && !alert.is_resolved(now_ms);
        fires(self)
            && fires(newer)
            && (&self.annotations, self.starts_at_ms, &self.generator_url)
                == (&newer.annotations, newer.starts_at_ms, &newer.generator_url)
    }

    /// What the alert table holds once `newer` has arrived: spans that overlap become one.
    pub fn succeeded_by(&self, newer: Alert, now_ms: i64) -> Alert {
        let inside = |instant: i64| instant > self.starts_at_ms && instant < self.ends_at_ms;
        if inside(newer.ends_at_ms) || inside(newer.starts_at_ms) {
            self.merged(newer, now_ms)
        } else {
            newer
        }
    }

    /// The earliest start, the newest annotations, and the end that counts.
    fn merged(&self, mut newer: Alert, now_ms: i64) -> Alert {
        if self.starts_at_ms < newer.starts_at_ms {
            (newer.starts_at_ms, newer.starts_written) = (self.starts_at_ms, self.starts_written);
        }
        let may_end_later = if newer.is_resolved(now_ms) { self.is_resolved(now_ms) } else { !self.timeout };
        if may_end_later && self.ends_at_ms > newer.ends_at_ms {
            (newer.ends_at_ms, newer.ends_written) = (self.ends_at_ms, self.ends_written);
        }
        newer
    }

    /// After a restart: an alert that was waiting for renewal gets its time anew, because its
    /// sender could not reach us. One that had ended stays so.
    pub fn renew_after_restart(&mut self, now_ms: i64) {
        if !self.ended_explicitly() {
            let lease_ms = self.ends_at_ms.saturating_sub(self.updated_at_ms);
            let renewed_ms = now_ms.saturating_add(lease_ms);
            if renewed_ms > self.ends_at_ms {
                (self.ends_at_ms, self.ends_written) = (renewed_ms, Written::default());
            }
        }
    }
}

/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(starts_at_ms: i64, ends_at_ms: i64, updated_at_ms: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", "test")]),
            annotations: Annotations::empty(),
            starts_at_ms,
            ends_at_ms,
            starts_written: Written::default(),
            ends_written: Written::default(),
            updated_at_ms,
            generator_url: String::new(),
            timeout: false,
            held: false,
            measure: None,
            rendered: Rendered::default(),
        }
    }

    fn written(offset: &str) -> Written {
        let text = format!("2026-11-27T03:51:08{offset}");
        crate::timestamp::parse_written(&text).unwrap().unwrap().1
    }

    #[test]
    fn fingerprints_are_those_of_alertmanager() {
        // FNV-1a of `alertname 0xff test 0xff`, computed independently.
        let mut expected: u64 = 0xcbf29ce484222325;
        for byte in b"alertname\xfftest\xff" {
            expected = (expected ^ u64::from(*byte)).wrapping_mul(0x100000001b3);
        }
        assert_eq!(alert(0, 0, 0).fingerprint(), Fingerprint(expected));
        assert_eq!(Fingerprint(7).to_string(), "0000000000000007");
    }

    #[test]
    fn texts_are_kept_while_they_are_true() {
        let before = alert(0, 10, 0);
        let render = |text: &str| [text.to_owned(), "b".to_owned()];
        assert_eq!(before.rendered(|_| render("a")), ("a", "b"));
        let mut again = alert(0, 20, 5);
        again.keep_rendered(&before);
        assert_eq!(again.clone().rendered(|_| render("other")), ("a", "b"));
        let mut changed = Alert { generator_url: "http://x/".into(), ..alert(0, 20, 5) };
        changed.keep_rendered(&before);
        assert_eq!(changed.rendered(|_| render("other")), ("other", "b"));
    }

    #[test]
    fn overlapping_spans_merge_and_others_replace() {
        let now = 100;
        let old = alert(10, 200, 10);
        let merged = old.succeeded_by(alert(20, 300, 100), now);
        assert_eq!((merged.starts_at_ms, merged.ends_at_ms), (10, 300));
        let shorter = old.succeeded_by(alert(20, 150, 100), now);
        assert_eq!((shorter.starts_at_ms, shorter.ends_at_ms), (10, 200), "the latest explicit end counts");
        let resolved = old.succeeded_by(alert(20, 90, 100), now);
        assert_eq!((resolved.starts_at_ms, resolved.ends_at_ms), (10, 90));
        let later = alert(10, 50, 50).succeeded_by(alert(60, 300, 100), now);
        assert_eq!((later.starts_at_ms, later.ends_at_ms), (60, 300), "another episode");
        let posted = Alert {
            starts_written: written("+02:00"),
            ends_written: written("+03:00"),
            ..alert(10, 200, 10)
        };
        let merged = posted.succeeded_by(alert(20, 300, 100), now);
        assert_eq!(
            (merged.starts_written, merged.ends_written),
            (written("+02:00"), written("Z")),
            "each time is told as it was written"
        );
        let derived = Alert { timeout: true, ..alert(10, 200, 10) };
        assert_eq!(derived.succeeded_by(alert(20, 150, 100), now).ends_at_ms, 150);
    }

    #[test]
    fn a_held_alert_ends_only_when_its_rule_says_so() {
        let held = Alert { held: true, ..alert(10, 50, 20) };
        assert!(!held.is_resolved(1_000_000));
        let ended = Alert { held: true, ..alert(10, 50, 50) };
        assert!(ended.is_resolved(50) && !ended.is_resolved(49));
    }

    #[test]
    fn a_restart_renews_leases_but_not_ends() {
        let mut waiting = alert(10, 50, 20);
        waiting.renew_after_restart(1000);
        assert_eq!(waiting.ends_at_ms, 1030);
        let mut ended = alert(10, 50, 60);
        ended.renew_after_restart(1000);
        assert_eq!(ended.ends_at_ms, 50);
    }
}
