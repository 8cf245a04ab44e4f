//! What cross-process tests share: the real binaries as children on loopback, a client, patience,
//! and visible skips.
//!
//! Children are ended by their own process id when dropped. Folders are temporary.

mod certificates;
mod child;
mod client;
mod sinks;
mod tools;

pub use certificates::Certificates;
pub use child::{Agent, Aggregator, Spawned, free_port, repository_root, run_binary, spawn_binary};
pub use client::{Client, eventually};
pub use sinks::{Delivery, MailSink, WebhookSink};
pub use tools::{find_tool, shared_dir, skip};
