//! The developer's own hand in the files: what is typed and taken over, and what is taken
//! back.

use std::sync::Arc;
use std::time::Duration;

use timeslip_datasets::session::Typed;
use timeslip_suites::Limits;

use crate::run::agent::Bench;
use crate::run::apart::apart;

/// The largest file that is typed into.
const LARGEST_FILE: u64 = 4 << 20;
/// How long remembering or restoring may take.
const TIME: Duration = Duration::from_secs(60);

/// Keeps what the files were in a repository of its own, outside the task's.
const REMEMBER: &str = "export GIT_DIR=/tmp/.timeslip-undo GIT_WORK_TREE=\"$PWD\"; \
    { [ -d \"$GIT_DIR\" ] || git init -q; } && git add -A && git write-tree";

/// Where a text is typed.
#[derive(Clone, Debug)]
struct Place {
    file: String,
    /// Everything up to the cursor.
    before: String,
    after: String,
}

/// The files of a session, and what they were.
#[derive(Debug)]
pub(super) struct Tree {
    /// A session never takes anything back: nothing is remembered.
    remembers: bool,
    bench: Bench,
    /// The latest state that can be restored.
    states: Vec<String>,
    cursor: Option<Place>,
}

impl Tree {
    pub fn new(bench: &Bench, remembers: bool) -> Self {
        Tree {
            remembers,
            bench: bench.clone(),
            states: Vec::new(),
            cursor: None,
        }
    }

    /// Remembers what the files are now.
    ///
    /// # Errors
    /// Why they could not be.
    pub async fn remember(&mut self, bench: &Bench) -> Result<(), String> {
        if self.remembers {
            let state = run(bench, REMEMBER.to_owned()).await?;
            self.states.push(state);
        }
        Ok(())
    }

    /// Makes the files what they were when they were remembered last.
    ///
    /// # Errors
    /// Why that could not be done.
    pub async fn restore(&mut self, bench: &Bench) -> Result<(), String> {
        let state = self.states.pop().ok_or("there is nothing to take back")?;
        let restore = format!("{REMEMBER} > /dev/null && git read-tree --reset -u {state}");
        run(bench, restore).await.map(drop)
    }

    /// Puts the cursor behind the place where a text is typed; what is before and after it.
    ///
    /// # Errors
    /// There is no such place.
    pub fn place(&mut self, typed: &Typed) -> Result<(String, String), String> {
        let Typed { file, after, .. } = typed;
        let content = self.read(file)?;
        let mut places = content.match_indices(after.as_str());
        let (Some((at, _)), None) = (places.next(), places.next()) else {
            return Err(format!("{file} does not hold {after:?} exactly once"));
        };
        let (before, rest) = content.split_at(at + after.len());
        self.cursor = Some(Place {
            file: file.clone(),
            before: before.to_owned(),
            after: rest.to_owned(),
        });
        Ok((before.to_owned(), rest.to_owned()))
    }

    /// Puts a text in at the cursor, which is then behind it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn insert(&mut self, bench: &Bench, text: &str) -> Result<(), String> {
        let place = self.cursor.as_mut().ok_or("there is no cursor")?;
        place.before.push_str(text);
        let content = format!("{}{}", place.before, place.after);
        let old = bench.workspace.read(&place.file, LARGEST_FILE).ok();
        let written = bench
            .workspace
            .write(&place.file, old.as_ref(), content.as_bytes());
        written.map_err(|refusal| format!("{} {refusal}", place.file))
    }

    fn read(&self, file: &str) -> Result<String, String> {
        let content = self.bench.workspace.read(file, LARGEST_FILE);
        let content = content.map_err(|refusal| format!("{file} {refusal}"))?;
        String::from_utf8(content.bytes).map_err(|_| format!("{file} is not UTF-8 text"))
    }
}

/// Runs a command of the developer's own; the first line that it prints.
async fn run(bench: &Bench, command: String) -> Result<String, String> {
    let (sandbox, workspace) = (bench.sandbox.clone(), Arc::clone(&bench.workspace));
    let limits = Limits {
        wall: TIME,
        ..bench.limits
    };
    let execution = apart(move || sandbox.run(&workspace.invocation(&command, limits))).await?;
    let text = String::from_utf8_lossy(&execution.output).into_owned();
    match execution.succeeded() {
        true => Ok(text.lines().next().unwrap_or_default().trim().to_owned()),
        false => Err(format!("git {}: {}", execution.exit, text.trim())),
    }
}
