//! Bits that rot: the rest is served, and the loss is told.

use super::{NOW_MS, all, floats, labels, open, put, small};
use disk::{Dir, Faults};
use store::MetricStore;

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
    let newer = meta.replacen("part 1", "part 2", 1);
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
