//! A directory of Terminal-Bench 1 tasks.

use timeslip_datasets::terminal_bench;

use super::{Format, LoadedTask, TaskSource, harbor};
use crate::Result;

/// Task directories with a `task.yaml`.
pub(super) struct TerminalBench1;

impl Format for TerminalBench1 {
    fn name(&self) -> &'static str {
        "terminal-bench-1"
    }

    fn load(&self, source: &TaskSource<'_>) -> Result<Vec<LoadedTask>> {
        let directories = terminal_bench::list(source.path)?;
        Ok(harbor::tasks(
            source,
            directories,
            terminal_bench::read_task,
        ))
    }
}
