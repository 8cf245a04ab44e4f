//! Bits that rot: the rest is served, and the loss is told.

use super::{NOW_MS, all, floats, labels, open, put, small};
use disk::{Dir, Faults};
use model::{Matcher, TimeRange};
use store::{MetricStore, QueryContext};

fn filled() -> (Dir, usize) {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, small());
    let mut total = 0;
    for day in 0..3 {
        for job in 0..3 {
            let samples = (0..200).map(|i| (NOW_MS + day * 86_400_000 + i * 1000, (i * i) as f64));
            put(&store, &floats(&labels("m", &format!("job-{job}")), samples));
            total += 200;
        }
    }
    store.flush().unwrap();
    (dir, total)
}

fn count(store: &dyn MetricStore) -> usize {
    all(store).iter().map(|(_, samples)| samples.len()).sum()
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed_and_the_rest_is_served() {
    let (whole, total) = filled();
    let parts = whole.sub("parts").unwrap();
    let names = parts.list().unwrap();
    let files = [("data", 97), ("index", 53), ("meta", 31)];
    for (file, step) in files {
        let length = parts.sub(&names[0]).unwrap().read(file).unwrap().len();
        // The first eight bytes of `data` are a mark for people, which nothing reads back.
        for byte in (8..length as u64).step_by(step) {
            let (dir, _) = filled();
            let part = dir.sub("parts").unwrap().sub(&names[0]).unwrap();
            part.flip_bit(file, byte * 8 + byte % 8);
            let store = open(&dir, small());
            let served = count(&store);
            assert!(served >= total * 6 / 9 && served < total, "{file} byte {byte}: {served} of {total}");
            store.maintain(NOW_MS).unwrap();
            assert!(!store.stats().damage.is_empty(), "{file} byte {byte} was not told");
        }
    }
}

#[test]
fn a_part_of_a_newer_release_is_not_touched() {
    let (dir, _) = filled();
    let parts = dir.sub("parts").unwrap();
    let name = parts.list().unwrap()[0].clone();
    let meta = String::from_utf8(parts.sub(&name).unwrap().read("meta").unwrap()).unwrap();
    let newer = meta.replacen("part 2", "part 3", 1);
    parts.sub(&name).unwrap().write_atomic("meta", newer.as_bytes()).unwrap();
    assert!(crate::Tsdb::open(dir.clone(), small(), NOW_MS).is_err());
    assert!(parts.list().unwrap().contains(&name));
}

#[test]
fn a_part_with_a_missing_file_is_set_aside() {
    for file in ["data", "index", "meta"] {
        let (dir, total) = filled();
        let parts = dir.sub("parts").unwrap();
        let name = parts.list().unwrap()[0].clone();
        parts.sub(&name).unwrap().remove(file).unwrap();
        let store = open(&dir, small());
        assert!(!store.stats().damage.is_empty(), "{file}");
        let served = count(&store);
        assert!(served >= total * 6 / 9 && served < total, "{file}: {served} of {total}");
        put(&store, &floats(&labels("m", "job-0"), [(NOW_MS - 1, 1.0)]));
    }
}

/// An index rots while the store runs: queries and merges go on with the rest.
#[test]
fn a_part_whose_index_is_lost_is_set_aside_without_a_restart() {
    let (dir, total) = filled();
    let store = open(&dir, small());
    let parts = dir.sub("parts").unwrap();
    let name = parts.list().unwrap()[0].clone();
    parts.sub(&name).unwrap().flip_bit("index", 300);
    let served = count(&store);
    assert!(served >= total * 6 / 9 && served < total, "{served} of {total}");
    // Of the same day, so that upkeep merges it with what is left.
    put(&store, &floats(&labels("m", "job-0"), [(NOW_MS - 1, 1.0)]));
    store.flush().unwrap();
    for _ in 0..20 {
        store.maintain(NOW_MS + 10 * 86_400_000).unwrap();
    }
    assert_eq!(count(&store), served + 1);
    let names = parts.list().unwrap();
    assert!(names.contains(&format!("{name}.damaged")), "{names:?}");
    assert_eq!(store.stats().parts as usize, names.len() - 1);
    assert!(store.stats().damage.iter().any(|line| line.contains("index")), "{:?}", store.stats().damage);
}

/// Retention may drop a part between a query's first look at it and its last.
#[test]
fn a_part_that_is_dropped_under_a_query_is_read_to_the_end() {
    let (dir, total) = filled();
    let store = open(&dir, small());
    let view = store.view();
    let ids: Vec<u64> = view.parts.iter().map(crate::part::Part::id).collect();
    store.drop_parts(&mut crate::store_impl::lock(&store.maintenance), &ids);
    assert_eq!((count(&store), dir.sub("parts").unwrap().list().unwrap().len()), (0, 0));
    let mut found = 0;
    for part in view.parts.iter() {
        for series in part.matching(&[], &QueryContext::default()).unwrap() {
            let mut samples = model::Samples::default();
            part.listing().unwrap().read(series, TimeRange::ALL, &mut samples).unwrap();
            found += samples.len();
        }
        assert!(!part.is_damaged());
    }
    assert_eq!(found, total);
}

#[test]
fn a_file_on_blocks_that_cannot_be_read_sets_its_part_aside() {
    for file in ["meta", "deleted", "index", "data"] {
        let (dir, total) = filled();
        dir.set_faults(Faults { unreadable: Some(file), ..Faults::default() });
        let store = open(&dir, small());
        assert_eq!(count(&store), 0, "{file}");
        assert_eq!(store.stats().damage.len(), 3, "{file}: {:?}", store.stats().damage);
        put(&store, &floats(&labels("m", "job-0"), [(NOW_MS - 1, 1.0)]));
        drop(store);
        dir.set_faults(Faults::default());
        let parts = dir.sub("parts").unwrap();
        for name in parts.list().unwrap() {
            parts.rename(&name, name.strip_suffix(".damaged").unwrap()).unwrap();
        }
        assert_eq!(count(&open(&dir, small())), total + 1, "{file}: they were kept");
    }
}

#[test]
fn a_name_that_a_damaged_part_has_taken_is_in_nobodys_way() {
    let (dir, total) = filled();
    let parts = dir.sub("parts").unwrap();
    for name in parts.list().unwrap() {
        parts.sub(&name).unwrap().flip_bit("meta", 400);
    }
    let store = open(&dir, small());
    let aside = parts.list().unwrap();
    assert!(aside.iter().all(|name| name.ends_with(".damaged")), "{aside:?}");
    put(&store, &floats(&labels("m", "job-0"), [(NOW_MS - 1, 1.0)]));
    store.flush().unwrap();
    drop(store);
    let fresh = parts.list().unwrap().into_iter().find(|name| !name.ends_with(".damaged")).unwrap();
    let newest = aside.iter().map(|name| name.trim_end_matches(".damaged")).max().unwrap();
    assert!(fresh.as_str() > newest, "the ids of parts that were set aside are not taken again");
    // As a release that did take them again has left it.
    parts.rename(&fresh, newest).unwrap();
    parts.sub(newest).unwrap().flip_bit("meta", 400);
    for _ in 0..2 {
        assert_eq!(count(&open(&dir, small())), 0, "of {total}");
    }
    assert_eq!(parts.list().unwrap().len(), aside.len() + 1, "all are kept");
}

#[test]
fn a_flipped_bit_in_a_list_of_deletions_sets_its_part_aside() {
    let (whole, _) = filled();
    let store = open(&whole, small());
    let range = TimeRange::new(NOW_MS, NOW_MS + 5_000);
    store.delete(&[vec![Matcher::equal("job", "job-1")]], range).unwrap();
    let total = count(&store);
    drop(store);
    let parts = whole.sub("parts").unwrap();
    let has_list = |name: &String| parts.sub(name).unwrap().read("deleted").is_ok();
    let name = parts.list().unwrap().into_iter().find(has_list).unwrap();
    let part = parts.sub(&name).unwrap();
    let length = part.read("deleted").unwrap().len() as u64;
    for byte in (0..length).step_by(3) {
        part.flip_bit("deleted", byte * 8 + byte % 8);
        let store = open(&whole, small());
        let served = count(&store);
        assert!(served < total, "byte {byte}: deleted samples must not come back");
        assert!(!store.stats().damage.is_empty(), "byte {byte} was not told");
        drop(store);
        // Back as it was, for the next byte.
        parts.rename(&format!("{name}.damaged"), &name).unwrap();
        part.flip_bit("deleted", byte * 8 + byte % 8);
        assert_eq!(count(&open(&whole, small())), total);
    }
}

#[test]
fn a_flipped_bit_in_the_log_costs_its_record_and_is_told() {
    let fill = || {
        let dir = Dir::simulated(1, Faults::default());
        let store = open(&dir, small());
        for i in 0..20 {
            put(&store, &floats(&labels("m", "a"), [(NOW_MS + i, i as f64 / 3.0)]));
        }
        dir
    };
    let whole = fill();
    let segment = whole.sub("wal").unwrap().list().unwrap()[0].clone();
    let length = whole.sub("wal").unwrap().read(&segment).unwrap().len() as u64;
    for byte in (0..length).step_by(37) {
        let dir = fill();
        dir.sub("wal").unwrap().flip_bit(&segment, byte * 8 + byte % 8);
        // A header of another version is refused whole, so that a newer release's log is safe.
        let Ok(store) = crate::Tsdb::open(dir, small(), NOW_MS) else { continue };
        let (served, damage) = (count(&store), store.stats().damage);
        // The last record of a log may have been cut by a crash, which is no damage.
        assert!(served >= 19 || !damage.is_empty(), "byte {byte}: {served} samples, nothing told");
        for (_, samples) in all(&store) {
            let is_known = |(at, value): (&i64, &f64)| *value == (at - NOW_MS) as f64 / 3.0;
            assert!(samples.timestamps_ms.iter().zip(&samples.values).all(is_known), "byte {byte}");
        }
        put(&store, &floats(&labels("m", "a"), [(NOW_MS + 100, 1.0)]));
    }
}
