//! Makes a Harbor task's environment out of its Dockerfile, without Docker.
//!
//! The image named by `FROM` is not fetched: the root file system of the suite stands in
//! for it, or the read-only system of the sandbox. Over that, one top-level directory
//! (that of the last `WORKDIR`) is the task's own; whatever the Dockerfile copies or
//! makes has to be inside it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use timeslip_datasets::dockerfile::{self, Instruction, Kind};
use timeslip_datasets::harbor::HarborTask;

use super::{Environment, Workspace};
use crate::beneath::{self, Refusal};
use crate::sandbox::TMP;
use crate::{Backend, Error, Exit, Limits, Result, Sandbox};

/// A checked Dockerfile.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    file: PathBuf,
    mount: String,
    working_directory: String,
    steps: Vec<Step>,
}

/// Where a Dockerfile may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// In the task's own top-level directory: the system around it is read-only.
    OwnDirectory,
    /// Everywhere: it has a root file system of its own.
    Everywhere,
}

impl Reach {
    /// Of a Dockerfile that is followed in an environment.
    pub(super) fn of(environment: Option<&Environment>, backend: Backend) -> Self {
        match (environment, backend) {
            (Some(_), Backend::Bubblewrap) => Self::Everywhere,
            _ => Self::OwnDirectory,
        }
    }
}

#[derive(Clone, Debug)]
struct Step {
    line: u64,
    /// Where a `RUN` starts, inside.
    directory: String,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
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
    /// Reads and checks the Dockerfile of a task.
    pub(super) fn of(task: &HarborTask, reach: Reach) -> Result<Self> {
        let environment = &task.environment;
        let file = &environment.dockerfile;
        if let Some(image) = &environment.docker_image
            && !file.exists()
        {
            return Err(Error::Unsupported {
                task: task.name.clone(),
                message: format!(
                    "is made from the image {image}, which needs containers; without them a Dockerfile can be followed"
                ),
            });
        }
        Self::new(
            dockerfile::read(file)?,
            environment.workdir.as_deref(),
            &environment.context,
            file,
            reach,
        )
    }

    /// `workdir` stands in for the last `WORKDIR`, where the task names one.
    fn new(
        mut instructions: Vec<Instruction>,
        workdir: Option<&str>,
        context: &Path,
        file: &Path,
        reach: Reach,
    ) -> Result<Self> {
        if let Some(workdir) = workdir {
            instructions.push(Instruction {
                line: instructions.last().map_or(1, |last| last.line),
                kind: Kind::Workdir(workdir.to_owned()),
            });
        }
        let invalid = |line: u64, message: String| {
            Error::Dataset(timeslip_datasets::Error::InvalidLine {
                file: file.to_path_buf(),
                line,
                message,
            })
        };
        let mut directory = "/".to_owned();
        let mut steps = Vec::new();
        for Instruction { line, kind } in instructions {
            let inside = |path: &str| {
                resolve(&directory, path).ok_or_else(|| {
                    invalid(
                        line,
                        format!("{path:?} has '..' in it; write the path without"),
                    )
                })
            };
            let mut add = |directory: &str, action| {
                steps.push(Step {
                    line,
                    directory: directory.to_owned(),
                    action,
                });
            };
            match kind {
                Kind::From(_) | Kind::Ignored(_) => {}
                Kind::Workdir(path) => {
                    directory = inside(&path)?;
                    add(&directory, Action::MakeDirectory);
                }
                Kind::Env(variables) => add(&directory, Action::Set(variables)),
                Kind::Run(command) => add(&directory, Action::Run(command)),
                Kind::Copy {
                    sources,
                    destination,
                } => {
                    let into = destination.ends_with(['/', '.']) || sources.len() > 1;
                    let destination = inside(&destination)?;
                    for source in sources {
                        let path = below(&source).ok_or_else(|| {
                            invalid(line, format!("COPY {source:?} leaves the build context"))
                        })?;
                        if !context.join(&path).exists() {
                            return Err(invalid(
                                line,
                                format!("COPY {source:?} is not in {}", context.display()),
                            ));
                        }
                        add(
                            &directory,
                            Action::Copy {
                                source: path,
                                destination: destination.clone(),
                                into,
                            },
                        );
                    }
                }
            }
        }

        if reach == Reach::Everywhere {
            return Ok(Self {
                file: file.to_path_buf(),
                mount: "/".to_owned(),
                working_directory: directory,
                steps,
            });
        }
        let top = directory.split('/').nth(1).unwrap_or_default().to_owned();
        let last_line = steps.last().map_or(1, |step| step.line);
        if top.is_empty() {
            return Err(invalid(
                last_line,
                "has no WORKDIR; the agent has to start somewhere, /app by custom".to_owned(),
            ));
        }
        if RESERVED.contains(&top.as_str()) {
            return Err(invalid(
                last_line,
                format!("WORKDIR is in /{top}, which is not the task's own; use /app"),
            ));
        }
        let recipe = Self {
            file: file.to_path_buf(),
            mount: format!("/{top}"),
            working_directory: directory,
            steps,
        };
        recipe.check_destinations()?;
        Ok(recipe)
    }

    fn check_destinations(&self) -> Result<()> {
        for step in &self.steps {
            let (what, path) = match &step.action {
                Action::MakeDirectory => ("WORKDIR", &step.directory),
                Action::Copy { destination, .. } => ("COPY", destination),
                // The system is read-only: what does not fit shows when it is run.
                Action::Run(_) | Action::Set(_) => continue,
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
        task: &HarborTask,
        sandbox: &Sandbox,
    ) -> Result<()> {
        for step in &self.steps {
            match &step.action {
                Action::MakeDirectory => {
                    let (tree, below) = self.place(&step.directory, tree, workspace);
                    beneath::create_directory(tree, below)
                        .map_err(|refusal| self.refused(step, &step.directory, &refusal))?;
                }
                Action::Copy {
                    source,
                    destination,
                    into,
                } => {
                    let from = task.environment.context.join(source);
                    let (tree, to) = self.place(destination, tree, workspace);
                    let to = match source.file_name() {
                        Some(name) if from.is_file() && (*into || tree.join(to).is_dir()) => {
                            to.join(name)
                        }
                        _ => to.to_path_buf(),
                    };
                    without_links(&task.environment.context, source)
                        .and_then(|()| copy(&from, tree, &to))
                        .map_err(|refusal| {
                            self.refused(step, &source.display().to_string(), &refusal)
                        })?;
                }
                Action::Set(variables) => workspace.environment.extend(variables.clone()),
                Action::Run(command) => self.run(step, command, workspace, task, sandbox)?,
            }
        }
        Ok(())
    }

    fn run(
        &self,
        step: &Step,
        command: &str,
        workspace: &Workspace,
        task: &HarborTask,
        sandbox: &Sandbox,
    ) -> Result<()> {
        if sandbox.backend() == Backend::Process && self.relative(&step.directory).is_none() {
            let message = format!(
                "RUN starts in {}, outside {}, where it would change this machine: there is no sandbox",
                step.directory, self.mount
            );
            return Err(self.error(step, message));
        }
        let timeout = task.environment.build_timeout;
        let limits = Limits {
            wall: timeout,
            output_bytes: OUTPUT_BYTES,
            memory_mb: task.environment.memory_mb,
        };
        let mut invocation = workspace.invocation(command, limits);
        invocation.working_directory.clone_from(&step.directory);
        let execution = sandbox.run(&invocation)?;
        match execution.exit {
            Exit::Code(0) => Ok(()),
            exit => {
                let how = match exit {
                    Exit::TimedOut => format!("took longer than {}", show(timeout)),
                    exit => exit.to_string(),
                };
                let hint = match &workspace.shims {
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

    fn refused(&self, step: &Step, path: &str, refusal: &Refusal) -> Error {
        self.error(step, format!("{path} {refusal}"))
    }

    fn error(&self, step: &Step, message: String) -> Error {
        Error::Dataset(timeslip_datasets::Error::InvalidLine {
            file: self.file.clone(),
            line: step.line,
            message,
        })
    }
}

fn show(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Refuses a source that is reached through a link inside the build context.
fn without_links(context: &Path, source: &Path) -> Result<(), Refusal> {
    let real = fs::canonicalize(context.join(source))?;
    if real == fs::canonicalize(context)?.join(source) {
        Ok(())
    } else {
        Err(Refusal::Link)
    }
}

/// Copies a file to `to`, or the content of a directory into it, below `tree`.
/// Links are refused: they would be followed on the host.
pub(crate) fn copy(from: &Path, tree: &Path, to: &Path) -> Result<(), Refusal> {
    let kind = fs::symlink_metadata(from)?;
    if kind.is_symlink() {
        return Err(Refusal::Link);
    }
    if kind.is_dir() {
        beneath::create_directory(tree, to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), tree, &to.join(&name))?;
        }
        return Ok(());
    }
    if !kind.is_file() {
        return Err(Refusal::NotAFile);
    }
    let mut target = beneath::create(tree, to)?;
    io::copy(&mut fs::File::open(from)?, &mut target)?;
    Ok(target.set_permissions(kind.permissions())?)
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
