//! The author's own solution, carried out in a workspace as an agent would have.

use std::fs;
use std::path::Path;
use std::time::Duration;

use timeslip_datasets::harbor::Solution;

use crate::{Error, Execution, Invocation, Limits, Result, Sandbox, Task, TaskKind, Workspace};

/// What is kept of a solution's output, for a person.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Applying a patch takes no time.
const PATCH_SECONDS: u64 = 60;

/// Carries out the author's solution of a step, from 0; `None` where there is none.
pub fn solve(
    task: &Task,
    step: usize,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<Option<Execution>> {
    let place = tempfile::tempdir_in(workspace.directory()).map_err(Error::io(
        "cannot create a directory",
        workspace.directory(),
    ))?;
    let limits = |wall: Duration| Limits {
        wall,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.memory_mb,
    };
    let lend = |invocation: &mut Invocation, directory: &Path, inside: &str| {
        workspace.lend(task, invocation, directory, inside, sandbox)
    };
    let invocation = match &task.kind {
        TaskKind::SweBench { .. } | TaskKind::SweBenchPro { .. } => {
            let Some(gold) = task.gold_patch() else {
                return Ok(None);
            };
            let patch = place.path().join("gold.patch");
            fs::write(&patch, gold).map_err(Error::io("cannot be written", &patch))?;
            let wall = limits(Duration::from_secs(PATCH_SECONDS));
            let mut invocation = workspace.invocation("git apply /gold/gold.patch", wall);
            lend(&mut invocation, place.path(), "/gold")?;
            invocation
        }
        TaskKind::Harbor { task: harbor, .. } => {
            let Some(own) = harbor.steps.get(step) else {
                return Ok(None);
            };
            let (command, lent) = match &own.solution {
                None => return Ok(None),
                Some(Solution::Directory(directory)) => (
                    "bash /solution/solve.sh".to_owned(),
                    Some((directory.as_path(), "/solution")),
                ),
                Some(Solution::Script(script)) => {
                    let copy = place.path().join("solution.sh");
                    fs::copy(script, &copy).map_err(Error::io("cannot be copied", script))?;
                    let command = "bash /oracle/solution.sh".to_owned();
                    (command, Some((place.path(), "/oracle")))
                }
                Some(Solution::Commands(commands)) => (commands.clone(), None),
            };
            let mut invocation = workspace.invocation(&command, limits(own.agent_timeout));
            if let Some((directory, inside)) = lent {
                lend(&mut invocation, directory, inside)?;
            }
            let variables = harbor.solution_env.iter();
            invocation
                .environment
                .extend(variables.map(|(name, value)| (name.clone(), value.clone())));
            invocation
        }
    };
    sandbox.run(&invocation).map(Some)
}
