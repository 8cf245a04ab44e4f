//! What both binaries need of a process: configuration, logging, clock, shutdown, limits, own
//! metrics, a CPU pool, an HTTP server and an HTTP client.
//!
//! This is the only crate that reads the wall clock; everything else is told what time it is.

pub mod clock;
pub mod config;
pub mod http;
pub mod limits;
pub mod listen;
pub mod logging;
pub mod memory;
pub mod metrics;
mod pool;
mod secret;
mod seldom;
mod shutdown;

pub use listen::ListenAddress;
pub use pool::{Pool, PoolBusy};
pub use secret::{Secret, SecretError};
pub use seldom::Seldom;
pub use shutdown::Shutdown;
