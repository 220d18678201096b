//! What a run does beside its streams: set-up, tools and grading of the bundled tasks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use timeslip_suites::sandbox::Scratch;
use timeslip_suites::{Sandbox, Task, solution, steps};

use crate::run::admission::Admission;
use crate::run::apart::apart;

/// The tasks that streams are accompanied by, one after another.
#[derive(Clone, Debug)]
pub struct Tools(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tasks: Vec<Task>,
    sandbox: Sandbox,
    scratch: PathBuf,
    admission: Admission,
    next: AtomicUsize,
}

impl Tools {
    /// Tasks with solutions of their authors; `scratch` is an existing folder.
    #[must_use]
    pub fn new(tasks: Vec<Task>, sandbox: Sandbox, scratch: PathBuf) -> Self {
        Tools(Arc::new(Shared {
            tasks,
            sandbox,
            scratch,
            admission: Admission::per_core(),
            next: AtomicUsize::new(0),
        }))
    }

    /// Does with the next task all that a trial does beside its streams: prepares it, runs
    /// its solution as a tool, grades it, removes it.
    ///
    /// # Errors
    /// In words, when the task comes to no verdict.
    pub(super) async fn one_trial(&self) -> Result<(), String> {
        let shared = &self.0;
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(task) = shared.tasks.get(number % shared.tasks.len().max(1)) else {
            return Ok(());
        };
        let directory =
            Scratch::within(&shared.scratch, "trial-").map_err(|error| error.to_string())?;
        let (task, sandbox) = (Arc::new(task.clone()), shared.sandbox.clone());
        let place = directory.path().to_owned();
        let (task_, sandbox_) = (Arc::clone(&task), sandbox.clone());
        let admitted = shared.admission.wait().await;
        let workspace = apart(move || steps::begin(&task_, &sandbox_, &place));
        let workspace = Arc::new(workspace.await?);
        drop(admitted);
        let (task_, sandbox_, workspace_) =
            (Arc::clone(&task), sandbox.clone(), Arc::clone(&workspace));
        apart(move || solution::solve(&task_, 0, &workspace_, &sandbox_)).await?;
        let _admitted = shared.admission.wait().await;
        let graded = apart(move || {
            let grade = steps::grade_step(&task, 0, &workspace, &sandbox);
            // Its mounts are in the directory.
            drop(workspace);
            drop(directory);
            grade
        });
        graded.await.map(drop)
    }
}
