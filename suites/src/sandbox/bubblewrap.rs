//! The command line of `bwrap`: a fresh root with a read-only system and nothing
//! of the user's.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cgroup::{self, Group};
use super::{Backend, ENVIRONMENT, HOSTNAME, Invocation, Root, TMP, supervise};
use crate::{Error, Result};

/// An installed `bwrap`, and what of this machine its sandboxes show.
#[derive(Clone, Debug)]
pub(super) struct Bubblewrap {
    program: PathBuf,
    system: Vec<OsString>,
}

/// Links into `/usr` on most systems, directories on some.
const USR_ALIASES: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Trees that hold programs and nothing personal.
const SYSTEM_TREES: [&str; 4] = ["/usr", "/opt", "/nix/store", "/gnu/store"];

/// What programs need of `/etc`: names of users, the linker's view, alternatives,
/// time zone, certificates.
const ETC: [&str; 15] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/timezone",
];

/// All namespaces, no capabilities even for root, no terminal to push input into,
/// and no life beyond ours.
const ISOLATION: [&str; 7] = [
    "--unshare-all",
    "--hostname",
    HOSTNAME,
    "--cap-drop",
    "ALL",
    "--new-session",
    "--die-with-parent",
];

/// In a root file system of its own the user is root, as in a container.
const BECOME_ROOT: &[&str] = &["--unshare-user", "--uid", "0", "--gid", "0"];

/// What programs in a root file system of their own rely on and containers have. Nothing
/// of this machine is below the root that one could get out of. A bubblewrap that is
/// setuid gives it to root alone.
const CONTAINER_CAPABILITIES: &[&str] = &["--cap-add", "CAP_SYS_CHROOT"];

impl Bubblewrap {
    pub(super) fn find() -> Result<Self> {
        let program = find_program("bwrap").ok_or_else(|| Error::Sandbox {
            backend: Backend::Bubblewrap.name(),
            message: "bwrap is not installed; install the package `bubblewrap`".to_owned(),
        })?;
        Ok(Self {
            program,
            system: system_arguments(),
        })
    }

    pub(super) fn command(&self, invocation: &Invocation, group: Option<&Group>) -> Command {
        let mut command = cgroup::command(&self.program, group);
        command
            .env_clear()
            .envs(ENVIRONMENT)
            .envs(home(invocation))
            .envs(
                invocation
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .args(ISOLATION);
        match invocation.root.as_ref().and_then(Root::path) {
            Some(root) => {
                command.args(match rustix::process::geteuid().is_root() {
                    true => CONTAINER_CAPABILITIES,
                    false => BECOME_ROOT,
                });
                command.arg("--bind").arg(root).arg("/");
            }
            None => {
                command.args(&self.system);
            }
        }
        command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", TMP]);
        for mount in &invocation.mounts {
            let bind = if mount.writable {
                "--bind"
            } else {
                "--ro-bind"
            };
            command.arg(bind).arg(&mount.host).arg(&mount.inside);
        }
        if invocation.root.is_none() {
            command.args(["--remount-ro", "/"]);
        }
        command
            .args(["--chdir", "/", "--", "bash"])
            .args(supervise::launcher_arguments(
                &invocation.command,
                &invocation.working_directory,
                &invocation.limits,
                group,
            ));
        command
    }
}

/// A root file system of its own has its user's home directory, too.
fn home(invocation: &Invocation) -> Option<(&'static str, &'static str)> {
    let root = invocation.root.as_ref().and_then(Root::path)?;
    root.join("root").is_dir().then_some(("HOME", "/root"))
}

/// The read-only part of the root, as it is laid out on this machine.
fn system_arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut bind = |path: &str| {
        if Path::new(path).exists() {
            arguments.extend(["--ro-bind", path, path].map(OsString::from));
        }
    };
    SYSTEM_TREES.iter().chain(&ETC).for_each(|path| bind(path));
    for alias in USR_ALIASES {
        match fs::read_link(alias) {
            Ok(target) => arguments.extend([
                OsString::from("--symlink"),
                target.into_os_string(),
                OsString::from(alias),
            ]),
            Err(_) if Path::new(alias).is_dir() => {
                arguments.extend(["--ro-bind", alias, alias].map(OsString::from));
            }
            Err(_) => {}
        }
    }
    arguments
}

/// Looks a program up in `PATH`; the sandboxed environment has another one.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").to_owned());
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_absolute() && candidate.is_file())
}
