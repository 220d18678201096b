//! The `timeslip` command line.

fn main() -> std::process::ExitCode {
    timeslip::cli::main()
}
