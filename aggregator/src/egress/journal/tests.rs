use super::*;
use disk::Faults;
use model::Labels;

fn open(dir: &Dir, bytes_max: u64) -> (Journal, Counter) {
    let lost = Counter::default();
    let follower = |key: &str, lost: &Counter| Follower { key: key.to_owned(), lost: lost.clone() };
    let followers = vec![follower("a", &lost), follower("b", &Counter::default())];
    (Journal::open(dir.clone(), bytes_max, followers).unwrap(), lost)
}

fn put(journal: &Journal, at_ms: i64, count: i64) {
    let mut batch = MetricBatch::default();
    batch.begin_with(Labels::from_pairs([("__name__", "m")]).as_ref());
    for i in 0..count {
        batch.sample(at_ms + i, 0, (at_ms + i) as f64 * 1.7);
    }
    journal.append(&batch, at_ms).unwrap().wait().unwrap();
}

/// The next record's first time and the place behind it.
fn next(reader: &mut JournalReader) -> Option<(i64, Position, u64)> {
    let (mut payload, mut batch) = (Vec::new(), MetricBatch::default());
    let (after, head) = reader.next(&mut payload, &mut batch).unwrap()?;
    let first = batch.series().next().unwrap().samples()[0];
    assert_eq!(first.value, first.timestamp_ms as f64 * 1.7);
    Some((first.timestamp_ms, after, head.samples))
}

#[test]
fn each_endpoint_goes_at_its_own_pace_and_over_starts() {
    let dir = Dir::simulated(3, Faults::default());
    let (journal, _) = open(&dir, 1 << 20);
    for at_ms in [1000, 2000, 3000] {
        put(&journal, at_ms, 5);
    }
    let mut reader = journal.reader("a");
    let (first, after, samples) = next(&mut reader).unwrap();
    assert_eq!((first, samples), (1000, 5));
    journal.advance("a", after, samples);
    journal.save("a").unwrap();
    assert_eq!((journal.pending_samples("a"), journal.pending_samples("b")), (10, 15));
    drop((reader, journal));

    let (journal, _) = open(&dir, 1 << 20);
    put(&journal, 4000, 1);
    assert_eq!((journal.pending_samples("a"), journal.pending_samples("b")), (11, 16));
    let mut reader = journal.reader("a");
    let times: Vec<i64> = std::iter::from_fn(|| next(&mut reader)).map(|(at_ms, ..)| at_ms).collect();
    assert_eq!(times, [2000, 3000, 4000]);
    for key in ["a", "b"] {
        let mut reader = journal.reader(key);
        while let Some((_, after, samples)) = next(&mut reader) {
            journal.advance(key, after, samples);
        }
        journal.save(key).unwrap();
        assert_eq!(journal.pending_samples(key), 0);
    }
    assert_eq!(journal.log.oldest_segment(), journal.log.newest_segment(), "what all have had is dropped");
}

#[test]
fn a_full_journal_drops_the_oldest_and_counts_it() {
    let dir = Dir::simulated(4, Faults::default());
    let (journal, lost) = open(&dir, 16 << 10);
    for i in 0..100 {
        put(&journal, i * 1000, 50);
    }
    assert!(journal.bytes() <= 16 << 10, "{}", journal.bytes());
    let mut reader = journal.reader("a");
    let mut read = 0;
    while let Some((_, after, samples)) = next(&mut reader) {
        read += samples;
        journal.advance("a", after, samples);
    }
    assert_eq!(read + lost.get(), 5000);
    assert!(lost.get() > 0 && read > 0);
    assert_eq!(journal.pending_samples("a"), 0);
}

#[test]
fn a_new_endpoint_begins_now_and_a_forgotten_one_leaves_nothing() {
    let dir = Dir::simulated(5, Faults::default());
    let (journal, _) = open(&dir, 1 << 20);
    put(&journal, 1, 1);
    drop(journal);
    let follower = Follower { key: "c".to_owned(), lost: Counter::default() };
    let journal = Journal::open(dir.clone(), 1 << 20, vec![follower]).unwrap();
    assert_eq!(journal.pending_samples("c"), 0);
    assert_eq!(next(&mut journal.reader("c")), None);
    put(&journal, 2, 1);
    assert_eq!(next(&mut journal.reader("c")).unwrap().0, 2);
    let names = dir.list().unwrap();
    let cursors: Vec<_> = names.iter().filter(|name| name.starts_with("cursor-")).collect();
    assert_eq!(cursors, ["cursor-c"]);
}
