//! HTTP in and out.

mod client;
mod server;
mod tls;

pub use client::{ClientOptions, TargetRefused, check_target, client};
pub use server::{ServerOptions, serve};
pub use tls::{TlsError, TlsFiles};
