//! Exit codes, part of the public interface.

/// The command did its job.
pub const PASS: u8 = 0;
/// Something unexpected failed.
pub const UNEXPECTED: u8 = 1;
/// Usage or configuration: nothing was measured, correct the input and repeat.
pub const USAGE: u8 = 2;
/// Nothing ran: the plan was empty.
pub const NOTHING_RAN: u8 = 4;
/// The data are invalid or incomplete, or a gate cannot decide from them.
pub const INVALID: u8 = 5;
/// A gate found a regression.
pub const REGRESSION: u8 = 100;
/// Interrupted by the user; `--resume` carries on.
pub const INTERRUPTED: u8 = 130;
