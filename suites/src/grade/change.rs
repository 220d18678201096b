//! What an agent changed in a repository, as a patch.

use super::Grade;
use crate::{Limits, Result, Sandbox, Task, Workspace};

/// The largest change that is graded.
const PATCH_BYTES: usize = 4 * 1024 * 1024;

/// Everything since the base commit, new files too. The agent may have planted
/// configuration that runs programs, which is why this happens inside, and
/// settings that change the format, which are overridden.
const DIFF: &str = "git -c core.fsmonitor=false -c core.quotePath=true add -A 2>/dev/null; \
    git -c core.fsmonitor=false --no-pager diff --cached --binary --no-color --no-ext-diff \
    --no-textconv --src-prefix=a/ --dst-prefix=b/ ";

/// Takes the change since `base`, or since the state that its image had, from a workspace
/// and has it graded.
pub(super) fn graded(
    task: &Task,
    base: &str,
    workspace: &Workspace,
    sandbox: &Sandbox,
    grade_patch: impl FnOnce(&[u8]) -> Result<Grade>,
) -> Result<Grade> {
    let limits = Limits {
        wall: task.verifier_timeout,
        output_bytes: PATCH_BYTES,
        memory_mb: task.memory_mb,
    };
    let base = workspace.starts_at(base);
    let diff = format!("{DIFF}{base} 2>/dev/null");
    let execution = sandbox.run(&workspace.invocation(&diff, limits))?;
    if execution.output_total_bytes > PATCH_BYTES as u64 {
        return Ok(Grade::unresolved(format!(
            "the change is larger than {PATCH_BYTES} bytes"
        )));
    }
    if !execution.succeeded() {
        return Ok(Grade::unresolved(format!(
            "the repository was left in a state in which git finds no change ({:?})",
            execution.exit
        )));
    }
    Ok(Grade {
        patch: Some(execution.text()),
        ..grade_patch(&execution.output)?
    })
}
