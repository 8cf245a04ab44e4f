//! `bellwether`: the aggregator and the operator's command line.

use std::process::ExitCode;

mod allocator;

fn main() -> ExitCode {
    daemon::memory::use_small_pages();
    if let Err(error) = allocator::give_back_what_is_freed() {
        eprintln!("bellwether: freed memory stays with the process: {error}");
    }
    bellwether::cli::run()
}
