//! Tests of the whole store: the shared suite, comparison with the in-memory reference, crashes.

mod bounds;
mod crash;
mod damage;
mod groups;
mod merge;
mod model;
mod retention;
mod shapes;

use crate::{Logstore, LogstoreOptions, part::writer::Shape};
use disk::{Dir, Faults};
use store::{AgeLimits, LogStore, StoreError, conformance};

/// Pieces so small that tests see many chunks and frames.
const SMALL: Shape = Shape { chunk_bytes: 600, chunk_rows_max: 20, frame_bytes: 150 };

fn options() -> LogstoreOptions {
    LogstoreOptions { limits: AgeLimits::NONE, memory_bytes_max: 64 << 10, ..LogstoreOptions::default() }
}

/// Pieces of which the shared suite's larger cases still make many.
const MEDIUM: Shape = Shape { chunk_bytes: 16 << 10, chunk_rows_max: 2000, frame_bytes: 3000 };

fn try_open(dir: &Dir) -> Result<Logstore, StoreError> {
    Logstore::open_shaped(dir.clone(), options(), SMALL, 0)
}

fn open(dir: &Dir) -> Logstore {
    try_open(dir).unwrap()
}

#[test]
fn the_shared_suite_passes_in_small_pieces() {
    let place = || Dir::simulated(1, Faults::default());
    conformance::durable_log_store(place, |dir| {
        Box::new(Logstore::open_shaped(dir.clone(), options(), MEDIUM, 0).unwrap())
    });
}

#[test]
fn the_shared_suite_passes_on_disk() {
    let options = || LogstoreOptions { limits: AgeLimits::NONE, ..LogstoreOptions::default() };
    conformance::durable_log_store(
        || tempfile::tempdir().unwrap(),
        |place| Box::new(Logstore::open(Dir::real(place.path()).unwrap(), options(), 0).unwrap()),
    );
}

#[test]
fn the_shared_limits_hold() {
    conformance::log_store_limits(|limits| {
        let dir = Dir::simulated(1, Faults::default());
        let options = LogstoreOptions { limits, ..LogstoreOptions::default() };
        Box::new(Logstore::open_shaped(dir, options, SMALL, 0).unwrap())
    });
}

#[test]
fn the_index_rules_out_chunks_without_the_needle() {
    let store = open(&Dir::simulated(1, Faults::default()));
    let mut batch = ::model::LogBatch::default();
    batch.begin_with(::model::Labels::from_pairs([("app", "a")]).as_ref());
    for line in 0..1000i64 {
        let text = format!("request {line:05} from host{} took {}ms in all", line % 7, line % 90);
        batch.entry(line, &text, ::model::Labels::empty().as_ref());
    }
    store.append(&batch, None, 0).unwrap().commit.wait().unwrap();
    store.flush().unwrap();
    assert!(store.stats().chunks >= 50, "{:?}", store.stats());
    for (needle, units_max) in
        [("00777", 2), ("equest 00777 fro", 1), ("host9", 0), ("absent", 0), ("took 89ms in", 12)]
    {
        let request = store::LogRequest {
            matchers: Vec::new(),
            range: ::model::TimeRange::ALL,
            filters: vec![store::LineFilter::ContainsAny(vec![needle.into()])],
            metadata_hints: Vec::new(),
            direction: store::Direction::Forward,
        };
        let units = store.scan(&request, &store::QueryContext::default()).unwrap().units().len();
        assert!(units <= units_max, "{needle}: {units} units");
    }
}
