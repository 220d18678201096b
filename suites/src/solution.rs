//! The author's own solution, carried out in a workspace as an agent would have.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sandbox::Scratch;
use crate::task::{Solution, SolutionFiles};
use crate::{Error, Execution, Limits, Result, Sandbox, Task, Workspace};

/// What is kept of a solution's output, for a person.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Applying a patch takes no time.
const PATCH_TIME: Duration = Duration::from_secs(60);

/// Where the patch is inside.
const GOLD: &str = "/gold";

/// Carries out the author's solution of a step, from 0; `None` where there is none.
pub fn solve(
    task: &Task,
    step: usize,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<Option<Execution>> {
    let Some(step) = task.steps.get(step) else {
        return Ok(None);
    };
    let place = Scratch::within(workspace.directory(), "solution-")?;
    let (command, wall, files, variables) = match &step.solution {
        None => return Ok(None),
        Some(Solution::Patch(patch)) => {
            let file = place.path().join("gold.patch");
            fs::write(&file, patch).map_err(Error::io("cannot be written", &file))?;
            let command = format!("git -c core.hooksPath=/dev/null apply {GOLD}/gold.patch");
            let files = Some((place.path().to_path_buf(), GOLD));
            (command, PATCH_TIME, files, &[][..])
        }
        Some(Solution::Command {
            command,
            files,
            variables,
        }) => {
            let files = match files {
                Some(files) => Some((alone(files, &place)?, files.inside.as_str())),
                None => None,
            };
            (command.clone(), step.time, files, &variables[..])
        }
    };
    let limits = Limits {
        wall,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.workspace.needs.memory_mb,
    };
    let mut invocation = workspace.invocation(&command, limits);
    if let Some((directory, inside)) = files {
        workspace.lend(&mut invocation, &directory, inside, sandbox)?;
    }
    invocation.environment.extend_from_slice(variables);
    sandbox.run(&invocation).map(Some)
}

/// The directory with the files of a solution; a single file is copied into one.
fn alone(files: &SolutionFiles, place: &Scratch) -> Result<PathBuf> {
    if files.host.is_dir() {
        return Ok(files.host.clone());
    }
    let name = files.host.file_name().unwrap_or_default();
    let copy = place.path().join(Path::new(name));
    fs::copy(&files.host, copy).map_err(Error::io("cannot be copied", &files.host))?;
    Ok(place.path().to_path_buf())
}
