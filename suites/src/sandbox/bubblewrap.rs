//! The command line of `bwrap`: a fresh root with a read-only system and nothing
//! of the user's.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use timeslip_datasets::run::journal::Warmth;

use super::backend::{self, Backend, Capabilities, DockerfileReach, Isolation, Ports};
use super::cgroup::{self, Group};
use super::execution::Execution;
use super::image::Image;
use super::invocation::Invocation;
use super::layer::Layer;
use super::root::Root;
use super::rootfs::Unpacker;
use super::{ENVIRONMENT, HOSTNAME, TMP, supervise};
use crate::path_guard::{self, PathRefusal};
use crate::{Error, Result};

/// `bwrap`: no network, own process ids, a read-only system, nothing of the user's home.
#[derive(Debug)]
pub(super) struct Bubblewrap;

const NAME: &str = "bubblewrap";

/// An installed `bwrap`, and what of this machine its sandboxes show.
#[derive(Clone, Debug)]
struct Installed {
    program: PathBuf,
    system: Vec<OsString>,
    kernel: Vec<OsString>,
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

/// Where the kernel's own files are, on this machine and inside.
const PROC: &str = "/proc";

/// How deep the kernel's own files are looked through; below is what is above them.
const PROC_DEPTH: usize = 8;

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

impl Backend for Bubblewrap {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: true,
            network: false,
            ports: Ports::Own,
            machine_system: true,
            images: false,
            users: false,
            dockerfile_reach: DockerfileReach::Everywhere,
        }
    }

    fn check(&self) -> Result<String> {
        backend::probe(NAME, &Installed::find()?)?;
        Ok("bubblewrap is installed and can isolate a command".to_owned())
    }

    fn open(&self) -> Result<Box<dyn Isolation>> {
        Ok(Box::new(Installed::find()?))
    }
}

impl Isolation for Installed {
    fn run(&self, invocation: &Invocation) -> io::Result<Execution> {
        supervise::in_group(invocation, |group| self.command(invocation, group))
    }

    fn root(&self, image: &Image, place: &Path, _run: &str) -> Result<(Root, Warmth)> {
        let (directory, warmth) = self.unpacker().directory(image)?;
        let layer = Layer::over(&directory, place)?;
        name_this_machine(layer.path())?;
        Ok((Root::new(layer), warmth))
    }

    fn fetch(&self, image: &Image) -> Result<()> {
        self.unpacker().directory(image).map(drop)
    }

    fn warnings(&self) -> Vec<String> {
        supervise::warnings()
    }
}

impl Installed {
    /// The program as the user's `PATH` has it; the sandboxed environment has another one.
    fn find() -> Result<Self> {
        let program = which::which("bwrap").map_err(|_| {
            let message = "bwrap is not installed; install the package `bubblewrap`";
            backend::failure(NAME, message.to_owned())
        })?;
        Ok(Self {
            program,
            system: system_arguments(),
            kernel: kernel_arguments(Path::new(PROC)),
        })
    }

    fn unpacker(&self) -> Unpacker<'_> {
        Unpacker {
            backend: NAME,
            isolation: self,
        }
    }

    fn command(&self, invocation: &Invocation, group: Option<&Group>) -> Command {
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
        command.args(["--proc", PROC]).args(&self.kernel);
        command.args(["--dev", "/dev", "--tmpfs", TMP]);
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
                invocation,
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

/// Covers what of the kernel's own files could be written. Settings of the whole machine
/// belong to its root whatever their mode says to a capability, so that dropping all
/// capabilities does not protect them; bubblewrap itself covers only some of them. What
/// belongs to a process is of those inside, and stays.
fn kernel_arguments(proc: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let of_a_process = |name: &OsString| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let mut writable: Vec<OsString> = entries
        .filter(|entry| !of_a_process(&entry.file_name()))
        .map(|entry| entry.path())
        .filter(|path| holds_writable(path, PROC_DEPTH))
        .map(PathBuf::into_os_string)
        .collect();
    writable.sort();
    let cover = |path: OsString| [OsString::from("--ro-bind-try"), path.clone(), path];
    writable.into_iter().flat_map(cover).collect()
}

/// Whether anybody may write to a file, or to one below a directory. What is too deep, or
/// cannot be listed, counts as if one could.
fn holds_writable(path: &Path, depth: usize) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else {
        return false;
    };
    if !found.is_dir() {
        return !found.is_symlink() && found.permissions().mode() & 0o222 != 0;
    }
    match fs::read_dir(path) {
        Ok(entries) if depth > 0 => entries
            .flatten()
            .any(|entry| holds_writable(&entry.path(), depth - 1)),
        _ => true,
    }
}

/// Writes down the names of the machine itself, which container engines do as well: a
/// root file system without them does not know `localhost`.
fn name_this_machine(root: &Path) -> Result<()> {
    let hosts = Path::new("etc/hosts");
    if fs::symlink_metadata(root.join(hosts)).is_ok() {
        return Ok(());
    }
    let failed = |refusal: PathRefusal| Error::Sandbox {
        backend: "root file system",
        message: format!("/etc/hosts {refusal}"),
    };
    let mut file = path_guard::create(root, hosts).map_err(failed)?;
    let names = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{HOSTNAME}\n");
    let written = file.write_all(names.as_bytes());
    written.map_err(|error| failed(error.into()))
}
