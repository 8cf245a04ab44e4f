//! The `bellwether-agent` program.

mod allocator;

fn main() -> std::process::ExitCode {
    daemon::memory::use_small_pages();
    allocator::give_back_at_once();
    bellwether_agent::cli::run()
}
