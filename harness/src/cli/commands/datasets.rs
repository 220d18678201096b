//! `timeslip datasets`: public datasets, and bringing them here.

use std::path::{Path, PathBuf};

use timeslip_datasets::text::plural;

use crate::cache;
use crate::console::say;
use crate::downloads::{self, CONTENT, Dataset, Waiting};
use crate::error::Error;
use crate::exit;

/// List, fetch and check public datasets
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where datasets are kept [default: $XDG_CACHE_HOME/timeslip/datasets]
    #[arg(long, value_name = "DIR", global = true)]
    cache: Option<PathBuf>,
    /// Another catalogue than the shipped one, e.g. of a mirror
    #[arg(long, value_name = "FILE", global = true)]
    catalogue: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what there is, under which licence, and what of it is here
    List,
    /// Fetch datasets by name; an interrupted fetch goes on where it ended
    Fetch {
        /// What to fetch
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Check the checksums of what is here
    Verify {
        /// What to check [default: all that is here]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let all = downloads::catalogue(arguments.catalogue.as_deref())?;
    let cache = match &arguments.cache {
        Some(cache) => cache.clone(),
        None => cache::folder("datasets")?,
    };
    match &arguments.command {
        Command::List => list(&all, &cache),
        Command::Fetch { names } => fetch(&chosen(&all, names)?, &cache),
        Command::Verify { names } => {
            let here = all.iter().filter(|dataset| dataset.path(&cache).is_file());
            let chosen = match names[..] {
                [] => here.collect(),
                _ => chosen(&all, names)?,
            };
            verify(&chosen, &cache)
        }
    }
}

fn chosen<'a>(all: &'a [Dataset], names: &[String]) -> Result<Vec<&'a Dataset>, Error> {
    let find = |name: &String| {
        let found = all.iter().find(|dataset| dataset.name == *name);
        found.ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|dataset| dataset.name.as_str()).collect();
            Error::Config {
                place: format!("dataset '{name}'"),
                problem: format!("is not known; known are {}", known.join(", ")),
            }
        })
    };
    names.iter().map(find).collect()
}

fn list(all: &[Dataset], cache: &Path) -> Result<u8, Error> {
    let width = all
        .iter()
        .map(|dataset| dataset.name.len())
        .max()
        .unwrap_or(0);
    for dataset in all {
        let state = match (dataset.path(cache).is_file(), &dataset.sha256) {
            (true, _) => "here",
            (false, Some(_)) => "checksum known",
            (false, None) => "checksum recorded at the first fetch",
        };
        let name = &dataset.name;
        super::print(&format!(
            "{name:width$}  {}\n{:width$}  {} · {state}\n{:width$}  {}\n",
            dataset.about, "", dataset.licence, "", dataset.url
        ))?;
    }
    super::print(&format!("\nfetched to {}\n", cache.display()))
}

fn fetch(chosen: &[&Dataset], cache: &Path) -> Result<u8, Error> {
    let runtime = super::runtime()?;
    for dataset in chosen {
        let name = &dataset.name;
        say(&format!("{name}: {} ({})", dataset.url, dataset.licence));
        let fetched = runtime.block_on(downloads::fetch(dataset, cache, Waiting::default()))?;
        let how = match (fetched.cached, fetched.resumed_from) {
            (true, _) => "is here already".to_owned(),
            (false, 0) => "fetched".to_owned(),
            (false, bytes) => format!("fetched, going on after {bytes} bytes"),
        };
        let trust = if fetched.compared {
            "as it should be"
        } else {
            "recorded now: nothing was known to compare it with"
        };
        super::print(&format!(
            "{name}: {how}: {}\n  SHA-256 {} ({trust})\n",
            fetched.path.display(),
            fetched.sha256
        ))?;
        if dataset.unpack {
            let content = dataset.folder(cache).join(CONTENT);
            if !(fetched.cached && content.is_dir()) {
                let unpacked = downloads::unpack(name, &fetched.path, &content)?;
                let files = unpacked.files;
                super::print(&format!(
                    "  {} in {}\n",
                    plural(files, "file"),
                    content.display()
                ))?;
                if unpacked.left_out > 0 {
                    say(&format!(
                        "warning: {name}: {} links or devices of the archive were left out",
                        unpacked.left_out
                    ));
                }
            }
        }
    }
    Ok(exit::PASS)
}

fn verify(chosen: &[&Dataset], cache: &Path) -> Result<u8, Error> {
    let mut good = true;
    for dataset in chosen {
        let path = dataset.path(cache);
        let verdict = if path.is_file() {
            let sum = downloads::sha256(&path)
                .map_err(Error::system(format!("cannot read {}", path.display())))?;
            match dataset.expected(cache)? {
                Some(expected) if expected == sum => "ok".to_owned(),
                Some(expected) => format!("CHANGED: its SHA-256 is {sum}, not {expected}"),
                None => "UNKNOWN: no checksum was recorded".to_owned(),
            }
        } else {
            "MISSING".to_owned()
        };
        good &= verdict == "ok";
        super::print(&format!("{}: {verdict}\n", dataset.name))?;
    }
    if chosen.is_empty() {
        say("nothing was fetched so far");
    }
    Ok(if good { exit::PASS } else { exit::INVALID })
}
