//! The `timeslip` command line.

/// Every thread allocates from pages of its own: what measures never waits for a lock that
/// set-up, grading or rendering holds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    timeslip::cli::main()
}
