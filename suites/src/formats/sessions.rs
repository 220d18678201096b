//! A directory of sessions of the real-time mode.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timeslip_datasets::session::{self, Session};

use super::{Format, LoadedTask, TaskSource};
use crate::starts::{DockerfileSource, DockerfileStart};
use crate::task::{Solution, Step};
use crate::verifiers::LastCheck;
use crate::{Error, Task};

/// Session files, each a task of a single step.
pub(super) struct Sessions;

/// How long making what a session begins with may take.
const BUILD_TIME: Duration = Duration::from_secs(600);
/// How long a check may take.
const CHECK_TIME: Duration = Duration::from_secs(120);

impl Format for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn load(&self, source: &TaskSource<'_>) -> crate::Result<Vec<LoadedTask>> {
        let files = session::list(source.path)?.into_iter();
        let candidate = |file: std::path::PathBuf| {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            (name.into_owned(), task(source.suite, &file))
        };
        Ok(files.map(candidate).collect())
    }
}

fn task(suite: &str, file: &Path) -> crate::Result<Task> {
    let session = session::read(file).map_err(Error::from)?;
    let start = DockerfileStart {
        task: session.name.clone(),
        source: DockerfileSource {
            file: session.repository.join("Dockerfile"),
            context: session.repository.clone(),
            workdir: None,
            time: BUILD_TIME,
        },
        image: None,
        variables: Vec::new(),
    };
    let (name, tags) = (session.name.clone(), session.tags.clone());
    let task = Task::new(suite, &name, start, step(session));
    Ok(Task { tags, ..task })
}

fn step(session: Session) -> Step {
    let words = session
        .acts
        .iter()
        .find_map(session::ScriptedAct::recognised_by);
    Step {
        solution: Some(Solution::Command {
            command: session.solution(),
            files: None,
            variables: Vec::new(),
        }),
        verifier_time: CHECK_TIME,
        session: Some(Arc::new(session.clone())),
        ..Step::new(
            words.unwrap_or_default(),
            session.time,
            LastCheck::of(&session),
        )
    }
}
