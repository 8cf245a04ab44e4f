//! The `bellwether-agent` program.

/// Keeps memory small and steady; the system's allocator fragments under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    daemon::memory::use_small_pages();
    bellwether_agent::cli::run()
}
