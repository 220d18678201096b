//! What an agent changed in a repository, as a patch.

use std::fs;
use std::path::Path;

use crate::grade::{Infrastructure, PatchStatus, last_lines};
use crate::task::{PatchAttempt, StepAttempt};
use crate::{Error, Grade, Limits, Result, Workspace};

/// The largest change that is graded.
const PATCH_BYTES: usize = 4 * 1024 * 1024;

/// Everything since the base commit, new files too. The agent may have planted hooks and
/// configuration that run programs, which is why this happens inside, and
/// settings that change the format, which are overridden.
const DIFF: &str = "git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false \"$@\"; }; \
    git -c core.quotePath=true add -A 2>/dev/null; \
    git --no-pager diff --cached --binary --no-color --no-ext-diff \
    --no-textconv --src-prefix=a/ --dst-prefix=b/ ";

/// Takes the change since `base`, or since the state that its image had, from a workspace
/// and has it graded.
pub(super) fn taken(
    attempt: &StepAttempt<'_>,
    base: &str,
    grade: impl FnOnce(&PatchAttempt<'_>) -> Result<Grade>,
) -> Result<Grade> {
    let StepAttempt {
        task,
        step,
        workspace,
        sandbox,
    } = *attempt;
    let limits = Limits {
        wall: step.verifier_time,
        output_bytes: PATCH_BYTES,
        memory_mb: task.workspace.needs.memory_mb,
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
    let grade = grade(&PatchAttempt {
        task,
        step,
        patch: Some(&execution.output),
        place: workspace.directory(),
        sandbox,
    })?;
    Ok(Grade {
        patch: Some(execution.text()),
        ..grade
    })
}

/// Applies a patch in a fresh workspace with the command `apply`, which finds it as
/// `/tmp/patch.diff`; gives the verdict where that fails.
pub(super) fn refused(
    attempt: &PatchAttempt<'_>,
    patch: &[u8],
    apply: &str,
    fresh: &Workspace,
    limits: Limits,
) -> Result<Option<Grade>> {
    let file = fresh.tmp().join("patch.diff");
    fs::write(&file, patch).map_err(Error::io("cannot be written", &file))?;
    let applied = attempt.sandbox.run(&fresh.invocation(apply, limits))?;
    if applied.succeeded() {
        return Ok(None);
    }
    let log = applied.text();
    let detail = format!(
        "the change does not apply to a fresh checkout: {}",
        last_lines(&log)
    );
    let grade = Grade {
        change: PatchStatus::DoesNotApply,
        ..Grade::unresolved(detail)
    };
    Ok(Some(grade.with_log(log)))
}

/// The verdict that was read from what the tests printed, with what else is known.
pub(super) fn concluded(grade: Grade, patched: bool, log: String) -> Grade {
    Grade {
        change: match patched {
            true => PatchStatus::Applied,
            false => PatchStatus::None,
        },
        infrastructure: Infrastructure::find(&log).filter(|_| !grade.resolved),
        ..grade
    }
    .with_log(log)
}

/// Makes a directory for scripts in a temporary place, and writes them.
pub(super) fn write_scripts(directory: &Path, scripts: &[(&str, &[u8])]) -> Result<()> {
    fs::create_dir(directory).map_err(Error::io("cannot be created", directory))?;
    for (name, content) in scripts {
        let file = directory.join(name);
        fs::write(&file, content).map_err(Error::io("cannot be written", &file))?;
    }
    Ok(())
}
