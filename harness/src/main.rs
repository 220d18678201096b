//! The `timeslip` command line.
fn main() {}
