//! What a suite is: task selection, sandboxes and graders.
//!
//! ```text
//! SuiteFile ─► Suite ─► Task ─► Workspace ─► (the agent works) ─► Grade
//! ```
//!
//! Everything here blocks the calling thread and knows nothing of models or
//! charts. Task files, commands and whatever a command leaves behind are treated
//! as hostile.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod edit;
pub mod gold;
pub mod grade;
pub mod log_parsers;
pub mod sandbox;
pub mod steps;
pub mod suite;
pub mod verify;
pub mod workspace;

mod beneath;
mod error;

pub use error::{Error, Result};
pub use grade::{Change, Grade, Infrastructure, grade, grade_patch};
pub use sandbox::{
    Backend, Detection, Exceeded, Execution, Exit, Image, Invocation, Limits, Mount, Quota, Root,
    Sandbox,
};
pub use suite::{
    Format, GraderOptions, Quarantined, Sample, Suite, SuiteFile, SuiteLimits, Task, TaskKind,
};
pub use workspace::{Environment, Workspace};
