//! A directory of Terminal-Bench 1 tasks.

use timeslip_datasets::terminal_bench;

use super::{Candidate, Format, Source, harbor};
use crate::Result;

/// Task directories with a `task.yaml`.
pub(super) struct TerminalBench1;

impl Format for TerminalBench1 {
    fn name(&self) -> &'static str {
        "terminal-bench-1"
    }

    fn load(&self, source: &Source<'_>) -> Result<Vec<Candidate>> {
        let directories = terminal_bench::list(source.path)?;
        Ok(harbor::tasks(
            source,
            directories,
            terminal_bench::read_task,
        ))
    }
}
