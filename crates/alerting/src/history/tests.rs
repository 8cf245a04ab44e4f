use super::*;
use crate::{journal::Journal, matchers::parse_matchers};

fn store(journal: &Journal, recorder: &mut Recorder) {
    let mut changes = Vec::new();
    recorder.take(&mut changes);
    journal.commit(&changes).unwrap();
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("alertname", name), ("job", "x")])
}

fn ids(journal: &Journal, filter: &EventFilter) -> Vec<u64> {
    filter.find(journal).unwrap().events.iter().map(|event| event.id).collect()
}

#[test]
fn events_are_found_newest_first_by_what_they_are_about() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let mut recorder = Recorder::default();
    for (at_ms, kind, name) in
        [(1_000, EventKind::Firing, "a"), (2_000, EventKind::Firing, "b"), (3_000, EventKind::Resolved, "a")]
    {
        recorder.record(Event::new(kind, at_ms).labels(&labels(name)));
    }
    recorder.record(Event {
        at_ms: 4_000,
        ..Event::new(EventKind::Delivered, 0).to("ops", "ops/webhook/0", "{}")
    });
    store(&journal, &mut recorder);
    let matching =
        |text: &str| EventFilter { matchers: parse_matchers(text).unwrap(), ..EventFilter::default() };
    assert_eq!(ids(&journal, &EventFilter::default()), [4, 3, 2, 1]);
    assert_eq!(ids(&journal, &matching("alertname=a")), [3, 1]);
    assert_eq!(ids(&journal, &matching("job!=x")), [0; 0], "an event without labels matches nothing");
    let alert = EventFilter { alert: Some(Fingerprint::of(&labels("b"))), ..EventFilter::default() };
    assert_eq!(ids(&journal, &alert), [2]);
    let told = EventFilter { receiver: Some("ops".into()), ..EventFilter::default() };
    assert_eq!(ids(&journal, &told), [4]);
    let firing =
        EventFilter { kinds: vec![EventKind::Firing], start_ms: Some(1_500), ..EventFilter::default() };
    assert_eq!(ids(&journal, &firing), [2]);
    let first = EventFilter { limit: 3, ..EventFilter::default() }.find(&journal).unwrap();
    assert_eq!((first.events.len(), first.next, first.oldest_ms), (3, Some(2), Some(1_000)));
    let rest = EventFilter { before: first.next, ..EventFilter::default() };
    assert_eq!(ids(&journal, &rest), [1]);
}

#[test]
fn the_oldest_events_make_room_and_numbers_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let mut recorder = Recorder::default();
    for at_ms in 0..EVENTS_MAX as i64 + 5 {
        recorder.record(Event::new(EventKind::Firing, at_ms));
    }
    store(&journal, &mut recorder);
    let bounds = journal.bounds(Table::History).unwrap().unwrap();
    let number = |text: &String| text.parse::<u64>().unwrap();
    let (first, last) = (number(&bounds.0), number(&bounds.1));
    assert_eq!((first, last), (6, EVENTS_MAX + 5));
    let mut again = Recorder::restored(Some((first, last)));
    again.record(Event::new(EventKind::Resolved, 0));
    assert_eq!(again.fresh()[0].id, EVENTS_MAX + 6);
}

#[test]
fn names_of_kinds_are_read_back() {
    for kind in [EventKind::AttemptFailed, EventKind::Firing, EventKind::ReloadRejected] {
        assert_eq!(EventKind::parse(&kind.as_str()).unwrap(), kind);
    }
    assert!(EventKind::parse("nothing").unwrap_err().to_string().contains("`given_up`"));
    let json = Event::new(EventKind::GivenUp, 1_643_114_203_250).reason("why").to_json();
    assert_eq!(
        json.to_string(),
        r#"{"at":"2022-01-25T12:36:43.250Z","at_ms":1643114203250,"id":0,"kind":"given_up","reason":"why"}"#
    );
}
