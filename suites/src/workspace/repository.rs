//! Repositories at one commit, without anything that came after it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// A `git fast-import` stream, imported once into a cache and checked out from there.
#[derive(Clone, Debug)]
pub struct Repository {
    stream: PathBuf,
    cache: PathBuf,
}

/// What interpreters and compilers leave behind is not part of a change, whether
/// or not the repository has thought of it.
const EXCLUDED: &str = "__pycache__/\n*.pyc\n*.o\n";

/// Agents commit, and git wants to know who they are.
const IDENTITY: &str = "[user]\n\tname = agent\n\temail = agent@localhost\n";

impl Repository {
    pub(crate) fn new(stream: PathBuf, caches: &Path) -> Self {
        let cache = caches.join(stream.file_stem().unwrap_or_default());
        Self { stream, cache }
    }

    /// The stream it is made from.
    pub(super) fn source(&self) -> &Path {
        &self.stream
    }

    /// Makes `tree`, an empty directory, a repository on branch `main` at `commit`.
    /// It holds the ancestors of `commit` only: the fix is in the future and
    /// cannot be found in it.
    pub(crate) fn check_out(&self, task: &str, commit: &str, tree: &Path) -> Result<()> {
        let git = Git { task };
        self.import(&git)?;
        git.run(
            tree,
            &["init", "-q", "--template=", "-b", "main", "."],
            None,
        )?;
        let cache = self.cache.to_string_lossy();
        git.run(tree, &["fetch", "-q", "--no-tags", &cache, commit], None)?;
        git.run(tree, &["reset", "-q", "--hard", "FETCH_HEAD"], None)?;

        // Where the code came from is nobody's business inside.
        let private = tree.join(".git");
        for trace in ["FETCH_HEAD", "ORIG_HEAD", "logs"] {
            let trace = private.join(trace);
            if trace.is_dir() {
                fs::remove_dir_all(&trace).map_err(Error::io("cannot be removed", &trace))?;
            } else if trace.exists() {
                fs::remove_file(&trace).map_err(Error::io("cannot be removed", &trace))?;
            }
        }
        let info = private.join("info");
        fs::create_dir_all(&info).map_err(Error::io("cannot be created", &info))?;
        let exclude = info.join("exclude");
        fs::write(&exclude, EXCLUDED).map_err(Error::io("cannot be written", &exclude))?;
        let config = private.join("config");
        OpenOptions::new()
            .append(true)
            .open(&config)
            .and_then(|mut file| file.write_all(IDENTITY.as_bytes()))
            .map_err(Error::io("cannot be written", &config))
    }

    /// Fills the cache. Trials may do so at the same time: each imports on its
    /// own, and the first to finish is kept.
    fn import(&self, git: &Git<'_>) -> Result<()> {
        if self.cache.is_dir() {
            return Ok(());
        }
        let parent = self.cache.parent().unwrap_or(Path::new("."));
        let fresh = tempfile::tempdir_in(parent).map_err(Error::io("cannot create", parent))?;
        let stream = File::open(&self.stream).map_err(Error::io("cannot be read", &self.stream))?;
        git.run(
            fresh.path(),
            &["init", "-q", "--bare", "--template=", "."],
            None,
        )?;
        git.run(fresh.path(), &["fast-import", "--quiet"], Some(stream))?;
        // A single commit is asked for, which need not be the tip of a branch.
        git.run(
            fresh.path(),
            &["config", "uploadpack.allowAnySHA1InWant", "true"],
            None,
        )?;
        let fresh = fresh.keep();
        match fs::rename(&fresh, &self.cache) {
            Err(_) if self.cache.is_dir() => {
                fs::remove_dir_all(&fresh).map_err(Error::io("cannot be removed", &fresh))
            }
            result => result.map_err(Error::io("cannot be renamed", &fresh)),
        }
    }
}

/// The host's git, kept away from its user's configuration.
struct Git<'a> {
    task: &'a str,
}

impl Git<'_> {
    fn run(&self, directory: &Path, arguments: &[&str], stdin: Option<File>) -> Result<()> {
        let failed = |message: String| Error::Prepare {
            task: self.task.to_owned(),
            message: format!("git {}: {message}", arguments.join(" ")),
        };
        let mut command = Command::new("git");
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let output = command
            .envs([
                ("HOME", "/nonexistent"),
                ("LANG", "C.UTF-8"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_TERMINAL_PROMPT", "0"),
            ])
            .args(arguments)
            .current_dir(directory)
            .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
            .output()
            .map_err(|error| failed(format!("{error}; is git installed?")))?;
        if !output.status.success() {
            let printed = String::from_utf8_lossy(&output.stderr);
            return Err(failed(format!("{}: {}", output.status, printed.trim())));
        }
        Ok(())
    }
}
