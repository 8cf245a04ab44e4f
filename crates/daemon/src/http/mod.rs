//! HTTP in and out.

mod client;
mod server;

pub use client::{ClientOptions, TargetRefused, check_target, client};
pub use server::{ServerOptions, serve};
