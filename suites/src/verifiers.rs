//! How results are judged.
//!
//! # What a verdict is worth
//! The agent never sees the hidden tests, and nothing it started is alive while
//! they run. But they run its code, in the same sandbox: a program that was
//! written to deceive can print result lines or write a reward file, as it can
//! upstream. What is closed here: a patch is graded on a fresh checkout, so planted
//! configuration, hooks and build products are gone; a forged end marker only adds to
//! what is read; a verifier that was killed gives no verdict.

mod act_check;
mod evaluation_script;
mod patch;
mod pytest_summary;
mod result_parser;
mod reward_file;
mod runner_summary;
mod separate;
mod test_patch;
mod test_script;
mod verdict_guard;

pub(crate) use act_check::LastCheck;
pub use act_check::{check_act, grade_of};
pub(crate) use evaluation_script::EvaluationScript;
pub(crate) use result_parser::ResultParser;
pub(crate) use separate::Separate;
pub(crate) use test_script::{RewardTold, TestScript};
