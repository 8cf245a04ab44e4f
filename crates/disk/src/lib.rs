//! The only crate that touches the file system for stored data.
//!
//! * [`Dir`] is a folder: real, or simulated in memory with seeded faults and crashes, so that
//!   every store can be tested against torn writes, full disks and lost folder entries.
//! * [`Log`] is a segmented append-only log with checksums and group commit.
//! * [`Faults`] says what goes wrong in a simulated folder.
//!
//! Everything is synchronous. Names are single components of `[A-Za-z0-9._-]`, so nothing that
//! came from the network can lead out of a folder.

mod dir;
mod log;
mod lost;
mod name;
mod real;
mod simulated;

pub use dir::{Dir, DirLock, ReadFile, Syncer, TMP_SUFFIX, WriteFile};
pub use log::{Gap, Log, LogError, LogOptions, LogReader, Position, RECORD_BYTES_MAX, Recovery};
pub use lost::is_lost;
pub use simulated::Faults;
