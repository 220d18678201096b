//! Repositories at one commit, without anything that came after it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// A repository on this machine that tasks are checked out from.
#[derive(Clone, Debug)]
pub(crate) enum RepositoryClone {
    /// A `git fast-import` stream, imported once into a cache and checked out from there.
    Stream { stream: PathBuf, cache: PathBuf },
    /// A clone that the user has made, bare or not. It is never written to.
    Mirror(PathBuf),
}

/// Tells pip that there is no network: it takes what is installed, to build with too, and
/// does not wait for an answer.
const OFFLINE: [(&str, &str); 4] = [
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    // Not a mistake: pip takes the value for that of build isolation.
    ("PIP_NO_BUILD_ISOLATION", "0"),
    ("PIP_NO_DEPS", "1"),
    ("PIP_NO_INDEX", "1"),
];

/// What commands find set where the code is in an image that has all it needs.
pub(super) fn offline() -> Vec<(String, String)> {
    owned(OFFLINE.iter())
}

fn owned<'a>(variables: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Vec<(String, String)> {
    variables
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A single commit is asked for, which need not be the tip of a branch.
const UPLOAD_PACK: &str = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack";

/// What interpreters and compilers leave behind is not part of a change, whether
/// or not the repository has thought of it.
pub(super) const EXCLUDED: &str = "__pycache__/\n*.pyc\n*.o\n";

/// Agents commit, and git wants to know who they are.
pub(super) const IDENTITY: &str = "[user]\n\tname = agent\n\temail = agent@localhost\n";

impl RepositoryClone {
    /// A stream that is imported below the directory `caches`.
    pub(crate) fn stream(stream: PathBuf, caches: &Path) -> Self {
        let cache = caches.join(stream.file_stem().unwrap_or_default());
        Self::Stream { stream, cache }
    }

    /// Adds single commits to the repository in `tree`: the hidden tests are in them,
    /// so no agent must see that tree.
    pub(crate) fn add(&self, task: &str, commits: &[String], tree: &Path) -> Result<()> {
        let git = Git { task };
        let from = self.origin(&git)?;
        for commit in commits {
            let fetch = [
                "fetch",
                "-q",
                "--no-tags",
                "--depth=1",
                UPLOAD_PACK,
                &from,
                commit,
            ];
            git.run(tree, &fetch, None)?;
        }
        Ok(())
    }

    /// What git fetches from.
    fn origin(&self, git: &Git<'_>) -> Result<String> {
        let from = match self {
            Self::Stream { stream, cache } => {
                import(stream, cache, git)?;
                cache
            }
            Self::Mirror(clone) => clone,
        };
        // A relative path would be taken from the tree.
        let from = std::path::absolute(from).map_err(Error::io("cannot be found", from))?;
        Ok(from.to_string_lossy().into_owned())
    }

    /// What commands in a checkout find set, so that the install commands of scripts
    /// work without a network: what the code needs is there already, and it is put
    /// into the home directory. A checkout has no tags, so code that asks git for its
    /// `version` is told.
    pub(crate) fn environment(&self, version: &str) -> Vec<(String, String)> {
        let variables: &[(&str, &str)] = match self {
            Self::Stream { .. } => &[],
            Self::Mirror(_) => &[
                (
                    "PATH",
                    "/tmp/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                ),
                ("PIP_BREAK_SYSTEM_PACKAGES", "1"),
                ("PIP_USER", "1"),
                // Where that is, also for tests that change the home directory.
                ("PYTHONUSERBASE", "/tmp/.local"),
                ("SETUPTOOLS_SCM_PRETEND_VERSION", version),
            ],
        };
        let offline: &[(&str, &str)] = match self {
            Self::Stream { .. } => &[],
            Self::Mirror(_) => &OFFLINE,
        };
        owned(variables.iter().chain(offline))
    }

    /// What it is made from.
    pub(super) fn origin_path(&self) -> &Path {
        let (Self::Stream { stream: from, .. } | Self::Mirror(from)) = self;
        from
    }

    /// Makes `tree`, an empty directory, a repository on branch `main` at `commit`.
    /// It holds the ancestors of `commit` at most, and without `history` not even
    /// those: the fix is in the future and cannot be found in it.
    pub(crate) fn check_out(
        &self,
        task: &str,
        commit: &str,
        history: bool,
        tree: &Path,
    ) -> Result<()> {
        let git = Git { task };
        let from = self.origin(&git)?;
        git.run(
            tree,
            &["init", "-q", "--template=", "-b", "main", "."],
            None,
        )?;
        let mut fetch = vec!["fetch", "-q", "--no-tags", UPLOAD_PACK];
        if !history {
            fetch.push("--depth=1");
        }
        fetch.extend([&from, commit]);
        git.run(tree, &fetch, None)?;
        git.run(tree, &["reset", "-q", "--hard", "FETCH_HEAD"], None)?;

        // These name the directory on this machine that the code came from.
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
}

/// Fills the cache. Trials may do so at the same time: each imports on its
/// own, and the first to finish is kept.
fn import(stream: &Path, cache: &Path, git: &Git<'_>) -> Result<()> {
    if cache.is_dir() {
        return Ok(());
    }
    let parent = cache.parent().unwrap_or(Path::new("."));
    let fresh = tempfile::tempdir_in(parent).map_err(Error::io("cannot create", parent))?;
    let stream = File::open(stream).map_err(Error::io("cannot be read", stream))?;
    git.run(
        fresh.path(),
        &["init", "-q", "--bare", "--template=", "."],
        None,
    )?;
    git.run(fresh.path(), &["fast-import", "--quiet"], Some(stream))?;
    let fresh = fresh.keep();
    match fs::rename(&fresh, cache) {
        Err(_) if cache.is_dir() => {
            fs::remove_dir_all(&fresh).map_err(Error::io("cannot be removed", &fresh))
        }
        result => result.map_err(Error::io("cannot be renamed", &fresh)),
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
            // What a trial works in is hostile, hooks included.
            .args(["-c", "core.hooksPath=/dev/null"])
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
