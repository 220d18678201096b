//! Follows a Dockerfile without Docker.
//!
//! The image named by `FROM` is not fetched: the root file system of the suite stands in
//! for it, or the read-only system of the sandbox. Over that, one top-level directory
//! (that of the last `WORKDIR`) is the task's own; whatever the Dockerfile copies or
//! makes has to be inside it.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use timeslip_datasets::dockerfile::{self, Instruction, Kind};

use crate::path_guard::{self, PathRefusal};
use crate::sandbox::{DockerfileReach, TMP};
use crate::workspace::copy;
use crate::{Error, Exit, Limits, Result, Sandbox, Workspace};

/// What a Dockerfile is followed with.
#[derive(Clone, Debug)]
pub(crate) struct DockerfileSource {
    /// The Dockerfile.
    pub(crate) file: PathBuf,
    /// The directory it copies from.
    pub(crate) context: PathBuf,
    /// Stands in for the last `WORKDIR`, where the task names one.
    pub(crate) workdir: Option<String>,
    /// How long one instruction may take.
    pub(crate) time: Duration,
}

/// A checked Dockerfile.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    file: PathBuf,
    mount: String,
    working_directory: String,
    steps: Vec<RecipeStep>,
}

#[derive(Clone, Debug)]
struct RecipeStep {
    line: u64,
    /// Where a `RUN` starts, inside.
    directory: String,
    action: RecipeAction,
}

#[derive(Clone, Debug)]
enum RecipeAction {
    MakeDirectory,
    Copy {
        /// In the build context; checked not to leave it.
        source: PathBuf,
        /// Inside, absolute.
        destination: String,
        /// The destination is a directory to put a file into.
        into: bool,
    },
    Set(Vec<(String, String)>),
    Run(String),
}

/// Top-level directories that belong to the system or to the harness.
const RESERVED: [&str; 18] = [
    "bin", "boot", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "logs", "nix", "opt",
    "proc", "sbin", "sys", "tests", "tmp", "usr",
];

/// What a failing `RUN` is quoted with.
const OUTPUT_BYTES: usize = 4096;

impl Recipe {
    /// Reads and checks a Dockerfile.
    pub(super) fn read(source: &DockerfileSource, reach: DockerfileReach) -> Result<Self> {
        let mut instructions = dockerfile::read(&source.file)?;
        if let Some(workdir) = &source.workdir {
            instructions.push(Instruction {
                line: instructions.last().map_or(1, |last| last.line),
                kind: Kind::Workdir(workdir.clone()),
            });
        }
        let mut recipe = Self {
            file: source.file.clone(),
            mount: "/".to_owned(),
            working_directory: "/".to_owned(),
            steps: Vec::new(),
        };
        for instruction in instructions {
            recipe.add(instruction, &source.context)?;
        }
        if reach == DockerfileReach::OwnDirectory {
            recipe.keep_to_own_directory()?;
        }
        Ok(recipe)
    }

    /// Adds an instruction that begins where those before it have led.
    fn add(&mut self, instruction: Instruction, context: &Path) -> Result<()> {
        let Instruction { line, kind } = instruction;
        match kind {
            Kind::From(_) | Kind::Ignored(_) => {}
            Kind::Workdir(path) => {
                self.working_directory = self.inside(&path, line)?;
                self.push(line, RecipeAction::MakeDirectory);
            }
            Kind::Env(variables) => self.push(line, RecipeAction::Set(variables)),
            Kind::Run(command) => self.push(line, RecipeAction::Run(command)),
            Kind::Copy {
                sources,
                destination,
            } => {
                let into = destination.ends_with(['/', '.']) || sources.len() > 1;
                let destination = self.inside(&destination, line)?;
                for source in sources {
                    let path = below(&source).ok_or_else(|| {
                        self.invalid(line, format!("COPY {source:?} leaves the build context"))
                    })?;
                    if !context.join(&path).exists() {
                        let context = context.display();
                        let message = format!("COPY {source:?} is not in {context}");
                        return Err(self.invalid(line, message));
                    }
                    let action = RecipeAction::Copy {
                        source: path,
                        destination: destination.clone(),
                        into,
                    };
                    self.push(line, action);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, line: u64, action: RecipeAction) {
        self.steps.push(RecipeStep {
            line,
            directory: self.working_directory.clone(),
            action,
        });
    }

    /// A path as an instruction writes it, from the top.
    fn inside(&self, path: &str, line: u64) -> Result<String> {
        resolve(&self.working_directory, path).ok_or_else(|| {
            let message = format!("{path:?} has '..' in it; write the path without");
            self.invalid(line, message)
        })
    }

    /// Checks that the system around the task's own directory is left alone.
    fn keep_to_own_directory(&mut self) -> Result<()> {
        let top = self.working_directory.split('/').nth(1);
        let top = top.unwrap_or_default().to_owned();
        let last_line = self.steps.last().map_or(1, |step| step.line);
        if top.is_empty() {
            let message = "has no WORKDIR; the agent has to start somewhere, /app by custom";
            return Err(self.invalid(last_line, message.to_owned()));
        }
        if RESERVED.contains(&top.as_str()) {
            let message = format!("WORKDIR is in /{top}, which is not the task's own; use /app");
            return Err(self.invalid(last_line, message));
        }
        self.mount = format!("/{top}");
        self.check_destinations()
    }

    fn check_destinations(&self) -> Result<()> {
        for step in &self.steps {
            let (what, path) = match &step.action {
                RecipeAction::MakeDirectory => ("WORKDIR", &step.directory),
                RecipeAction::Copy { destination, .. } => ("COPY", destination),
                // The system is read-only: what does not fit shows when it is run.
                RecipeAction::Run(_) | RecipeAction::Set(_) => continue,
            };
            if self.relative(path).is_none() {
                return Err(self.error(
                    step,
                    format!(
                        "{what} writes to {path}, outside {}; without Docker or a `rootfs` in the suite file only that directory can be prepared",
                        self.mount
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The directory inside that is the task's own.
    pub(super) fn mount(&self) -> &str {
        &self.mount
    }

    /// The last `WORKDIR`.
    pub(super) fn working_directory(&self) -> &str {
        &self.working_directory
    }

    /// Carries the instructions out in a workspace with an empty `tree`.
    pub(super) fn follow(
        &self,
        workspace: &mut Workspace,
        tree: &Path,
        source: &DockerfileSource,
        sandbox: &Sandbox,
    ) -> Result<()> {
        for step in &self.steps {
            match &step.action {
                RecipeAction::MakeDirectory => {
                    let (tree, below) = self.place(&step.directory, tree, workspace);
                    path_guard::create_directory(tree, below)
                        .map_err(|refusal| self.refused(step, &step.directory, &refusal))?;
                }
                RecipeAction::Copy {
                    source: copied,
                    destination,
                    into,
                } => {
                    let from = source.context.join(copied);
                    let (tree, to) = self.place(destination, tree, workspace);
                    let to = match copied.file_name() {
                        Some(name) if from.is_file() && (*into || tree.join(to).is_dir()) => {
                            to.join(name)
                        }
                        _ => to.to_path_buf(),
                    };
                    without_links(&source.context, copied)
                        .and_then(|()| copy(&from, tree, &to))
                        .map_err(|refusal| {
                            self.refused(step, &copied.display().to_string(), &refusal)
                        })?;
                }
                RecipeAction::Set(variables) => workspace.variables().extend(variables.clone()),
                RecipeAction::Run(command) => {
                    self.run(step, command, workspace, source.time, sandbox)?
                }
            }
        }
        Ok(())
    }

    fn run(
        &self,
        step: &RecipeStep,
        command: &str,
        workspace: &Workspace,
        time: Duration,
        sandbox: &Sandbox,
    ) -> Result<()> {
        if !sandbox.capabilities().isolated && self.relative(&step.directory).is_none() {
            let message = format!(
                "RUN starts in {}, outside {}, where it would change this machine: there is no sandbox",
                step.directory, self.mount
            );
            return Err(self.error(step, message));
        }
        let limits = Limits {
            wall: time,
            output_bytes: OUTPUT_BYTES,
            memory_mb: workspace.spec().needs.memory_mb,
        };
        let mut invocation = workspace.invocation(command, limits);
        invocation.working_directory.clone_from(&step.directory);
        let execution = sandbox.run(&invocation)?;
        match execution.exit {
            Exit::Code(0) => Ok(()),
            exit => {
                let how = match exit {
                    Exit::TimedOut => format!("took longer than {}", show(time)),
                    exit => exit.to_string(),
                };
                let hint = match &workspace.spec().shims {
                    Some(_) => "",
                    None => {
                        " (what installs packages needs a network, or `shims` in the suite file)"
                    }
                };
                let printed = execution.text();
                Err(self.error(step, format!("RUN {how}{hint}: {}", printed.trim_end())))
            }
        }
    }

    /// `path` relative to the mount, if it is in there.
    fn relative<'a>(&self, path: &'a str) -> Option<&'a Path> {
        Path::new(path).strip_prefix(&self.mount).ok()
    }

    /// The host directory that holds `path`, and where in it that is.
    fn place<'a>(
        &self,
        path: &'a str,
        tree: &'a Path,
        workspace: &'a Workspace,
    ) -> (&'a Path, &'a Path) {
        match Path::new(path).strip_prefix(TMP) {
            Ok(below) => (workspace.tmp(), below),
            // Every path was checked when the recipe was made.
            Err(_) => (tree, self.relative(path).unwrap_or(Path::new(""))),
        }
    }

    fn refused(&self, step: &RecipeStep, path: &str, refusal: &PathRefusal) -> Error {
        self.error(step, format!("{path} {refusal}"))
    }

    fn error(&self, step: &RecipeStep, message: String) -> Error {
        self.invalid(step.line, message)
    }

    fn invalid(&self, line: u64, message: String) -> Error {
        Error::Dataset(timeslip_datasets::Error::InvalidLine {
            file: self.file.clone(),
            line,
            message,
        })
    }
}

fn show(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Refuses a source that is reached through a link inside the build context.
fn without_links(context: &Path, source: &Path) -> Result<(), PathRefusal> {
    let real = fs::canonicalize(context.join(source))?;
    if real == fs::canonicalize(context)?.join(source) {
        Ok(())
    } else {
        Err(PathRefusal::Link)
    }
}

/// `path` as seen from `directory`, both inside, without `.`; `None` with `..`.
fn resolve(directory: &str, path: &str) -> Option<String> {
    let relative = below(path.trim_start_matches('/'))?;
    let start = if path.starts_with('/') {
        "/"
    } else {
        directory
    };
    let joined = Path::new(start).join(relative);
    let text = joined.to_str()?;
    Some(if text == "/" {
        text.to_owned()
    } else {
        text.trim_end_matches('/').to_owned()
    })
}

/// A relative path without `.`; `None` if it is absolute or has `..`.
fn below(path: &str) -> Option<PathBuf> {
    Path::new(path)
        .components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}
