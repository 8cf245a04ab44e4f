//! What users of Alertmanager complain of, each as a test named after the complaint that shows
//! that it is not so here. Those about silences in files, explanations and secrets stand beside
//! these parts, those about missing data beside rules.

use super::tests::{SIMPLE, Stage};

/// The history, oldest first: kind, alert or receiver, reason.
fn story(stage: &Stage) -> Vec<String> {
    let page = crate::history::EventFilter::default().find(&stage.journal).unwrap();
    let line = |event: &crate::history::Event| {
        let alerts: Vec<_> = event.alerts.iter().map(|alert| alert.labels.value("alertname")).collect();
        let about =
            if alerts.is_empty() { event.labels.value("alertname").to_owned() } else { alerts.join("+") };
        format!("{} {about} {}", event.kind.as_str(), event.reason.as_deref().unwrap_or_default())
            .trim()
            .to_owned()
    };
    page.events.iter().rev().map(line).collect()
}

#[test]
fn no_history_of_alerts_and_notifications() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a");
    stage.until(2.0);
    stage.silence("a", 6);
    stage.until(4.0);
    stage.post("-a");
    stage.until(6.0);
    assert_eq!(
        story(&stage),
        [
            "firing a",
            "decided a first notification",
            "delivered a first notification",
            "silence_set  alertname=~\"a\" by ``:",
            "muted a silenced",
            "withheld a all that fires is muted",
            "resolved a",
            "decided a all alerts resolved",
            "delivered a all alerts resolved",
        ]
    );
}

#[test]
fn a_restart_loses_alerts_and_their_ends() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a +b");
    assert_eq!(stage.until(2.0), ["1 r +a +b"]);
    stage.crash();
    assert_eq!(stage.dispatcher.alerts(stage.now_ms).len(), 2, "no alert is lost");
    stage.post("-a");
    stage.crash();
    let told = stage.until(10.0);
    assert!(told.len() == 1 && told[0].ends_with(" r -a +b"), "no end is lost: {told:?}");
}

#[test]
fn what_ends_while_silenced_is_never_told() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a");
    assert_eq!(stage.until(1.0), ["1 r +a"]);
    stage.silence("a", 1000);
    stage.post("-a");
    assert_eq!(stage.until(4.0), ["3 r -a"], "the incident is closed");
}

#[test]
fn what_ends_while_inhibited_is_never_told() {
    let rules = "inhibit_rules: [{source_matchers: [alertname=s], target_matchers: [alertname=t]}]\n";
    let mut stage = Stage::new(SIMPLE, rules);
    stage.post("+t");
    assert_eq!(stage.until(1.0), ["1 r +t"]);
    stage.post("+s");
    assert_eq!(stage.until(4.0), ["3 r +s"]);
    stage.post("-t");
    assert_eq!(stage.until(6.0), ["5 r +s -t"], "the incident is closed");
}

/// A silence of a week outlives what is remembered of notifications.
#[test]
fn what_ends_after_a_week_of_silence_is_never_told() {
    const DAY_S: i64 = 86_400;
    let mut stage = Stage::new("group_wait: 1s, group_interval: 1h", "global: {resolve_timeout: 30d}\n");
    stage.post("+a");
    assert_eq!(stage.until(1.0), ["1 r +a"]);
    stage.silence("a", 8 * DAY_S);
    // An hour at a time: nothing happens in between.
    for hour in 1..7 * 24 {
        stage.now_ms = hour * 3_600_000;
        assert_eq!(stage.until(stage.now_ms as f64 / 1000.0), [""; 0], "hour {hour}");
    }
    stage.crash();
    stage.post("-a");
    stage.now_ms += 2 * 3_600_000;
    let told = stage.until(stage.now_ms as f64 / 1000.0);
    assert!(told.len() == 1 && told[0].ends_with(" r -a"), "{told:?}");
}

/// Who does not want to hear of it says so.
#[test]
fn ends_of_muted_alerts_are_told_to_who_does_not_want_them() {
    let more = "- {name: log, on_mute: stay_silent, webhook_configs: [{url: 'http://log/'}]}\n";
    let route =
        "group_wait: 1s, group_interval: 2s, routes: [{receiver: log, matchers: ['alertname=~\"a|b\"']}]";
    let mut stage = Stage::new(route, more);
    stage.post("+a +b");
    assert_eq!(stage.until(1.0), ["1 log +a +b"]);
    stage.silence("a", 10);
    stage.post("-a");
    assert_eq!(stage.until(11.0), [""; 0], "the end of a is not told");
    stage.post("-b");
    assert_eq!(stage.until(14.0), ["13 log -b"], "nothing muted it");
    stage.post("+a");
    assert_eq!(stage.until(20.0), ["15 log +a"], "a new beginning is told all the same");
}

#[test]
fn what_fires_again_after_a_silent_end_stays_silent() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a");
    assert_eq!(stage.until(1.0), ["1 r +a"]);
    stage.silence("a", 10);
    stage.post("-a");
    assert_eq!(stage.until(5.0), ["3 r -a"], "the end is told although it is silenced");
    stage.post("+a");
    let told = stage.until(30.0);
    assert_eq!(told, ["11 r +a"], "long before the repeat interval");
}

#[test]
fn what_still_fires_when_a_silence_ends_is_not_told() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a");
    assert_eq!(stage.until(1.0), ["1 r +a"]);
    stage.silence("a", 20);
    assert_eq!(stage.until(20.0), [""; 0]);
    stage.crash();
    assert_eq!(stage.until(60.0), ["20 r +a"]);
    let told = story(&stage);
    assert!(told.contains(&"delivered a silence ended".to_owned()), "{told:?}");
}

#[test]
fn an_edit_of_the_configuration_pages_again() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+a/1");
    assert_eq!(stage.until(2.0), ["1 r +a/1"]);
    for route in [
        SIMPLE.to_owned(),
        format!("{SIMPLE}, routes: [{{receiver: other, matchers: ['group=a']}}]"),
        format!("{SIMPLE}, routes: [{{receiver: other, matchers: ['group=~\"a|z\"']}}]"),
    ] {
        stage.reload(&route, "");
        assert_eq!(stage.until(stage.now_ms as f64 / 1000.0 + 5.0), [""; 0], "{route}");
    }
    stage.post("-a/1");
    let told = stage.until(60.0);
    assert!(told.len() == 1 && told[0].ends_with("other -a/1"), "{told:?}");
}

#[test]
fn flapping_pages_again_and_again() {
    let mut stage = Stage::new(SIMPLE, "global: {hold_flapping: 5m}\n");
    let mut told = Vec::new();
    for round in 0..20 {
        stage.post("+a");
        told.extend(stage.until(f64::from(round) * 20.0 + 10.0));
        stage.post("-a");
        told.extend(stage.until(f64::from(round) * 20.0 + 20.0));
    }
    // The fourth beginning within an hour makes it flap; its end and all that follows are held.
    assert_eq!(told.len(), 7, "{told:?}");
    let flaps = story(&stage).into_iter().filter(|line| line.starts_with("flapping a")).count();
    assert_eq!(flaps, 1, "it is said once");
    let calm = stage.until(400.0 + 310.0);
    assert!(calm.len() == 1 && calm[0].ends_with(" r -a"), "told when it has been quiet: {calm:?}");
}

#[test]
fn no_dead_mans_switch() {
    let more = "- {name: watch, heartbeat_configs: [{url: 'http://watch/'}]}\n";
    let route = "group_wait: 1s, group_interval: 2s, routes: [{receiver: watch, matchers: [alertname=a]}]";
    let mut stage = Stage::new(route, more);
    stage.post("+a");
    assert_eq!(stage.until(6.0), ["1 watch +a", "3 watch +a", "5 watch +a"]);
    stage.post("-a");
    assert_eq!(stage.until(20.0), [""; 0]);
}

/// Two servers that hold the same alert both tell in doubt, under a key by which the receiver
/// takes the second for what it is.
#[test]
fn two_servers_page_twice() {
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut stage = Stage::new(SIMPLE, "");
        stage.refusing = true;
        stage.post("+a +b");
        stage.until(1.0);
        keys.push(stage.under_way.values().next().unwrap().idempotency_key.clone());
    }
    assert_eq!(keys[0], keys[1]);
}

/// Many groups, one of them with so short an interval that it is always due.
#[test]
fn groups_wait_while_busier_ones_are_told() {
    let route = "group_by: ['...'], group_wait: 0s, group_interval: 100ms, routes: \
                 [{receiver: other, matchers: [alertname=last], group_wait: 1s}]";
    let mut stage = Stage::new(route, "");
    let many: Vec<String> = (0..1_200).map(|number| format!("+a{number}")).collect();
    stage.post(&many.join(" "));
    stage.post("+last");
    let told = stage.until(3.0);
    assert!(told.iter().any(|line| line.ends_with(" other +last")), "{} told", told.len());
}

/// Ten thousand alerts that are all source and target of one inhibition, beside a thousand
/// silences: what must be told and shown does not grow with the square of it.
#[test]
fn a_storm_takes_the_notifier_down() {
    const ALERTS: usize = 10_000;
    let rules = "inhibit_rules: [{source_matchers: ['alertname=~\"a.*\"'], target_matchers: \
                 ['alertname=~\"a.*\"'], equal: [group]}]\n";
    let mut stage = Stage::new(SIMPLE, rules);
    for number in 0..1_000 {
        stage.now_ms = number;
        stage.silence(&format!("b{number}"), 1_000_000);
    }
    stage.now_ms = 1_000;
    let began = std::time::Instant::now();
    let all: Vec<String> = (0..ALERTS).map(|number| format!("+a{number}")).collect();
    for part in all.chunks(500) {
        stage.post(&part.join(" "));
    }
    let told = stage.until(3.0);
    assert_eq!((told.len(), told[0].matches('+').count()), (1, ALERTS), "one message");
    assert_eq!(stage.dispatcher.alerts(stage.now_ms).len(), ALERTS);
    assert_eq!(stage.dispatcher.groups(stage.now_ms).len(), 1);
    // A debug build on a busy machine takes a few seconds; every alert held against every other
    // takes minutes.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
