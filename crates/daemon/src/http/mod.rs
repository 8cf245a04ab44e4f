//! HTTP in and out.

mod client;
mod patience;
mod server;
mod signature;
mod tls;

pub use client::{
    ClientOptions, ClientTls, LinkLocal, Redirects, TargetRefused, TlsVersion, check_target, client, explain,
};
pub use server::{Answering, ServerOptions, serve};
pub use signature::signature_headers;
pub use tls::{AuthoritiesError, TlsError, TlsFiles, holds_certificate, read_authorities};
