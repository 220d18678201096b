//! The unprotected backend: the host's own paths in the place of the sandbox's.
//!
//! `/app`, `/testbed`, `/tests`, `/logs` and `/tmp` of the sandbox do not exist
//! here. Wherever a command, a variable or a script of a read-only mount names
//! one of them, the host's directory is put in its place. That is a rewriting of
//! text: it looks like a path, so it is taken for one, and paths that a program
//! puts together itself are missed. Good enough to try timeslip where
//! bubblewrap is missing, not to publish a number.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use timeslip_datasets::run::journal::Warmth;

use super::backend::{self, Backend, Capabilities, DockerfileReach, Isolation, Ports};
use super::cgroup::{self, Group};
use super::descendants;
use super::execution::Execution;
use super::image::Image;
use super::invocation::{Invocation, Mount};
use super::owner::Owner;
use super::root::Root;
use super::scratch::Scratch;
use super::{ENVIRONMENT, supervise};
use crate::{Error, Result};

/// A plain child process: bounded in time, memory and output, but with the user's own
/// rights. Callers warn loudly.
#[derive(Debug)]
pub(super) struct Process;

const NAME: &str = "process";

const NO_OTHER_ROOT: &str =
    "a plain process has the machine's own root file system; install bubblewrap to use another";

impl Backend for Process {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: false,
            network: true,
            ports: Ports::Machine,
            machine_system: true,
            images: false,
            users: false,
            dockerfile_reach: DockerfileReach::OwnDirectory,
        }
    }

    fn check(&self) -> Result<String> {
        backend::probe(NAME, &Unprotected)?;
        Ok("commands run unprotected, with your own rights".to_owned())
    }

    fn open(&self) -> Result<Box<dyn Isolation>> {
        Ok(Box::new(Unprotected))
    }
}

#[derive(Debug)]
struct Unprotected;

impl Isolation for Unprotected {
    fn run(&self, invocation: &Invocation) -> io::Result<Execution> {
        let staged = Staged::new(invocation).map_err(io::Error::other)?;
        let execution = supervise::in_group(invocation, |group| staged.command(invocation, group))?;
        if !supervise::has_groups() {
            let writable = invocation.mounts.iter().filter(|mount| mount.writable);
            let places: Vec<&Path> = writable.map(|mount| mount.host.as_path()).collect();
            descendants::kill_within(&places);
        }
        Ok(Execution {
            ended: Instant::now(),
            ..execution
        })
    }

    fn root(&self, _image: &Image, _place: &Path, _run: &str) -> Result<(Root, Warmth)> {
        Err(backend::failure(NAME, NO_OTHER_ROOT.to_owned()))
    }

    fn fetch(&self, _image: &Image) -> Result<()> {
        Err(backend::failure(NAME, NO_OTHER_ROOT.to_owned()))
    }

    fn warnings(&self) -> Vec<String> {
        supervise::warnings()
    }
}

/// Files above this size are copied as they are: nobody writes such scripts.
const LARGEST_SCRIPT: u64 = 1024 * 1024;

/// An invocation whose mounts have been laid out on the host.
struct Staged {
    /// Inside path → host path, longest first.
    mappings: Vec<(String, String)>,
    /// Keeps the rewritten copies of read-only mounts until the command is over.
    _copies: Scratch,
}

impl Staged {
    fn new(invocation: &Invocation) -> Result<Self> {
        let copies = Owner::current().scratch()?;
        let mut mappings = Vec::new();
        for (index, mount) in invocation.mounts.iter().enumerate() {
            let host = if mount.writable || in_place(mount) {
                fs::canonicalize(&mount.host).map_err(Error::io("cannot be found", &mount.host))?
            } else {
                copies.path().join(index.to_string())
            };
            mappings.push((mount.inside.clone(), host.to_string_lossy().into_owned()));
        }
        mappings.sort_by_key(|(inside, _)| std::cmp::Reverse(inside.len()));
        for (index, mount) in invocation.mounts.iter().enumerate() {
            if !mount.writable && !in_place(mount) {
                copy_rewritten(
                    &mount.host,
                    &copies.path().join(index.to_string()),
                    &mappings,
                )?;
            }
        }
        Ok(Self {
            mappings,
            _copies: copies,
        })
    }

    fn command(&self, invocation: &Invocation, group: Option<&Group>) -> Command {
        let rewritten = |text: &str| rewrite(text, &self.mappings);
        let mut command = cgroup::command("bash", group);
        command
            .env_clear()
            .envs(ENVIRONMENT.map(|(name, value)| (name, rewritten(value))))
            .envs(
                invocation
                    .environment
                    .iter()
                    .map(|(name, value)| (name, rewritten(value))),
            )
            .args(supervise::launcher_arguments(
                &rewritten(&invocation.command),
                &rewritten(&invocation.working_directory),
                invocation,
                group,
            ));
        command
    }
}

/// Whether what is mounted is there already: an agent's programs, which name no path that
/// would have to be rewritten.
fn in_place(mount: &Mount) -> bool {
    mount.host == Path::new(&mount.inside)
}

/// Copies a file or directory, rewriting every text file on the way.
fn copy_rewritten(from: &Path, to: &Path, mappings: &[(String, String)]) -> Result<()> {
    let cannot_read = |error| Error::io("cannot be read", from)(error);
    let kind = fs::symlink_metadata(from).map_err(cannot_read)?;
    if kind.is_dir() {
        fs::create_dir(to).map_err(Error::io("cannot be created", to))?;
        for entry in fs::read_dir(from).map_err(cannot_read)? {
            let name = entry.map_err(cannot_read)?.file_name();
            copy_rewritten(&from.join(&name), &to.join(&name), mappings)?;
        }
    } else if kind.is_file() {
        fs::copy(from, to).map_err(Error::io("cannot be copied", from))?;
        if kind.len() <= LARGEST_SCRIPT
            && let Ok(text) = fs::read_to_string(from)
        {
            fs::write(to, rewrite(&text, mappings)).map_err(Error::io("cannot be written", to))?;
        }
    }
    Ok(())
}

/// Replaces every inside path by its host path, in one pass so that a host path
/// is never rewritten again.
fn rewrite(text: &str, mappings: &[(String, String)]) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = None;
    while let Some(character) = rest.chars().next() {
        let found = mappings.iter().find(|(inside, _)| {
            begins_path(previous)
                && rest
                    .strip_prefix(inside.as_str())
                    .is_some_and(|after| ends_component(after.chars().next()))
        });
        let (taken, put) = match found {
            Some((inside, host)) => (inside.len(), host.as_str()),
            None => (character.len_utf8(), &rest[..character.len_utf8()]),
        };
        rewritten.push_str(put);
        previous = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    rewritten
}

/// Whether a `/` after `previous` can be the root: not in `a/b`, `./b`, `$X/b`,
/// `${X}/b`, `$(x)/b`, `~/b` or `//b`.
fn begins_path(previous: Option<char>) -> bool {
    previous.is_none_or(|previous| !(previous.is_alphanumeric() || "_./-~*})]".contains(previous)))
}

/// Whether a path component is complete before `next`.
fn ends_component(next: Option<char>) -> bool {
    next.is_none_or(|next| !(next.is_alphanumeric() || "_.-".contains(next)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mappings() -> Vec<(String, String)> {
        [
            ("/tests", "/h/tests"),
            ("/app", "/h/app"),
            ("/tmp", "/tmp/t"),
        ]
        .map(|(inside, host)| (inside.to_owned(), host.to_owned()))
        .to_vec()
    }

    #[test]
    fn rewrites_what_looks_like_a_path() {
        for (text, expected) in [
            ("cd /app && ls", "cd /h/app && ls"),
            ("cat '/app/x' >/tmp/y", "cat '/h/app/x' >/tmp/t/y"),
            ("/app", "/h/app"),
            ("A=/app:/tests", "A=/h/app:/h/tests"),
            ("bash /tests/test.sh", "bash /h/tests/test.sh"),
        ] {
            assert_eq!(rewrite(text, &mappings()), expected);
        }
    }

    #[test]
    fn leaves_other_text_alone() {
        for text in [
            "/application /app.py /app-x /app_x",
            "src/app ./app $HOME/app ${X}/app $(pwd)/app ~/app //app",
            "é/tmpfile",
        ] {
            assert_eq!(rewrite(text, &mappings()), text);
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_is_the_identity_without_mounts(text in "(/app|/tmp|.){0,40}") {
            let _ = rewrite(&text, &mappings());
            prop_assert_eq!(rewrite(&text, &[]), text);
        }
    }
}
