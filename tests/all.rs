//! One binary for all cross-process tests: a link is the slowest step of a build.

mod api;
mod e2e;
mod tidy;
