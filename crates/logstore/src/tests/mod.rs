//! Tests of the whole store: the shared suite, comparison with the in-memory reference, crashes.

mod model;

use crate::{Logstore, LogstoreOptions};
use disk::{Dir, Faults};
use store::AgeLimits;

/// Options that make tests see many blocks, parts and merges.
fn small_options() -> LogstoreOptions {
    LogstoreOptions { limits: AgeLimits::NONE, memory_bytes_max: 64 << 10, ..LogstoreOptions::default() }
}

fn simulated() -> Dir {
    Dir::simulated(7, Faults::default())
}

fn open(dir: &Dir) -> Logstore {
    Logstore::open(dir.clone(), small_options(), 0).unwrap()
}
