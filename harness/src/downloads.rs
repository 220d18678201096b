//! Public datasets: which there are, and bringing them to this machine.
//!
//! Nothing here is needed for the embedded suites. What is fetched lies in a cache, one
//! folder for each dataset:
//!
//! ```text
//! <cache>/<name>/<file>           the file as it was served
//! <cache>/<name>/<file>.sha256    its checksum, for sha256sum
//! <cache>/<name>/<file>.part      what came so far of an unfinished download
//! <cache>/<name>/content/         what an archive holds
//! ```

mod archive;
mod fetch;
mod http;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};

pub use archive::{Unpacked, unpack};
pub use fetch::{Fetched, Waiting, fetch};

use crate::error::Error;
use crate::read;

/// What is known without a catalogue of one's own.
const SHIPPED: &str = include_str!("downloads/catalogue.toml");

/// The folder inside a dataset's that an archive is unpacked to.
pub const CONTENT: &str = "content";

/// One dataset of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Where it is served.
    pub url: String,
    /// What the file is called here; the end of the URL unless said otherwise.
    pub file: Option<String>,
    /// Under which terms.
    pub licence: String,
    /// Checksum of the file, in hexadecimal digits; recorded at the first fetch when absent.
    pub sha256: Option<String>,
    /// It is a `.tar.gz` whose content is wanted.
    #[serde(default)]
    pub unpack: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    dataset: BTreeMap<String, Dataset>,
}

impl Dataset {
    /// What the file is called in the cache.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let last = || self.url.rsplit('/').next().unwrap_or_default();
        self.file.as_deref().unwrap_or_else(last)
    }

    /// Its folder in the cache.
    #[must_use]
    pub fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(&self.name)
    }

    /// The file in the cache.
    #[must_use]
    pub fn path(&self, cache: &Path) -> PathBuf {
        self.folder(cache).join(self.file_name())
    }

    /// The checksum that the file has to have: the catalogue's, else the one recorded when
    /// it was fetched first.
    ///
    /// # Errors
    /// [`Error::Suite`] when the record cannot be read.
    pub fn expected(&self, cache: &Path) -> Result<Option<String>, Error> {
        if let Some(pinned) = &self.sha256 {
            return Ok(Some(pinned.to_ascii_lowercase()));
        }
        let record = with_ending(&self.path(cache), "sha256");
        if !record.exists() {
            return Ok(None);
        }
        let text = read::text(&record)?;
        Ok(text.split_whitespace().next().map(str::to_owned))
    }
}

/// The datasets of the shipped catalogue, or of a file of the same form.
///
/// # Errors
/// [`Error::Config`] with file, line and field.
pub fn catalogue(file: Option<&Path>) -> Result<Vec<Dataset>, Error> {
    let (place, text) = match file {
        None => (
            PathBuf::from("downloads/catalogue.toml"),
            SHIPPED.to_owned(),
        ),
        Some(file) => {
            let text = read::text(file)?;
            (file.to_owned(), text)
        }
    };
    let parsed: Catalogue = toml::from_str(&text)
        .map_err(|error| Error::config(&place, error.to_string().trim_end().to_owned()))?;
    let mut datasets = Vec::with_capacity(parsed.dataset.len());
    for (name, dataset) in parsed.dataset {
        let dataset = Dataset { name, ..dataset };
        let wrong = |field: &str, problem: &str| Error::Config {
            place: format!("{}: dataset.{}.{field}", place.display(), dataset.name),
            problem: problem.to_owned(),
        };
        if !timeslip_datasets::is_plain_name(&dataset.name) {
            return Err(wrong(
                "name",
                "is not plain; use letters, digits, '-', '_' and '.'",
            ));
        }
        if !timeslip_datasets::is_plain_name(dataset.file_name()) {
            return Err(wrong("file", "is not a plain file name; set one"));
        }
        let digits =
            |sum: &String| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !dataset.sha256.as_ref().is_none_or(digits) {
            return Err(wrong("sha256", "is not 64 hexadecimal digits"));
        }
        datasets.push(dataset);
    }
    Ok(datasets)
}

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// Whatever reading meets.
pub fn sha256(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut open = File::open(file)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match open.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// `file.ending`
fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalogue_is_well_formed() {
        let datasets = catalogue(None).unwrap();
        assert!(datasets.len() >= 7);
        for dataset in datasets {
            assert!(dataset.url.starts_with("https://"), "{}", dataset.url);
            assert!(!dataset.licence.is_empty() && !dataset.about.is_empty());
        }
    }

    #[test]
    fn a_catalogue_cannot_write_outside_its_cache() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        let error = |table: &str| {
            let rest = "about = 'a'\nlicence = 'l'\n";
            std::fs::write(&file, format!("{table}\n{rest}")).unwrap();
            let error = catalogue(Some(&file)).unwrap_err().to_string();
            error.replace(&format!("{}/", folder.path().display()), "")
        };
        insta::assert_snapshot!(error("[dataset.'../x']\nurl = 'http://h/f'"), @"c.toml: dataset.../x.name: is not plain; use letters, digits, '-', '_' and '.'");
        insta::assert_snapshot!(error("[dataset.x]\nurl = 'http://h/..'"), @"c.toml: dataset.x.file: is not a plain file name; set one");
        insta::assert_snapshot!(error("[dataset.x]\nurl = 'http://h/f'\nfile = 'a/b'"), @"c.toml: dataset.x.file: is not a plain file name; set one");
        insta::assert_snapshot!(error("[dataset.x]\nurl = 'http://h/f'\nsha256 = 'abc'"), @"c.toml: dataset.x.sha256: is not 64 hexadecimal digits");
    }
}
