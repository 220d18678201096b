//! What a suite is: task selection, sandboxes and graders.
//!
//! ```text
//! SuiteFile ─► Format ─► Task ─► Workspace ─► (the agent works) ─► Verifier ─► Grade
//! ```
//!
//! Everything here blocks the calling thread and knows nothing of models or
//! charts. Task files, commands and whatever a command leaves behind are treated
//! as hostile.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod formats;
pub mod grade;
pub mod log_parsers;
pub mod sandbox;
pub mod solution;
pub mod steps;
pub mod suite;
pub mod task;
pub mod verify;
pub mod workspace;

mod error;
mod path_guard;
mod starts;
mod verifiers;

pub use error::{Error, Result};
pub use grade::{Grade, Infrastructure, PatchStatus};
pub use path_guard::PathRefusal;
pub use sandbox::{
    BACKENDS, Backend, Cancel, Capabilities, Detection, DiskQuota, Exceeded, Execution, Exit,
    Image, Invocation, Limits, Mount, Quota, Root, Sandbox,
};
pub use steps::{grade, grade_patch};
pub use suite::{Quarantined, Suite, SuiteFile, SuiteLimits, TaskSample};
pub use task::{GraderOptions, Task};
pub use verifiers::{check_act, grade_of};
pub use workspace::{TaskEnvironment, Workspace, WorkspaceSpec};
