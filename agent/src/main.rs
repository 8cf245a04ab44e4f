//! The `bellwether-agent` program.

/// Keeps memory small and steady; the system's allocator fragments under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    bellwether_agent::cli::run()
}
