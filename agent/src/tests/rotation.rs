//! Files that are renamed, truncated, copied, removed and left half written.

use super::{
    delivery::{append, numbered, start},
    receiver::{Answer, Receiver},
};
use crate::{SourceConfig, StageConfig};
use std::{fs, io::Write, path::PathBuf, time::Duration};

struct Scene {
    folder: tempfile::TempDir,
    receiver: Receiver,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        Scene { folder, receiver: Receiver::start().await }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn rename(&self, from: &str, to: &str) {
        #[allow(clippy::disallowed_methods, reason = "rotates as logrotate does")]
        fs::rename(self.path(from), self.path(to)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renaming_loses_splits_and_reorders_nothing() {
    let scene = Scene::new().await;
    let log = scene.path("a.log");
    let running = start(scene.receiver.config(scene.folder.path())).await;
    for generation in 0..5 {
        let from = generation * 200;
        append(&log, &numbered(from, from + 100));
        tokio::time::sleep(Duration::from_millis(400 + 40 * generation as u64)).await;
        let mut late = fs::OpenOptions::new().append(true).open(&log).unwrap();
        scene.rename("a.log", &format!("a.log.{generation}"));
        // The program goes on writing to the file that was renamed under it, half a line first.
        write!(late, "line {:0>6}", from + 100).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        writeln!(late).unwrap();
        late.write_all(numbered(from + 101, from + 200).join("\n").as_bytes()).unwrap();
        writeln!(late).unwrap();
    }
    scene.receiver.wait_for_lines(1000).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(0, 1000));
    assert_eq!(scene.receiver.stored().lines.keys().collect::<Vec<_>>(), ["a.log"], "one stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_during_an_outage_is_read_to_its_end_and_in_order() {
    let scene = Scene::new().await;
    let log = scene.path("a.log");
    *scene.receiver.outage.lock().unwrap() = Some(Answer::Status(503));
    let running = start(scene.receiver.config(scene.folder.path())).await;
    for generation in 0..3 {
        append(&log, &numbered(generation * 100, generation * 100 + 100));
        tokio::time::sleep(Duration::from_millis(400)).await;
        scene.rename("a.log", &format!("a.log.{generation}"));
    }
    append(&log, &numbered(300, 400));
    tokio::time::sleep(Duration::from_millis(400)).await;
    *scene.receiver.outage.lock().unwrap() = None;
    scene.receiver.wait_for_lines(400).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(0, 400));
    let stored = scene.receiver.stored();
    let mut by_time = stored.lines["a.log"].clone();
    by_time.sort();
    let lines: Vec<String> = by_time.into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, numbered(0, 400), "times follow the order of writing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_while_the_agent_is_down_is_found_again() {
    let scene = Scene::new().await;
    let log = scene.path("a.log");
    append(&log, &numbered(0, 50));
    let running = start(scene.receiver.config(scene.folder.path())).await;
    scene.receiver.wait_for_lines(50).await;
    running.stop().await;
    append(&log, &numbered(50, 100));
    scene.rename("a.log", "a.log.1");
    append(&log, &numbered(100, 150));
    let running = start(scene.receiver.config(scene.folder.path())).await;
    scene.receiver.wait_for_lines(150).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(0, 150));
}

#[tokio::test(flavor = "multi_thread")]
async fn truncation_begins_anew_even_when_the_file_is_longer_than_before() {
    let scene = Scene::new().await;
    let log = scene.path("a.log");
    append(&log, &numbered(0, 10));
    let running = start(scene.receiver.config(scene.folder.path())).await;
    scene.receiver.wait_for_lines(10).await;
    // As copytruncate does it, and then faster than anybody looks.
    fs::copy(&log, scene.path("a.copy")).unwrap();
    fs::write(&log, "").unwrap();
    append(&log, &numbered(10, 100));
    scene.receiver.wait_for_lines(100).await;
    fs::write(&log, "").unwrap();
    append(&log, &numbered(100, 103));
    scene.receiver.wait_for_lines(103).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(0, 103));
}

#[tokio::test(flavor = "multi_thread")]
async fn copytruncate_during_an_outage_goes_on_in_the_copy() {
    let scene = Scene::new().await;
    let log = scene.path("a.log");
    let mut config = scene.receiver.config(scene.folder.path());
    config.logs.sources[0].paths = vec![scene.path("a.log*").display().to_string()];
    append(&log, &numbered(0, 50));
    let running = start(config).await;
    scene.receiver.wait_for_lines(50).await;
    *scene.receiver.outage.lock().unwrap() = Some(Answer::Status(503));
    for generation in 1..4 {
        append(&log, &numbered(generation * 50, generation * 50 + 50));
        tokio::time::sleep(Duration::from_millis(500)).await;
        fs::copy(&log, scene.path(&format!("a.log.{generation}"))).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        fs::write(&log, "").unwrap();
    }
    append(&log, &numbered(200, 210));
    tokio::time::sleep(Duration::from_millis(400)).await;
    *scene.receiver.outage.lock().unwrap() = None;
    scene.receiver.wait_for_lines(210).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(0, 210));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_file_that_still_matches_is_not_read_again() {
    let scene = Scene::new().await;
    let mut config = scene.receiver.config(scene.folder.path());
    config.logs.sources[0].paths = vec![scene.path("a.log*").display().to_string()];
    append(&scene.path("a.log"), &numbered(0, 50));
    let running = start(config.clone()).await;
    scene.receiver.wait_for_lines(50).await;
    scene.rename("a.log", "a.log.1");
    append(&scene.path("a.log"), &numbered(50, 60));
    scene.receiver.wait_for_lines(60).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // The chain goes on after the file has been read to its end.
    scene.rename("a.log.1", "a.log.2");
    tokio::time::sleep(Duration::from_millis(800)).await;
    running.stop().await;
    scene.rename("a.log.2", "a.log.3");
    let running = start(config).await;
    append(&scene.path("a.log"), &numbered(60, 70));
    scene.receiver.wait_for_lines(70).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(0, 70));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_line_is_shipped_when_it_is_whole_or_its_file_is_finished() {
    let scene = Scene::new().await;
    let log = scene.path("a.log");
    let running = start(scene.receiver.config(scene.folder.path())).await;
    append(&log, &numbered(0, 1));
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    write!(file, "line 00").unwrap();
    scene.receiver.wait_for_lines(1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(scene.receiver.lines(), numbered(0, 1));
    write!(file, "0001\nline 000002").unwrap();
    scene.receiver.wait_for_lines(2).await;
    fs::remove_file(&log).unwrap();
    scene.receiver.wait_for_lines(3).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_long_before_the_first_start_is_not_shown_as_new() {
    let scene = Scene::new().await;
    let (old, new) = (scene.path("old.log"), scene.path("new.log"));
    append(&old, &numbered(0, 10));
    append(&new, &numbered(10, 20));
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::OpenOptions::new().append(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    let running = start(scene.receiver.config(scene.folder.path())).await;
    scene.receiver.wait_for_lines(10).await;
    append(&old, &numbered(20, 21));
    scene.receiver.wait_for_lines(11).await;
    running.stop().await;
    assert_eq!(scene.receiver.lines(), numbered(10, 21));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lines_long_lines_and_broken_bytes() {
    let scene = Scene::new().await;
    let log = scene.path("a.log");
    append(&log, &numbered(0, 50_000));
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&[b"x".repeat(2 << 20), b"\n\xff\xfe broken\n\n".to_vec()].concat()).unwrap();
    append(&log, &numbered(50_000, 50_010));
    let mut config = scene.receiver.config(scene.folder.path());
    config.logs.sources[0].from = crate::StartAt::Beginning;
    let running = start(config).await;
    scene.receiver.wait_for_lines(50_013).await;
    let counters = running.handle.counters.clone();
    running.stop().await;
    let lines = scene.receiver.lines();
    assert_eq!(lines.len(), 50_013);
    assert_eq!(lines.iter().filter(|line| line.starts_with("line ")).count(), 50_010);
    assert!(lines.contains(&"\u{fffd}\u{fffd} broken".to_owned()) && lines.contains(&String::new()));
    assert!(lines.contains(&"x".repeat(crate::tail::LINE_BYTES_MAX)));
    let counters = counters.destination(&counters.names()[0]);
    assert_eq!((counters.lines_truncated.get(), counters.lines_not_utf8.get()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_filter_and_redact_and_offsets_still_advance() {
    let scene = Scene::new().await;
    let stage = |drop: Option<&str>, redact: Option<&str>| StageConfig {
        drop: drop.map(str::to_owned),
        keep: None,
        redact: redact.map(str::to_owned),
        replacement: None,
    };
    let mut config = scene.receiver.config(scene.folder.path());
    config.logs.sources = vec![SourceConfig {
        paths: vec![scene.path("*.log").display().to_string()],
        stages: vec![stage(Some("DEBUG"), None), stage(None, Some("secret"))],
        ..SourceConfig::default()
    }];
    append(&scene.path("a.log"), &["DEBUG one".into(), "a secret".into()]);
    append(&scene.path("b.log"), &["DEBUG only".into()]);
    let running = start(config.clone()).await;
    scene.receiver.wait_for_lines(1).await;
    let counters = running.handle.counters.clone();
    running.stop().await;
    assert_eq!(scene.receiver.lines(), ["a <redacted>"]);
    assert_eq!(counters.destination(&counters.names()[0]).lines_filtered.get(), 2);
    let running = start(config).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = running.handle.counters.clone();
    running.stop().await;
    assert_eq!(
        again.destination(&again.names()[0]).lines_filtered.get(),
        0,
        "filtered lines are not read again"
    );
}
