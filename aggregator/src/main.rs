//! `bellwether`: the aggregator and the operator's command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    daemon::memory::use_small_pages();
    bellwether::cli::run()
}
