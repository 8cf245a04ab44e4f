//! `bellwether`: the aggregator and the operator's command line.

use std::{io::Write, process::ExitCode};

mod allocator;

fn main() -> ExitCode {
    daemon::memory::use_small_pages();
    if let Err(error) = allocator::give_back_what_is_freed() {
        // Not `eprintln!`, which panics where nobody reads standard error.
        drop(writeln!(std::io::stderr(), "bellwether: freed memory stays with the process: {error}"));
    }
    bellwether::cli::run()
}
