use super::super::{
    Finished,
    tests::{SIMPLE, Stage, config, config_for, note_incidents},
};

const BY_NAME: &str = "group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h";

/// Names of the groups under which incidents are open.
fn open(stage: &Stage) -> Vec<&str> {
    stage.incidents.iter().map(String::as_str).collect()
}

/// The group that told the beginning has another name when the end is told.
#[test]
fn an_incident_is_closed_after_its_route_was_edited() {
    let below = |receiver: &str, matcher: &str| {
        config(&format!("{SIMPLE}, routes: [{{receiver: {receiver}, matchers: ['{matcher}']}}]"), "")
    };
    for edited in [
        below("r", "alertname=~\"x/a|z\""),
        below("other", "group=x"),
        config_for("other", SIMPLE, ""),
        config(BY_NAME, ""),
    ] {
        for restarts in [false, true] {
            let mut stage = Stage::new(SIMPLE, "");
            stage.post("+x/a");
            stage.until(1.0);
            assert_eq!(open(&stage), [r#"{}:{group="x"}"#]);
            if restarts {
                stage.restart(edited.clone());
            } else {
                stage.reload_to(edited.clone());
            }
            stage.until(4.0);
            // What comes later belongs to the same incident.
            stage.post("+x/a +x/z");
            stage.until(8.0);
            stage.post("-x/a -x/z");
            let told = stage.until(20.0);
            assert!(!told.is_empty() && open(&stage).is_empty(), "restarts: {restarts}: {:?}", open(&stage));
            stage.post("+x/a");
            stage.until(30.0);
            let own = edited.routes.matching(&stage.dispatcher.alerts(stage.now_ms)[0].alert.labels)[0];
            let own = edited.routes.get(own);
            let labels = own.group_labels(&stage.dispatcher.alerts(stage.now_ms)[0].alert.labels);
            assert_eq!(open(&stage), [own.group_key(&labels)], "the next incident has the new name");
        }
    }
}

#[test]
fn a_group_merged_from_two_closes_the_incidents_of_both() {
    let mut stage = Stage::new(BY_NAME, "");
    stage.post("+x/a +x/b");
    stage.until(1.0);
    assert_eq!(open(&stage).len(), 2);
    stage.reload(SIMPLE, "");
    stage.until(4.0);
    stage.post("-x/a");
    assert_eq!(stage.until(8.0).len(), 1);
    assert_eq!(open(&stage).len(), 2, "one of them still fires");
    stage.post("-x/b");
    assert_eq!(stage.until(12.0).len(), 1);
    assert_eq!(open(&stage), [""; 0]);
}

/// Whichever ends first, and whether the groups are told of their ends at once or one by one.
#[test]
fn an_incident_whose_alerts_went_to_several_groups_is_closed_by_the_last() {
    for (first, second) in [("-x/a", "-x/b"), ("-x/b", "-x/a")] {
        for crashes in [false, true] {
            let mut stage = Stage::new(SIMPLE, "");
            stage.post("+x/a +x/b");
            stage.until(1.0);
            stage.reload(BY_NAME, "");
            stage.until(4.0);
            stage.post(first);
            assert_eq!(stage.until(8.0).len(), 1);
            assert_eq!(open(&stage), [r#"{}:{group="x"}"#], "{second} is still to come");
            if crashes {
                stage.crash();
            }
            stage.post(second);
            assert_eq!(stage.until(12.0).len(), 1);
            assert_eq!(open(&stage), [""; 0]);
        }
    }
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+x/a +x/b");
    stage.until(1.0);
    stage.reload(BY_NAME, "");
    stage.until(4.0);
    stage.refusing = true;
    stage.post("-x/a -x/b");
    stage.until(7.0);
    assert_eq!(stage.under_way.len(), 2);
    stage.refusing = false;
    stage.accept();
    stage.settle();
    stage.until(10.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// Part of a group goes to another, part stays.
#[test]
fn an_incident_that_two_groups_have_in_common_outlives_the_first() {
    let moved = format!("{SIMPLE}, routes: [{{receiver: other, matchers: ['alertname=x/a']}}]");
    for (first, second) in [("-x/a", "-x/b"), ("-x/b", "-x/a")] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.post("+x/a +x/b");
        stage.until(1.0);
        stage.reload(&moved, "");
        stage.until(4.0);
        stage.post(first);
        stage.until(8.0);
        assert_eq!(open(&stage).len(), 1, "{second} is still to come");
        stage.post(second);
        stage.until(12.0);
        assert_eq!(open(&stage), [""; 0], "{first}");
    }
}

/// The beginning of another alert of the incident is on its way when its first alert ends elsewhere.
#[test]
fn an_incident_goes_on_with_a_beginning_that_is_under_way() {
    let moved = format!("{SIMPLE}, routes: [{{receiver: other, matchers: ['alertname=x/a']}}]");
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+x/a");
    stage.until(1.0);
    stage.reload(&moved, "");
    stage.until(4.0);
    stage.refusing = true;
    stage.post("+x/b");
    stage.until(6.0);
    stage.post("-x/a");
    stage.until(9.0);
    stage.refusing = false;
    stage.accept();
    stage.settle();
    stage.until(14.0);
    assert_eq!(open(&stage), [r#"{}:{group="x"}"#], "x/b fires");
    stage.post("-x/b");
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

const INHIBITED: &str =
    "inhibit_rules: [{source_matchers: [alertname=s], target_matchers: [alertname=x/0]}]\n";

/// While an alert is muted the last notification of its group leaves it out, and the incident is closed.
#[test]
fn a_muted_alert_that_an_edit_moves_is_told_when_it_is_muted_no_more() {
    for restarts in [false, true] {
        let mut stage = Stage::new(SIMPLE, INHIBITED);
        stage.post("+x/0 +x/1");
        stage.until(2.0);
        stage.post("+s -x/1");
        assert_eq!(stage.until(5.0), ["3 r +s", "3 r -x/1"], "x/0 is muted");
        assert_eq!(open(&stage), ["{}:{}"]);
        let edited = config(BY_NAME, INHIBITED);
        if restarts {
            stage.restart(edited);
        } else {
            stage.reload_to(edited);
        }
        stage.until(8.0);
        stage.post("-s");
        let told = stage.until(12.0);
        assert!(told.iter().any(|told| told.ends_with("+x/0")), "restarts: {restarts}: {told:?}");
        assert_eq!(open(&stage), [r#"{}:{group="x"}"#]);
        stage.post("-x/0");
        stage.until(16.0);
        assert_eq!(open(&stage), [""; 0]);
    }
}

/// The group that an edit takes alerts from is looked at before the one that they are moved to.
#[test]
fn an_end_of_what_an_edit_has_left_does_not_close_the_incident_of_what_it_has_moved() {
    for restarts in [false, true] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.post("+x/0 +x/1");
        stage.until(2.0);
        stage.post("-x/1");
        let moved = "routes: [{matchers: [alertname=x/0], group_wait: 8s, group_interval: 8s}]";
        let edited = config(&format!("{SIMPLE}, {moved}"), "");
        if restarts {
            stage.restart(edited);
        } else {
            stage.reload_to(edited);
        }
        assert_eq!(stage.until(20.0), ["3 r -x/1"], "x/0 is not told again");
        assert_eq!(open(&stage), [r#"{}:{group="x"}"#], "x/0 fires");
        stage.post("-x/0");
        stage.until(40.0);
        assert_eq!(open(&stage), [""; 0]);
    }
}

/// An entry as it was stored before incidents had names of their own.
#[test]
fn what_was_told_before_incidents_had_names_is_closed() {
    let stored = r#"{"group_key":"{}:{}","integration":"r/webhook/0","target":"t","firing":[1],
        "resolved":[],"open":[1],"at_ms":1,"sequence":1,"repeat_interval_ms":1}"#;
    let entry: crate::notify::dedup::Entry = serde_json::from_str(stored).unwrap();
    assert_eq!(entry.open_incidents().collect::<Vec<_>>(), ["{}:{}"]);
    assert!(entry.unsure.is_empty());
}

/// So many groups, merged into one.
const MANY: usize = 120;

fn words(mark: char, numbers: impl Iterator<Item = usize>) -> String {
    numbers.map(|number| format!("{mark}x/{number} ")).collect()
}

fn merged() -> Stage {
    let mut stage = Stage::new(BY_NAME, "");
    stage.post(&words('+', 0..MANY));
    stage.until(2.0);
    assert_eq!(open(&stage).len(), MANY);
    stage.reload(SIMPLE, "");
    stage.until(4.0);
    stage
}

#[test]
fn an_end_closes_many_incidents_part_by_part() {
    for crashes in [false, true] {
        let mut stage = merged();
        stage.refusing = true;
        stage.post(&words('-', 0..MANY));
        stage.until(7.0);
        let mut left = Vec::new();
        while !stage.under_way.is_empty() {
            stage.accept();
            left.push(open(&stage).len());
            stage.now_ms += 100;
            stage.dispatcher.tick(stage.now_ms);
            stage.settle();
            if crashes {
                stage.crash();
            }
        }
        assert_eq!(left, [MANY - 50, MANY - 100, 0], "crashes: {crashes}");
        stage.refusing = false;
        stage.until(60.0);
        stage.post("+x/0");
        stage.until(70.0);
        assert_eq!(open(&stage), [r#"{}:{group="x"}"#], "the next incident has the group's own name");
    }
}

#[test]
fn an_alert_that_comes_amid_an_end_goes_on_with_an_incident_that_is_open() {
    let mut stage = merged();
    stage.refusing = true;
    stage.post(&words('-', 0..MANY));
    stage.until(7.0);
    stage.accept();
    let left: Vec<String> = open(&stage).into_iter().map(str::to_owned).collect();
    assert_eq!(left.len(), MANY - 50);
    stage.post("+x/new");
    stage.refusing = false;
    stage.until(12.0);
    assert_eq!(open(&stage), left, "no incident is opened beside them");
    stage.post("-x/new");
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// Part of an end has closed the incident that an alert of it once had, and no more of it is told.
#[test]
fn an_alert_that_fires_again_amid_an_end_does_not_go_on_with_what_is_closed() {
    let mut stage = merged();
    stage.refusing = true;
    stage.post(&words('-', 0..MANY));
    stage.until(6.1);
    stage.post("+x/0");
    stage.until(7.5);
    stage.accept();
    assert!(!open(&stage).contains(&r#"{}:{alertname="x/0"}"#));
    stage.refusing = false;
    stage.reload(BY_NAME, "");
    stage.until(14.0);
    let entry = stage.dispatcher.told.get(r#"r/pagerduty/0|{}:{alertname="x/0"}"#).unwrap();
    let is_open = entry.open_incidents().any(|incident| stage.incidents.contains(incident));
    assert!(is_open, "{:?} of {:?}", entry.open_incidents().collect::<Vec<_>>(), open(&stage));
    stage.post("-x/0");
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// What stays behind is told elsewhere: nobody closes what is left to it.
#[test]
fn incidents_are_not_left_to_an_alert_that_is_sent_elsewhere() {
    let mut stage = merged();
    let elsewhere = "routes: [{receiver: quiet, matchers: [alertname=x/0]}]";
    stage.reload(&format!("{}, {elsewhere}", SIMPLE.replace("[group]", "[]")), "");
    stage.until(7.0);
    stage.post(&words('-', 0..MANY));
    stage.until(12.0);
    assert_eq!(open(&stage), [r#"{}/{alertname="x/0"}:{}"#], "the quiet one hears of no end");
}

/// Neither of two groups that become one leaves to the other what both have open.
#[test]
fn what_two_groups_have_in_common_is_closed_when_they_become_one() {
    let apart = "{matchers: [group=z], group_by: [group]}";
    let x_and_y = "{matchers: ['alertname=~\"x/.*|z/0\"']}, {matchers: ['alertname=~\"y/.*|z/1\"']}";
    let merged = SIMPLE.replace("[group]", "[]");
    let mut stage = Stage::new(&format!("{BY_NAME}, routes: [{apart}]"), "");
    stage.post(&words('+', 0..20));
    stage.post(&words('+', 0..20).replace('x', "y"));
    stage.post("+z/0 +z/1");
    stage.until(2.0);
    assert_eq!(open(&stage).len(), 41);
    for routes in [format!("{apart}, {x_and_y}"), x_and_y.to_owned(), String::new()] {
        stage.reload(&format!("{merged}, routes: [{routes}]"), "");
        stage.until(stage.now_ms as f64 / 1000.0 + 4.0);
    }
    assert_eq!(open(&stage).len(), 41);
    stage.post(&words('-', 0..20));
    stage.post(&words('-', 0..20).replace('x', "y"));
    stage.post("-z/0 -z/1");
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

#[test]
fn groups_that_are_parted_again_have_their_own_incidents_back() {
    let mut stage = merged();
    stage.post("-x/3");
    stage.until(7.0);
    stage.reload(BY_NAME, "");
    stage.until(10.0);
    for number in (0..MANY).filter(|number| *number != 3) {
        let own = format!(r#"{{}}:{{alertname="x/{number}"}}"#);
        let key = format!("r/pagerduty/0|{own}");
        let incidents: Vec<_> = stage.dispatcher.told.get(&key).unwrap().open_incidents().collect();
        assert_eq!(incidents[0], own);
        assert!(incidents.len() == 1 || number == 99, "{own} has {incidents:?}");
    }
    stage.post(&words('-', 0..10));
    stage.until(14.0);
    assert_eq!(open(&stage).len(), MANY - 9, "the last to leave takes that of an alert that is over");
    stage.post(&words('-', 10..MANY));
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// Other groups than those that were merged: each cannot go on with all incidents.
#[test]
fn groups_that_are_parted_otherwise_have_some_incidents_in_common() {
    let mut stage = merged();
    stage.reload(&BY_NAME.replace("[alertname]", "[group, alertname]"), "");
    stage.until(7.0);
    let held: usize = (0..MANY)
        .map(|number| {
            let key = format!(r#"r/pagerduty/0|{{}}:{{alertname="x/{number}", group="x"}}"#);
            stage.dispatcher.told.get(&key).unwrap().open_incidents().count()
        })
        .sum();
    assert!(held <= 17 * MANY, "{held} for {MANY} groups");
    stage.post(&words('-', 0..MANY - 1));
    stage.until(12.0);
    assert!(!open(&stage).is_empty(), "one still fires");
    stage.post(&words('-', MANY - 1..MANY));
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// Of what fires, each alert is held open by an entry that names an incident which is open.
fn check_incidents(stage: &Stage) {
    let sink = stage.dispatcher.config().receivers["r"].integrations[0].target();
    for view in stage.dispatcher.alerts(stage.now_ms) {
        let holders = stage.dispatcher.told.holders(view.alert.fingerprint()).map(|(_, entry)| entry);
        let holders: Vec<_> = holders.filter(|entry| entry.target == sink).collect();
        let is_seen = holders.iter().any(|it| it.open_incidents().any(|name| stage.incidents.contains(name)));
        assert!(is_seen, "{} has none of {:?}: {holders:?}", view.alert.labels, open(stage));
    }
}

/// Lets the receiver be away when an earlier process has ended, and stops what that had on its way.
fn crash_and_stop(stage: &mut Stage, route: &str) {
    stage.crash();
    let under_way = std::mem::take(&mut stage.under_way);
    stage.refusing = false;
    stage.reload(route, "");
    for id in under_way.into_keys() {
        stage.dispatcher.finished(id, &Finished::Stopped { may_be_taken: false }, stage.now_ms);
    }
}

/// Of two incidents that may never have been opened, the group that takes both over opens one.
#[test]
fn nobody_goes_on_with_an_incident_that_was_perhaps_never_opened() {
    let mut stage = Stage::new(BY_NAME, "");
    stage.refusing = true;
    stage.post("+x/a +x/b");
    stage.until(2.0);
    crash_and_stop(&mut stage, SIMPLE);
    stage.until(6.0);
    assert_eq!(open(&stage).len(), 1, "both are told as one");
    stage.reload(BY_NAME, "");
    assert_eq!(stage.until(10.0), [""; 0], "what is known is not told again");
    check_incidents(&stage);
    stage.post("-x/a -x/b");
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// Of two that may never have been opened, each that is parted again before it is told has its own.
#[test]
fn beginnings_in_doubt_that_are_merged_and_parted_have_their_own_incidents() {
    let mut stage = Stage::new(BY_NAME, "");
    stage.refusing = true;
    stage.post("+x/a +x/b");
    stage.until(2.0);
    crash_and_stop(&mut stage, SIMPLE);
    stage.reload(BY_NAME, "");
    stage.until(10.0);
    assert_eq!(open(&stage), [r#"{}:{alertname="x/a"}"#, r#"{}:{alertname="x/b"}"#]);
    stage.post("-x/a");
    stage.until(14.0);
    assert_eq!(open(&stage), [r#"{}:{alertname="x/b"}"#]);
}

/// An end closes what both had; then the group opens one of them for what comes.
#[test]
fn nobody_goes_on_with_an_incident_that_an_end_has_closed_while_an_alert_was_muted() {
    let inhibited = "inhibit_rules: [{source_matchers: [alertname=s], target_matchers: [alertname=x/b]}]\n";
    let mut stage = Stage::new(BY_NAME, inhibited);
    stage.post("+x/a +x/b");
    stage.until(2.0);
    stage.reload(SIMPLE, inhibited);
    stage.until(4.0);
    stage.post("+s");
    stage.until(7.0);
    stage.post("-x/a");
    stage.until(10.0);
    assert_eq!(open(&stage), ["{}:{}"], "x/b is muted");
    stage.post("+x/c");
    stage.until(14.0);
    stage.post("-s");
    stage.until(18.0);
    stage.reload(BY_NAME, inhibited);
    stage.until(22.0);
    check_incidents(&stage);
}

/// While the receiver hears nothing of an alert, the rest of its incident ends, and closes it.
#[test]
fn an_alert_that_an_edit_gives_back_to_a_receiver_is_told_when_its_incident_was_closed() {
    let sent_to =
        |receiver: &str| format!("{SIMPLE}, routes: [{{receiver: {receiver}, matchers: ['alertname=x/a']}}]");
    for closes in [true, false] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.post("+x/a +x/b");
        stage.until(1.0);
        stage.reload(&sent_to("other"), "");
        stage.until(4.0);
        stage.reload(&sent_to("quiet"), "");
        stage.until(8.0);
        if closes {
            stage.post("-x/b");
            stage.until(12.0);
        }
        stage.reload(&sent_to("other"), "");
        assert_eq!(stage.until(16.0).len(), usize::from(closes), "told only if it is closed");
        check_incidents(&stage);
    }
}

/// A crash leaves it unknown whether an end was told, which is no longer true.
#[test]
fn an_alert_that_fires_again_is_told_when_it_is_unknown_whether_its_end_was() {
    for was_told in [true, false] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.post("+x/a");
        stage.until(1.0);
        stage.refusing = true;
        stage.post("-x/a");
        stage.until(4.0);
        assert_eq!(stage.under_way.len(), 1);
        if was_told {
            stage.incidents.clear();
        }
        stage.crash();
        stage.post("+x/a");
        stage.until(6.0);
        stage.refusing = false;
        stage.accept();
        assert_eq!(stage.until(10.0), ["6 r +x/a"]);
        check_incidents(&stage);
    }
}

/// A group has an incident in common with one that ends, through an alert that goes elsewhere now.
#[test]
fn a_beginning_waits_for_an_end_under_way_that_closes_its_incident() {
    let other = "{receiver: other, matchers: ['alertname=~\"x/[az]\"']}";
    let quiet = "{receiver: quiet, matchers: ['alertname=x/a']}";
    let mut stage = Stage::new(SIMPLE, "");
    stage.post("+x/a +x/b");
    stage.until(1.0);
    stage.reload(&format!("{SIMPLE}, routes: [{other}]"), "");
    stage.until(4.0);
    stage.reload(&format!("{SIMPLE}, routes: [{quiet}, {other}]"), "");
    stage.until(6.0);
    stage.refusing = true;
    stage.post("-x/b");
    stage.until(9.0);
    stage.post("+x/z");
    stage.until(12.0);
    assert_eq!(stage.under_way.len(), 1, "the beginning waits");
    stage.refusing = false;
    stage.accept();
    assert_eq!(stage.until(16.0), ["12 r -x/b", "12 other +x/z"]);
    let told = stage.incidents.iter().filter(|incident| incident.starts_with("{}:"));
    assert_eq!(told.collect::<Vec<_>>(), [r#"{}:{group="x"}"#], "opened anew");
    stage.post("-x/z");
    stage.until(20.0);
    assert!(!stage.incidents.contains(r#"{}:{group="x"}"#));
}

/// Two routes tell one receiver of an alert; an edit joins them while one of their ends is told.
#[test]
fn an_end_under_way_closes_no_incident_but_its_own() {
    let twice = "{receiver: other, matchers: [group=x], continue: true}, {receiver: r}";
    let mut stage = Stage::new(&format!("{SIMPLE}, routes: [{twice}]"), "");
    stage.post("+x/a");
    stage.until(2.0);
    assert_eq!(open(&stage).len(), 2);
    stage.refusing = true;
    stage.post("-x/a");
    stage.until(4.0);
    let (_, last) = stage.under_way.pop_last().unwrap();
    let others = std::mem::take(&mut stage.under_way);
    stage.reload(SIMPLE, "");
    stage.until(5.0);
    stage.under_way.insert(last.id, last);
    stage.refusing = false;
    stage.accept();
    for id in others.into_keys() {
        stage.dispatcher.finished(id, &Finished::Stopped { may_be_taken: false }, stage.now_ms);
    }
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// The edit takes away the route that would tell the end of the second incident, while the first is closed.
#[test]
fn who_has_just_closed_an_incident_closes_the_one_that_an_edit_left() {
    let first = "{receiver: r, matchers: [group=x], continue: true}";
    let mut stage =
        Stage::new(&format!("{SIMPLE}, routes: [{first}, {{receiver: r, group_interval: 30s}}]"), "");
    stage.post("+x/a");
    stage.until(2.0);
    assert_eq!(open(&stage).len(), 2);
    stage.refusing = true;
    stage.post("-x/a");
    stage.until(4.0);
    assert_eq!(stage.under_way.len(), 1);
    stage.reload(&format!("{SIMPLE}, routes: [{first}]"), "");
    stage.refusing = false;
    stage.accept();
    stage.until(20.0);
    assert_eq!(open(&stage), [""; 0]);
}

/// The notification whose end a group waits for before it takes over from others.
fn held_up_by(stage: &Stage) -> Option<u64> {
    let outbox = &stage.dispatcher.outbox;
    outbox.ids().into_iter().find(|id| outbox.get(*id).is_some_and(|it| !it.adopters.is_empty()))
}

/// Each look is at all alerts of the group.
#[test]
fn a_group_merged_from_many_is_not_looked_through_at_each_end_of_what_they_told() {
    const GROUPS: usize = 600;
    let mut stage = Stage::new(BY_NAME, "");
    stage.refusing = true;
    stage.post(&words('+', 0..GROUPS));
    stage.until(3.0);
    assert_eq!(stage.under_way.len(), GROUPS);
    stage.dispatcher.reload(config(SIMPLE, ""), stage.now_ms);
    let looks_before = stage.dispatcher.looks;
    for (id, delivery) in std::mem::take(&mut stage.under_way) {
        assert!(held_up_by(&stage).is_some(), "not all have ended");
        note_incidents(&mut stage.incidents, &delivery.message);
        stage.dispatcher.finished(id, &Finished::Delivered, stage.now_ms);
    }
    let looks = stage.dispatcher.looks - looks_before;
    assert!(looks < GROUPS / 20, "{looks} looks for {GROUPS} ends");
    let entry = stage.dispatcher.told.get(r#"r/pagerduty/0|{}:{group="x"}"#).unwrap();
    assert_eq!((entry.open.len(), held_up_by(&stage)), (GROUPS, None), "all are taken over");
    stage.refusing = false;
    assert_eq!(stage.until(8.0), [""; 0], "nothing is told again");
    check_incidents(&stage);
}
