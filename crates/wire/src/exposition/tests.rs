//! Scrapes of a real node_exporter, through every format that carries metrics.

use super::{ParseOptions, Syntax, parse, write};
use crate::remote_write;
use model::{MetricBatch, format_float};
use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

/// Scrapes looked at, of the 2,400 in the file.
const SCRAPES: usize = 20;

/// The recorded scrapes, where they are at hand.
fn scrapes() -> Option<Vec<String>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var_os("BELLWETHER_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let file = std::fs::File::open(shared.join("loadgen-data/node_exporter-2400-scrapes.txt.gz")).ok()?;
    let lines = BufReader::new(flate2::read::GzDecoder::new(file).take(16 << 20)).lines();
    let mut scrapes: Vec<String> = Vec::new();
    for line in lines {
        let line = line.expect("the file is text");
        if line.starts_with("#SCRAPE") {
            scrapes.push(String::new());
            continue;
        }
        let scrape = scrapes.last_mut().expect("the file starts with a scrape's mark");
        scrape.push_str(&line);
        scrape.push('\n');
    }
    scrapes.truncate(SCRAPES);
    Some(scrapes)
}

/// Everything in a batch, in an order of its own.
fn dump(batch: &MetricBatch) -> Vec<String> {
    let mut lines: Vec<_> = batch
        .series()
        .map(|series| {
            let sample = series.samples()[0];
            // An unknown kind without help is the same as no description, and remote write has none.
            let kind = series.metadata().map_or("unknown", |(_, metadata)| metadata.kind.as_str());
            format!("{} {} {} {kind}", series.labels(), sample.timestamp_ms, format_float(sample.value))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn real_scrapes_survive_every_format() {
    let Some(scrapes) = scrapes() else {
        println!("skipped: the recorded scrapes are not at hand");
        return;
    };
    assert_eq!(scrapes.len(), SCRAPES);
    let options = ParseOptions { syntax: Syntax::Prometheus, timestamp_ms: 42, honor_timestamps: true };
    for scrape in &scrapes {
        let (mut batch, mut again) = (MetricBatch::default(), MetricBatch::default());
        let report = parse(scrape.as_bytes(), options, &mut batch).expect("the scrape parses");
        let samples = scrape.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((report.samples, report.rejected_count()), (samples as u64, 0));
        let expected = dump(&batch);

        let mut text = String::new();
        assert_eq!(write(&batch, true, &mut text), 0);
        parse(text.as_bytes(), options, &mut again).expect("what was written parses");
        assert!(dump(&again) == expected, "{scrape}");

        let mut body = Vec::new();
        remote_write::encode_v2(&batch, &mut body);
        remote_write::decode_v2(&body, &mut again).expect("what was encoded decodes");
        assert!(dump(&again) == expected, "{scrape}");
    }
}
