//! The programs of agents, installed once and mounted into every trial.
//!
//! ```text
//! <cache>/agents/<name>-<version>-<hash>/    what npm or pip installed
//!                                 layer.json what it is; written last: without it nothing counts
//! <cache>/agents/<name>.lock                 held while one is installed
//! ```
//!
//! A virtual environment of Python holds its own path, so a layer is made where it stays and
//! appears inside a sandbox at the same path.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use timeslip_datasets::atomic;

use super::adapter::{Adapter, Install, Installer};
use crate::cache;
use crate::error::Error;

/// What says that a layer is whole.
const RECORD: &str = "layer.json";

/// Trees that every sandbox shows.
const SHOWN: [&str; 2] = ["/usr", "/opt"];

/// Longest first line of a program that is read.
const LONGEST_LINE: u64 = 4096;

/// Where layers are kept.
#[derive(Clone, Debug)]
pub struct Layers {
    folder: PathBuf,
}

/// The programs of one agent, ready to be mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Where they are, here and inside; `None` for programs that are in every sandbox.
    pub path: Option<PathBuf>,
    /// The version as the agent itself prints it.
    pub version: String,
    /// Further directories that they need, here and inside.
    pub needs: Vec<PathBuf>,
    programs: PathBuf,
}

/// The content of [`RECORD`].
#[derive(Debug, Serialize, Deserialize)]
struct LayerRecord {
    packages: Vec<String>,
    version: String,
    needs: Vec<PathBuf>,
}

impl Layers {
    /// The user's own: `$XDG_CACHE_HOME/timeslip/agents`, or below `~/.cache`.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no home.
    pub fn of_user() -> Result<Self, Error> {
        let folder = cache::folder("agents")?;
        Ok(Layers { folder })
    }

    /// The layer of an agent, if it is there.
    #[must_use]
    pub fn find(&self, adapter: &Adapter) -> Option<Layer> {
        let Some(install) = &adapter.install else {
            return Some(Layer {
                path: adapter.folder.clone(),
                version: adapter.version.clone(),
                needs: Vec::new(),
                programs: adapter.folder.clone().unwrap_or_default(),
            });
        };
        let path = self.place(adapter, install);
        let text = fs::read_to_string(path.join(RECORD)).ok()?;
        let record: LayerRecord = serde_json::from_str(&text).ok()?;
        Some(Layer {
            programs: path.join(install.from.programs()),
            path: Some(path),
            version: record.version,
            needs: record.needs,
        })
    }

    /// The layer of an agent, which is installed if it is not there; `before` is called first
    /// in that case. Who asks for it at the same time waits.
    ///
    /// # Errors
    /// [`Error::Agent`] with what the installer said; nothing counts as installed then.
    pub fn install(&self, adapter: &Adapter, before: impl FnOnce()) -> Result<Layer, Error> {
        let failed = |problem: String| Error::Agent {
            agent: adapter.name.clone(),
            problem,
        };
        let missing = |install: &Install| {
            let path = self.place(adapter, install);
            before();
            let writing = |error: io::Error| failed(format!("{}: {error}", path.display()));
            if path.exists() {
                // Of an installation that was cut off.
                fs::remove_dir_all(&path).map_err(writing)?;
            }
            fs::create_dir_all(&path).map_err(writing)?;
            let packages = install.packages(&adapter.version);
            let needs = install.from.run(&path, &packages).map_err(failed)?;
            let layer = Layer {
                programs: path.join(install.from.programs()),
                path: Some(path.clone()),
                version: String::new(),
                needs: needs.clone(),
            };
            let version = layer.ask_version(adapter).map_err(failed)?;
            let record = LayerRecord {
                packages,
                version: version.clone(),
                needs,
            };
            let text = serde_json::to_vec_pretty(&record).map_err(io::Error::from);
            text.and_then(|text| atomic::write(&path.join(RECORD), &text))
                .map_err(writing)?;
            Ok(Layer { version, ..layer })
        };
        if let Some(layer) = self.find(adapter) {
            return Ok(layer);
        }
        let _lock = self.lock(&adapter.name)?;
        match (self.find(adapter), &adapter.install) {
            (None, Some(install)) => missing(install),
            (layer, _) => Ok(layer.unwrap_or_default()),
        }
    }

    fn lock(&self, name: &str) -> Result<File, Error> {
        let path = self.folder.join(format!("{name}.lock"));
        let locked = fs::create_dir_all(&self.folder)
            .and_then(|()| File::create(&path))
            .and_then(|file| file.lock().map(|()| file));
        locked.map_err(Error::system(format!("cannot lock {}", path.display())))
    }

    /// Where an agent is installed; what it consists of is part of the name.
    fn place(&self, adapter: &Adapter, install: &Install) -> PathBuf {
        let Adapter { name, version, .. } = adapter;
        let parts = install.packages(version).join("\n");
        let parts = format!("{parts}\n{}", std::env::consts::ARCH);
        let hash = HEXLOWER.encode(&Sha256::digest(parts)[..4]);
        self.folder.join(format!("{name}-{version}-{hash}"))
    }
}

impl Layer {
    /// The words that start one of its programs: its path, after that of its interpreter where
    /// the layer has one of its own. What is no program of the layer is left to the sandbox.
    #[must_use]
    pub fn program(&self, name: &str) -> Vec<String> {
        let path = self.programs.join(name);
        if name.contains('/') || self.path.is_none() || !path.exists() {
            return vec![name.to_owned()];
        }
        let node = self.programs.join("node");
        let words = match node.exists() && first_line(&path).ends_with("node") {
            true => vec![node, path],
            false => vec![path],
        };
        let words = words.into_iter();
        words
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    /// The version that the agent itself prints.
    fn ask_version(&self, adapter: &Adapter) -> Result<String, String> {
        let Some((name, arguments)) = adapter.ask_version.split_first() else {
            return Ok(adapter.version.clone());
        };
        let words = self.program(name);
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(arguments)
            // Its configuration is not the user's.
            .env("HOME", home.path());
        let shown = adapter.ask_version.join(" ");
        let printed = output(&mut command).map_err(|problem| format!("`{shown}`: {problem}"))?;
        let text = format!("{}\n{}", printed.out, printed.error);
        let line = text.lines().find(|line| line.contains(&adapter.version));
        match line {
            Some(line) => Ok(line.trim().chars().take(200).collect()),
            None => Err(format!(
                "`{shown}` prints '{}', which is not version {}",
                text.trim(),
                adapter.version
            )),
        }
    }
}

impl Install {
    /// What is installed, as the registry's installer reads it.
    fn packages(&self, version: &str) -> Vec<String> {
        let own = match self.from {
            Installer::Npm => format!("{}@{version}", self.package),
            Installer::Pypi => format!("{}=={version}", self.package),
        };
        std::iter::once(own).chain(self.with.clone()).collect()
    }
}

impl Installer {
    /// The folder of a layer that holds its programs.
    fn programs(self) -> &'static str {
        match self {
            Installer::Npm => "node_modules/.bin",
            Installer::Pypi => "bin",
        }
    }

    /// Installs packages; gives the directories outside the layer that they need.
    fn run(self, layer: &Path, packages: &[String]) -> Result<Vec<PathBuf>, String> {
        match self {
            Installer::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
                output(npm.arg("--prefix").arg(layer).args(packages))
                    .map_err(|problem| format!("npm: {problem}"))?;
                Ok(Vec::new())
            }
            Installer::Pypi => {
                let failed = |problem| format!("pip: {problem}");
                output(Command::new("python3").args(["-m", "venv"]).arg(layer)).map_err(failed)?;
                let mut pip = Command::new(layer.join("bin/pip"));
                output(pip.args(["install", "--quiet"]).args(packages)).map_err(failed)?;
                let mut python = Command::new(layer.join("bin/python3"));
                let asked = python.args(["-c", "import sys; print(sys.base_prefix)"]);
                let prefix = PathBuf::from(output(asked).map_err(failed)?.out);
                let shown = SHOWN.iter().any(|tree| prefix.starts_with(tree));
                Ok(Vec::from_iter((!shown).then_some(prefix)))
            }
        }
    }
}

/// What a program printed.
struct Printed {
    out: String,
    error: String,
}

/// Runs a program to its end; what it prints, or what it complains of.
fn output(command: &mut Command) -> Result<Printed, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "; install it",
            _ => "",
        };
        format!("cannot run {program}: {error}{advice}")
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let printed = Printed {
        out: text(&done.stdout),
        error: text(&done.stderr),
    };
    match (done.status.success(), printed.error.is_empty()) {
        (true, _) => Ok(printed),
        (false, true) => Err(format!("{} ({})", printed.out, done.status)),
        (false, false) => Err(format!("{} ({})", printed.error, done.status)),
    }
}

/// The first line of a file, as far as it is text.
fn first_line(path: &Path) -> String {
    let mut line = Vec::new();
    let read = File::open(path)
        .and_then(|file| BufReader::new(file.take(LONGEST_LINE)).read_until(b'\n', &mut line));
    match read {
        Ok(_) => String::from_utf8_lossy(&line).trim_end().to_owned(),
        Err(_) => String::new(),
    }
}
