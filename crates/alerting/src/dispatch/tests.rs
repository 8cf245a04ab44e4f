//! A fake clock steps the dispatcher; deliveries are compared.

use super::*;
use crate::silence::SilenceMatcher;
use std::path::Path;

/// A dispatcher whose receivers take everything, or nothing while `refusing`.
pub(super) struct Stage {
    pub(super) dispatcher: Dispatcher,
    pub(super) journal: Journal,
    _folder: tempfile::TempDir,
    pub(super) now_ms: i64,
    pub(super) refusing: bool,
    pub(super) under_way: BTreeMap<u64, Delivery>,
    told: Vec<String>,
    /// Names of groups under which the receivers have open incidents.
    pub(super) incidents: BTreeSet<String>,
}

pub(super) const SIMPLE: &str = "group_by: [group], group_wait: 1s, group_interval: 2s, repeat_interval: 1h";

pub(super) fn config(route: &str, more: &str) -> Arc<Config> {
    config_for("r", route, more)
}

/// The same, with another receiver at the root.
pub(super) fn config_for(receiver: &str, route: &str, more: &str) -> Arc<Config> {
    let text = format!(
        "route: {{receiver: {receiver}, {route}}}\nreceivers:\n- {{name: r, pagerduty_configs: [{{routing_key: sink}}]}}\n\
         - {{name: other, pagerduty_configs: [{{routing_key: sink}}]}}\n\
         - {{name: quiet, pagerduty_configs: [{{routing_key: quiet, send_resolved: false}}]}}\n{more}"
    );
    Arc::new(Config::parse("f", &text, Path::new(".")).unwrap())
}

/// What becomes of the incidents of a receiver that ties ends to beginnings by a key.
pub(super) fn note_incidents(open: &mut BTreeSet<String>, message: &crate::notify::Message) {
    let own = vec![message.group_key.clone()];
    let incidents = message.incidents.clone().unwrap_or(own);
    if message.status() == "firing" {
        open.extend(incidents.into_iter().take(1));
    } else {
        open.retain(|incident| !incidents.contains(incident));
    }
}

pub(super) fn given_up(may_be_taken: bool) -> Finished {
    Finished::GivenUp { why: "time is up".into(), may_be_taken }
}

impl Stage {
    pub(super) fn new(route: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Stage {
            dispatcher: Dispatcher::new(config(route, more), 0),
            journal: Journal::open(folder.path()).unwrap(),
            _folder: folder,
            now_ms: 0,
            refusing: false,
            under_way: BTreeMap::new(),
            told: Vec::new(),
            incidents: BTreeSet::new(),
        }
    }

    /// Lets time pass to `seconds`, a tenth of a second at a time.
    pub(super) fn until(&mut self, seconds: f64) -> Vec<String> {
        let end_ms = (seconds * 1000.0) as i64;
        loop {
            self.dispatcher.tick(self.now_ms);
            self.settle();
            if self.now_ms >= end_ms {
                return std::mem::take(&mut self.told);
            }
            self.now_ms += 100;
        }
    }

    pub(super) fn settle(&mut self) {
        loop {
            let (changes, effects) = self.dispatcher.take();
            self.journal.commit(&changes).unwrap();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Stop(id) => {
                        if self.under_way.remove(&id).is_some() {
                            self.dispatcher.finished(
                                id,
                                &Finished::Stopped { may_be_taken: false },
                                self.now_ms,
                            );
                        }
                    }
                    Effect::Deliver(delivery, ..) => {
                        drop(self.under_way.insert(delivery.id, (*delivery).clone()))
                    }
                }
            }
            if !self.refusing {
                self.accept();
            }
        }
    }

    pub(super) fn accept(&mut self) {
        for (id, delivery) in std::mem::take(&mut self.under_way) {
            let alert = |alert: &crate::notify::NotifiedAlert| {
                let mark = if alert.resolved { "-" } else { "+" };
                format!("{mark}{}", alert.alert.name())
            };
            let alerts: Vec<_> = delivery.message.alerts.iter().map(alert).collect();
            let seconds = self.now_ms as f64 / 1000.0;
            self.told.push(format!("{seconds} {} {}", delivery.receiver, alerts.join(" ")));
            note_incidents(&mut self.incidents, &delivery.message);
            self.dispatcher.finished(id, &Finished::Delivered, self.now_ms);
        }
    }

    /// Posts `+name` as firing or `-name` as over now; a letter before a slash is its group.
    pub(super) fn post(&mut self, alerts: &str) {
        for word in alerts.split_whitespace() {
            let (firing, name) = (word.starts_with('+'), &word[1..]);
            let group = name.split_once('/').map_or("", |(group, _)| group);
            let posted = PostedAlert {
                labels: vec![("alertname".into(), name.into()), ("group".into(), group.into())],
                ends_at_ms: (!firing).then_some(self.now_ms),
                starts_at_ms: (!firing).then_some(self.now_ms - 1),
                ..PostedAlert::default()
            };
            let timeout_ms = self.dispatcher.config().resolve_timeout_ms;
            let alert = ingest(posted, timeout_ms, self.now_ms).unwrap();
            self.dispatcher.post(alert, self.now_ms).unwrap();
        }
        self.settle();
    }

    pub(super) fn silence(&mut self, name: &str, until_s: i64) {
        let matcher =
            SilenceMatcher { name: "alertname".into(), value: name.into(), is_regex: true, is_equal: true };
        let silence = Silence {
            id: String::new(),
            matchers: vec![matcher],
            starts_at_ms: self.now_ms,
            ends_at_ms: until_s * 1000,
            updated_at_ms: 0,
            created_by: String::new(),
            comment: String::new(),
            dormant: false,
        };
        self.dispatcher.set_silence(silence, format!("s{}", self.now_ms), self.now_ms).unwrap();
        self.settle();
    }

    /// Forgets everything that is not in the journal.
    pub(super) fn crash(&mut self) {
        self.restart(self.dispatcher.config().clone());
    }

    /// The same, with a configuration that may have changed meanwhile.
    pub(super) fn restart(&mut self, config: Arc<Config>) {
        self.under_way.clear();
        self.dispatcher = Dispatcher::restored(config, &self.journal, self.now_ms).unwrap();
        self.settle();
    }

    pub(super) fn reload(&mut self, route: &str, more: &str) {
        self.reload_to(config(route, more));
    }

    pub(super) fn reload_to(&mut self, config: Arc<Config>) {
        self.dispatcher.reload(config, self.now_ms);
        self.settle();
    }
}

#[test]
fn alerts_are_grouped_and_told_when_due() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a/1 +a/2 +b/1");
    assert_eq!(stage.until(0.9), [""; 0]);
    assert_eq!(stage.until(1.5), ["1 r +a/1 +a/2", "1 r +b/1"]);
    stage.post("+a/3");
    assert_eq!(stage.until(6.0), ["3 r +a/1 +a/2 +a/3"]);
    stage.post("-a/1 -b/1");
    assert_eq!(stage.until(9.0), ["7 r -a/1 +a/2 +a/3", "7 r -b/1"]);
    assert_eq!(stage.until(60.0), [""; 0]);
    assert_eq!(stage.dispatcher.alerts(stage.now_ms).len(), 2);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_group_waiting() {
    for crashes in [false, true] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.now_ms = 3_600_000;
        stage.post("+a/1");
        assert_eq!(stage.until(3602.0), ["3601 r +a/1"]);
        stage.now_ms = 0;
        if crashes {
            stage.crash();
        }
        stage.post("+a/2");
        assert_eq!(stage.until(3.0), ["2 r +a/1 +a/2"], "crashes: {crashes}");
    }
}

#[test]
fn unchanged_groups_are_repeated() {
    let mut stage = Stage::new("group_wait: 1s, group_interval: 2s, repeat_interval: 5s", "");
    stage.post("+a");
    assert_eq!(stage.until(14.0), ["1 r +a", "7 r +a", "13 r +a"]);
}

#[test]
fn a_group_that_comes_back_after_a_quiet_time_waits_for_company() {
    for crashes in [false, true] {
        let mut stage = Stage::new("group_wait: 3s, group_interval: 2s, repeat_interval: 1h", "");
        stage.post("+a");
        stage.until(5.0);
        stage.post("-a");
        assert_eq!(stage.until(75.0).len(), 1);
        if crashes {
            stage.crash();
        }
        stage.post("+b");
        stage.until(76.0);
        stage.post("+c");
        assert_eq!(stage.until(90.0), ["78 r +b +c"], "crashes: {crashes}");
    }
}

#[test]
fn an_alert_that_is_not_renewed_is_over() {
    let mut stage = Stage::new(SIMPLE, "global: {resolve_timeout: 10s}\n");
    stage.post("+a");
    assert_eq!(stage.until(20.0), ["1 r +a", "11 r -a"]);
}

#[test]
fn what_was_over_before_the_first_flush_is_never_told() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a");
    stage.until(0.5);
    stage.post("-a");
    assert_eq!(stage.until(10.0), [""; 0]);
}

#[test]
fn a_receiver_that_does_not_want_ends_hears_of_the_next_beginning() {
    let mut stage = Stage::new(
        "receiver: quiet, group_wait: 1s, group_interval: 2s".replace("receiver: quiet, ", "").as_str(),
        "",
    );
    stage.reload(
        "group_wait: 1s, group_interval: 2s, routes: [{receiver: quiet, matchers: ['alertname=~\".+\"']}]",
        "",
    );
    stage.post("+a");
    assert_eq!(stage.until(2.0), ["1 quiet +a"]);
    stage.post("-a");
    assert_eq!(stage.until(4.0), [""; 0]);
    stage.post("+a");
    assert_eq!(stage.until(8.0), ["5 quiet +a"]);
}

#[test]
fn a_silence_mutes_beginnings_but_not_ends() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a +b");
    assert_eq!(stage.until(1.0), ["1 r +a +b"]);
    stage.silence("a|c", 100);
    stage.post("-a +c");
    assert_eq!(stage.until(4.0), ["3 r -a +b"], "the end is told, the new alert is not");
    stage.post("-c");
    assert_eq!(stage.until(30.0), [""; 0], "nobody was told that c began");
    stage.post("+a");
    assert_eq!(stage.until(99.0), [""; 0]);
    assert_eq!(stage.until(110.0), ["101 r +a +b"], "when the silence is over it is told");
}

#[test]
fn a_muting_interval_keeps_ends_for_later() {
    // The clock starts at midnight on 1970-01-01.
    let night = "time_intervals:\n- name: n\n  time_intervals: [{times: [{start_time: '00:01', end_time: '00:02'}]}]\n";
    let route =
        "group_wait: 1s, group_interval: 10s, routes: [{matchers: [alertname=a], mute_time_intervals: [n]}]";
    let mut stage = Stage::new(route, night);
    stage.post("+a");
    assert_eq!(stage.until(55.0), ["1 r +a"]);
    stage.post("-a");
    stage.until(60.0);
    assert_eq!(stage.until(125.0), ["121 r -a"]);
}

#[test]
fn a_source_inhibits_until_it_is_over() {
    let rules = "inhibit_rules: [{source_matchers: [alertname=s/1], target_matchers: [alertname=t/1]}]\n";
    let mut stage = Stage::new(SIMPLE, rules);
    stage.post("+s/1 +t/1");
    assert_eq!(stage.until(3.0), ["1 r +s/1"]);
    stage.post("-s/1");
    assert_eq!(stage.until(10.0), ["5 r -s/1", "5 r +t/1"]);
}

#[test]
fn a_crash_neither_forgets_nor_repeats() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a +b");
    assert_eq!(stage.until(2.0), ["1 r +a +b"]);
    stage.silence("b", 1000);
    stage.crash();
    assert_eq!(stage.dispatcher.alerts(stage.now_ms).len(), 2);
    assert_eq!(stage.until(20.0), [""; 0]);
    stage.post("-a");
    stage.crash();
    assert_eq!(stage.until(25.0).len(), 1, "the end that was posted before the crash is told after it");
}

#[test]
fn a_notification_decided_before_a_crash_goes_out_after_it_under_the_same_key() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(1.0);
    let decided: Vec<_> = stage.under_way.values().cloned().collect();
    assert_eq!(decided.len(), 1);
    stage.crash();
    let resumed: Vec<_> = stage.under_way.values().cloned().collect();
    assert_eq!(resumed, decided);
    stage.refusing = false;
    stage.accept();
    assert_eq!(stage.until(20.0), ["1 r +a"]);
}

#[test]
fn an_undelivered_notification_gives_way_to_a_newer_one() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(2.0);
    let first: Vec<_> = stage.under_way.keys().copied().collect();
    stage.until(3.0);
    assert_eq!(stage.under_way.keys().copied().collect::<Vec<_>>(), first, "unchanged, it goes on");
    stage.post("+b");
    stage.until(5.0);
    assert_ne!(stage.under_way.keys().copied().collect::<Vec<_>>(), first);
    stage.silence("a|b", 100);
    stage.until(7.0);
    assert!(stage.under_way.is_empty(), "nobody wants to hear of them any more");
}

#[test]
fn what_ends_while_its_receiver_is_away_is_told_when_it_is_back() {
    for crashes in [false, true] {
        let mut stage = Stage::new("group_wait: 1s, group_interval: 2s", "");
        stage.refusing = true;
        stage.post("+a");
        stage.until(1.5);
        let decided: Vec<_> = stage.under_way.values().cloned().collect();
        stage.post("-a");
        stage.until(4.2);
        if crashes {
            stage.crash();
        }
        assert_eq!(stage.under_way.values().cloned().collect::<Vec<_>>(), decided, "crashes: {crashes}");
        stage.refusing = false;
        stage.accept();
        stage.settle();
        assert_eq!(stage.until(60.0), ["4.2 r +a", "4.2 r -a"]);
        assert!(
            stage.dispatcher.alerts.is_empty()
                && stage.journal.load::<Delivery>(Table::Outbox).unwrap().is_empty()
        );
    }
}

#[test]
fn what_ends_while_its_receiver_is_away_for_long_is_never_told() {
    let mut stage = Stage::new("group_wait: 1s, group_interval: 2s", "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(2.0);
    stage.post("-a");
    stage.until(10.0);
    let (id, _) = stage.under_way.pop_first().unwrap();
    stage.dispatcher.finished(id, &given_up(false), stage.now_ms);
    stage.settle();
    stage.refusing = false;
    assert_eq!(stage.until(60.0), [""; 0]);
    assert!(stage.dispatcher.alerts.is_empty());
}

#[test]
fn what_is_over_is_forgotten() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a +b/1");
    stage.until(2.0);
    stage.post("-a -b/1");
    stage.until(100.0);
    assert!(stage.dispatcher.alerts.is_empty() && stage.dispatcher.groups.is_empty());
    stage.until(0.0);
    assert!(stage.journal.load::<Alert>(Table::Alerts).unwrap().is_empty());
}

#[test]
fn a_reload_while_a_notification_is_under_way_repeats_nothing() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(1.0);
    let under_way: Vec<_> = stage.under_way.keys().copied().collect();
    stage.reload(SIMPLE, "");
    stage.reload(SIMPLE, "inhibit_rules: []\n");
    assert_eq!(stage.under_way.keys().copied().collect::<Vec<_>>(), under_way, "the same attempt goes on");
    stage.refusing = false;
    stage.accept();
    stage.settle();
    assert_eq!(stage.until(30.0), ["1 r +a"]);
}

/// A delivery whose attempt is at the receiver while the routing is edited: what the receiver
/// knows is known only when the attempt has ended.
#[test]
fn renaming_a_receiver_while_its_attempt_is_under_way_repeats_nothing() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(1.0);
    let (id, delivery) = stage.under_way.pop_first().unwrap();
    let renamed = format!("{SIMPLE}, routes: [{{receiver: other, matchers: ['alertname=a']}}]");
    stage.refusing = false;
    stage.dispatcher.reload(config(&renamed, ""), stage.now_ms);
    stage.settle();
    assert_eq!(stage.until(3.0), [""; 0], "nothing is told while it is not known what was");
    assert_eq!(delivery.receiver, "r");
    stage.dispatcher.finished(id, &Finished::Delivered, stage.now_ms);
    stage.settle();
    assert_eq!(stage.until(30.0), [""; 0], "the same address has been told");
    stage.post("-a");
    let told = stage.until(60.0);
    assert!(told.len() == 1 && told[0].ends_with("other -a"), "{told:?}");
}

/// An attempt that succeeds after its notification was to be replaced: the end must be told.
#[test]
fn what_was_taken_late_is_not_forgotten() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(1.0);
    let (id, _) = stage.under_way.pop_first().unwrap();
    stage.refusing = false;
    stage.post("-a");
    assert_eq!(stage.until(4.0), [""; 0]);
    stage.dispatcher.finished(id, &Finished::Delivered, stage.now_ms);
    stage.settle();
    assert_eq!(stage.until(10.0), ["4 r -a"]);
}

/// The group that told the beginning is gone, by an edit of the routes or by a restart with another
/// configuration: the end is told by the one that reaches the same address now.
#[test]
fn what_has_ended_before_its_route_was_edited_is_told() {
    let below = |receiver: &str, matcher: &str| {
        config(&format!("{SIMPLE}, routes: [{{receiver: {receiver}, matchers: ['{matcher}']}}]"), "")
    };
    for (edited, receiver, others) in [
        (below("r", "alertname=~\"a|b\""), "r", ""),
        (below("other", "alertname=a"), "other", ""),
        (config_for("other", SIMPLE, ""), "other", ""),
        // Whichever of them the new group meets first.
        (below("other", "alertname=~\"a|b|c\""), "other", "+b"),
        (below("other", "alertname=~\"a|b|c\""), "other", "+c"),
    ] {
        for restarts in [false, true] {
            let mut stage = Stage::new(SIMPLE, "");
            stage.post("+a");
            stage.post(others);
            assert_eq!(stage.until(1.0).len(), 1);
            stage.post("-a");
            stage.until(1.5);
            if restarts {
                stage.restart(edited.clone());
            } else {
                stage.reload_to(edited.clone());
            }
            stage.post("-a");
            let told = stage.until(60.0);
            let expected = format!("{receiver} -a {others}");
            assert!(
                told.len() == 1 && told[0].ends_with(expected.trim_end()),
                "{others}, restarts: {restarts}: {told:?}"
            );
        }
    }
}

/// The end is at the receiver while an edit moves its alert, and another that fires, to a new group.
#[test]
fn an_end_that_an_edit_has_overtaken_is_told_once() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+g/a +g/b");
    assert_eq!(stage.until(1.5), ["1 r +g/a +g/b"]);
    stage.refusing = true;
    stage.post("-g/a");
    stage.until(3.5);
    let (id, _) = stage.under_way.pop_first().unwrap();
    stage.refusing = false;
    stage.reload_to(config_for("other", SIMPLE, ""));
    assert_eq!(stage.until(5.0), [""; 0]);
    stage.dispatcher.finished(id, &Finished::Delivered, stage.now_ms);
    stage.settle();
    assert_eq!(stage.until(30.0), [""; 0]);
    stage.post("+g/a");
    stage.until(33.0);
    stage.post("-g/a");
    let told = stage.until(60.0);
    assert!(told.len() == 1 && told[0].ends_with("other -g/a +g/b"), "{told:?}");
}

/// The group to which an alert moves has told of other alerts before.
#[test]
fn what_moves_to_an_older_group_is_neither_told_again_nor_forgotten() {
    let (one, all) = ("{receiver: r, matchers: [alertname=g/a]}", "{receiver: other, matchers: [group=g]}");
    let [before, after] = [[one, all], [all, one]].map(|[a, b]| format!("{SIMPLE}, routes: [{a}, {b}]"));
    for ends_before in [false, true] {
        let mut stage = Stage::new(&before, "");
        stage.post("+g/a +g/b");
        assert_eq!(stage.until(1.5), ["1 r +g/a", "1 other +g/b"]);
        stage.post("-g/b");
        assert_eq!(stage.until(4.0), ["3 other -g/b"]);
        if ends_before {
            stage.post("-g/a");
        }
        stage.reload(&after, "");
        assert_eq!(stage.until(4.5), [""; 0], "ends before: {ends_before}");
        stage.post("-g/a");
        let told = stage.until(60.0);
        assert!(told.len() == 1 && told[0].ends_with(" other -g/a"), "{ends_before}: {told:?}");
    }
}

/// A receiver that is away while an alert ends and its route is edited: what it is about to be told
/// has no group any more, or one that has lost the alert.
#[test]
fn what_ends_while_its_receiver_is_away_is_told_after_an_edit_too() {
    let moved = format!("{SIMPLE}, routes: [{{receiver: other, matchers: ['alertname=a']}}]");
    for company in ["", "+b"] {
        for (restarts, taken) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut stage = Stage::new(SIMPLE, "");
            stage.refusing = true;
            stage.post("+a");
            stage.post(company);
            stage.until(1.5);
            stage.post("-a");
            if company.is_empty() {
                stage.until(4.2);
            }
            // The attempt that is under way ends after the edit.
            let (attempt, _) = stage.under_way.pop_first().unwrap();
            if restarts {
                stage.restart(config(&moved, ""));
                stage.under_way.clear();
            } else {
                stage.reload(&moved, "");
            }
            assert_eq!(stage.until(6.0), [""; 0]);
            let stopped = Finished::Stopped { may_be_taken: false };
            let outcome = if taken { Finished::Delivered } else { stopped };
            stage.dispatcher.finished(attempt, &outcome, stage.now_ms);
            stage.refusing = false;
            stage.settle();
            let told = stage.until(60.0);
            let told: BTreeSet<_> = told.iter().map(|line| line.split_once(' ').unwrap().1).collect();
            let mut expected = BTreeSet::new();
            // After a restart nobody knows whether it was taken before.
            if taken || restarts {
                expected.insert("other -a");
            }
            if !taken && !company.is_empty() {
                expected.insert("r +b");
            }
            assert_eq!(told, expected, "{company}, restarts: {restarts}, taken: {taken}");
        }
    }
}

/// Nobody would tell it the end.
#[test]
fn a_receiver_that_is_away_is_not_told_the_beginning_of_what_others_are_told() {
    let moved = format!("{SIMPLE}, routes: [{{receiver: quiet, matchers: ['alertname=a']}}]");
    let mut stage = Stage::new(SIMPLE, "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(1.5);
    stage.reload(&moved, "");
    stage.refusing = false;
    stage.accept();
    let told = stage.until(60.0);
    assert!(told.len() == 1 && told[0].ends_with(" quiet +a"), "{told:?}");
}

/// What a receiver holds open of an alert that is gone is no reason to keep the next one from it.
#[test]
fn an_alert_that_was_told_elsewhere_meanwhile_is_told_when_it_is_back() {
    let away = format!("{SIMPLE}, routes: [{{receiver: quiet, matchers: ['alertname=a']}}]");
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a");
    assert_eq!(stage.until(1.0), ["1 r +a"]);
    stage.reload(&away, "");
    stage.post("-a");
    assert_eq!(stage.until(60.0), [""; 0]);
    stage.reload(SIMPLE, "");
    stage.post("+a");
    assert_eq!(stage.until(70.0), ["61 r +a"]);
}
