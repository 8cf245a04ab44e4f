use crate::{Dir, Faults};
use std::io::ErrorKind;

/// What every folder does, real or not.
pub(crate) fn exercise(dir: &Dir) {
    let mut file = dir.create("a").unwrap();
    file.write_all(b"hello ").unwrap();
    file.write_all(b"world").unwrap();
    file.sync().unwrap();
    file.truncate(5).unwrap();
    file.write_all(b"!").unwrap();
    file.syncer().sync().unwrap();
    assert_eq!((dir.read("a").unwrap(), file.len()), (b"hello!".to_vec(), 6));
    let mut again = dir.append_to("a").unwrap();
    again.write_all(b"?").unwrap();

    let open = dir.open("a").unwrap();
    let mut middle = [0; 3];
    open.read_exact_at(&mut middle, 2).unwrap();
    assert_eq!((&middle, open.len()), (b"llo", 7));
    assert_eq!(open.read_exact_at(&mut middle, 5).unwrap_err().kind(), ErrorKind::UnexpectedEof);

    dir.write_atomic("b", b"one").unwrap();
    dir.write_atomic("b", b"two").unwrap();
    let tmp = dir.sub("part.tmp").unwrap();
    tmp.create("x").unwrap().sync().unwrap();
    dir.publish("part.tmp", "part").unwrap();
    assert_eq!(dir.list().unwrap(), ["a", "b", "part"]);
    assert_eq!(dir.sub("part").unwrap().list().unwrap(), ["x"]);
    assert_eq!(dir.bytes_used().unwrap(), 10);

    dir.remove("a").unwrap();
    open.read_exact_at(&mut middle, 0).unwrap();
    dir.remove_all("part").unwrap();
    dir.sync_dir().unwrap();
    assert_eq!(dir.list().unwrap(), ["b"]);
    assert_eq!(dir.remove("a").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(dir.open("../b").err().unwrap().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_simulated_folder_does_what_its_interface_says() {
    exercise(&Dir::simulated(1, Faults::default()));
}

#[test]
fn a_crash_keeps_what_was_synced_and_tears_the_rest() {
    let (mut lost, mut torn, mut kept) = (0, 0, 0);
    for seed in 0..100 {
        let dir = Dir::simulated(seed, Faults::default());
        let mut file = dir.create("a").unwrap();
        file.write_all(b"durable").unwrap();
        file.sync().unwrap();
        dir.sync_dir().unwrap();
        file.write_all(b" volatile").unwrap();
        let after = dir.crash();
        let bytes = after.read("a").unwrap();
        assert!(bytes.starts_with(b"durable"), "seed {seed}: {bytes:?}");
        match bytes.len() {
            7 => lost += 1,
            16 => kept += 1,
            _ => torn += 1,
        }
        assert!(file.sync().is_err() && dir.list().is_err(), "handles of a dead process fail");
    }
    assert!(lost > 5 && torn > 5 && kept > 5, "{lost} {torn} {kept}");
}

#[test]
fn names_are_lost_unless_the_folder_was_synced() {
    let survived = |sync: bool| {
        (0..50)
            .filter(|&seed| {
                let dir = Dir::simulated(seed, Faults::default());
                dir.create("a").unwrap().sync().unwrap();
                if sync {
                    dir.sync_dir().unwrap();
                }
                dir.crash().open("a").is_ok()
            })
            .count()
    };
    assert_eq!(survived(true), 50);
    assert!((5..45).contains(&survived(false)));
}

#[test]
fn atomic_writes_show_the_old_or_the_new_bytes() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..200 {
        let dir = Dir::simulated(seed, Faults::default());
        dir.write_atomic("a", b"old").unwrap();
        dir.set_faults(Faults { halt_at_operation: Some(seed % 7 + 1), ..Faults::default() });
        let finished = dir.write_atomic("a", b"new").is_ok();
        match dir.crash().read("a").unwrap().as_slice() {
            b"old" => {
                assert!(!finished);
                old += 1;
            }
            b"new" => new += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(old > 20 && new > 20);
}

#[test]
fn faults_strike_where_they_were_told_to() {
    let dir = Dir::simulated(3, Faults { capacity_bytes: Some(10), ..Faults::default() });
    let mut file = dir.create("a").unwrap();
    file.write_all(&[1; 8]).unwrap();
    assert_eq!(file.write_all(&[1; 8]).unwrap_err().kind(), ErrorKind::StorageFull);
    dir.set_faults(Faults { full_at_write: Some(2), fail_at_sync: Some(1), ..Faults::default() });
    file.write_all(b"x").unwrap();
    assert_eq!(file.write_all(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_all(b"x").unwrap();
    assert!(file.sync().is_err());
    file.sync().unwrap();
    let held = dir.lock().unwrap();
    assert_eq!(dir.lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    dir.flip_bit("a", 0);
    assert_eq!(dir.read("a").unwrap()[0], 0);
}
