//! Brings one file to the cache: resumable, checked, and there only when whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use timeslip_datasets::atomic;

use super::http::{self, From};
use super::{Dataset, sha256, with_ending};
use crate::error::Error;

/// More than any file of the catalogue; a server must not fill the disk.
const MAX_BYTES: u64 = 4 << 30;

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Longest silence.
    pub silence: Duration,
    /// Tries after the first; each goes on where the one before ended.
    pub retries: u32,
    /// Time before the first retry, doubled for every further one.
    pub pause: Duration,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting {
            silence: Duration::from_secs(60),
            retries: 5,
            pause: Duration::from_secs(1),
        }
    }
}

/// A file that is in the cache, whole and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Its checksum.
    pub sha256: String,
    /// It was compared with a checksum that was known before.
    pub compared: bool,
    /// It was there already.
    pub cached: bool,
    /// Bytes that an earlier download had brought.
    pub resumed_from: u64,
}

/// Brings a dataset's file to `cache`. Where it is already, it is only checked.
///
/// # Errors
/// [`Error::Download`] when the server fails or what it gave has another checksum,
/// [`Error::System`] when the cache cannot be written.
pub async fn fetch(dataset: &Dataset, cache: &Path, waiting: Waiting) -> Result<Fetched, Error> {
    let failed = |problem: String| Error::Download {
        dataset: dataset.name.clone(),
        problem,
    };
    let folder = dataset.folder(cache);
    let writing = || Error::system(format!("cannot write {}", folder.display()));
    fs::create_dir_all(&folder).map_err(writing())?;
    // Two fetches of one dataset would write into each other's file.
    let lock = File::create(folder.join(".lock")).map_err(writing())?;
    if lock.try_lock().is_err() {
        return Err(failed("is being fetched by another timeslip".into()));
    }
    let path = dataset.path(cache);
    let expected = dataset.expected(cache)?;
    if path.is_file() {
        let sum = sha256(&path).map_err(writing())?;
        if expected.as_ref().is_some_and(|expected| *expected != sum) {
            return Err(failed(differs(&path, &sum, expected.as_deref())));
        }
        return Ok(Fetched {
            path,
            sha256: sum,
            compared: expected.is_some(),
            cached: true,
            resumed_from: 0,
        });
    }
    let part = Part::open(&path).map_err(writing())?;
    let resumed_from = part.length().map_err(writing())?;
    download(dataset, &part, waiting)
        .await
        .map_err(|problem| match problem {
            Trouble::Server(problem) => failed(problem),
            Trouble::Disk(error) => writing()(error),
        })?;
    let sum = sha256(&part.file).map_err(writing())?;
    if expected.as_ref().is_some_and(|expected| *expected != sum) {
        let problem = differs(&part.file, &sum, expected.as_deref());
        part.forget().map_err(writing())?;
        return Err(failed(format!("{problem}; what came was removed")));
    }
    let record = format!("{sum}  {}\n", dataset.file_name());
    atomic::write(&with_ending(&path, "sha256"), record.as_bytes()).map_err(writing())?;
    fs::rename(&part.file, &path).map_err(writing())?;
    part.forget().map_err(writing())?;
    Ok(Fetched {
        path,
        sha256: sum,
        compared: expected.is_some(),
        cached: false,
        resumed_from,
    })
}

fn differs(path: &Path, sum: &str, expected: Option<&str>) -> String {
    format!(
        "{} has the SHA-256 {sum}, not {} as it should",
        path.display(),
        expected.unwrap_or_default()
    )
}

/// Why a download ended early.
enum Trouble {
    Server(String),
    Disk(std::io::Error),
}

impl std::convert::From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Trouble::Disk(error)
    }
}

/// What came so far, and the tag of what it is a part of.
struct Part {
    file: PathBuf,
    tag: PathBuf,
}

impl Part {
    /// What is there already, unless nothing says what it is a part of.
    fn open(path: &Path) -> std::io::Result<Self> {
        let part = Part {
            file: with_ending(path, "part"),
            tag: with_ending(path, "part.tag"),
        };
        if part.file.exists() && !part.tag.exists() {
            fs::remove_file(&part.file)?;
        }
        Ok(part)
    }

    fn length(&self) -> std::io::Result<u64> {
        match self.file.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn resume(&self) -> std::io::Result<Option<From>> {
        let byte = self.length()?;
        if byte == 0 || !self.tag.exists() {
            return Ok(None);
        }
        let tag = fs::read_to_string(&self.tag)?;
        Ok(Some(From { byte, tag }))
    }

    /// Begins anew, with what the response says it is.
    fn restart(&self, response: &Response) -> std::io::Result<File> {
        let tag = response.headers().get(header::ETAG);
        // A weak tag does not tell whether bytes are the same.
        let strong = tag
            .and_then(|tag| tag.to_str().ok())
            .filter(|tag| !tag.starts_with("W/"));
        match strong {
            Some(tag) => fs::write(&self.tag, tag)?,
            None if self.tag.exists() => fs::remove_file(&self.tag)?,
            None => {}
        }
        File::create(&self.file)
    }

    fn forget(&self) -> std::io::Result<()> {
        for file in [&self.file, &self.tag] {
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }
}

/// Downloads until the part is whole.
async fn download(dataset: &Dataset, part: &Part, waiting: Waiting) -> Result<(), Trouble> {
    let mut pause = waiting.pause;
    let mut retries = 0;
    loop {
        let problem = match attempt(dataset, part, waiting.silence).await {
            Ok(()) => return Ok(()),
            Err(Ended::Retry(problem)) => problem,
            Err(Ended::GiveUp(trouble)) => return Err(trouble),
        };
        if retries == waiting.retries {
            let came = part.length()?;
            return Err(Trouble::Server(format!(
                "{problem} ({came} bytes came so far; fetching again goes on from there where the server can)"
            )));
        }
        retries += 1;
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

enum Ended {
    Retry(String),
    GiveUp(Trouble),
}

impl std::convert::From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Ended::GiveUp(Trouble::Disk(error))
    }
}

async fn attempt(dataset: &Dataset, part: &Part, silence: Duration) -> Result<(), Ended> {
    let give_up = |problem: String| Ended::GiveUp(Trouble::Server(problem));
    let from = part.resume()?;
    let mut response = http::get(&dataset.url, from.as_ref(), silence)
        .await
        .map_err(|problem| match problem {
            http::Problem::Passing(problem) => Ended::Retry(problem),
            http::Problem::Lasting(problem) => give_up(problem),
        })?;
    let status = response.status();
    let mut length = 0;
    let mut file = match (&from, status) {
        (Some(from), StatusCode::PARTIAL_CONTENT) => {
            if range_start(&response) != Some(from.byte) {
                part.forget()?;
                return Err(Ended::Retry(
                    "the server continued elsewhere than asked".into(),
                ));
            }
            length = from.byte;
            OpenOptions::new().append(true).open(&part.file)?
        }
        (_, StatusCode::OK) => part.restart(&response)?,
        (Some(_), StatusCode::RANGE_NOT_SATISFIABLE) => {
            part.forget()?;
            return Err(Ended::Retry(
                "there is nothing behind what came before".into(),
            ));
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Ended::Retry(format!("{} answers {status}", dataset.url)));
        }
        _ => return Err(give_up(format!("{} answers {status}", dataset.url))),
    };
    loop {
        let data = match tokio::time::timeout(silence, response.chunk()).await {
            Err(_) => return Err(Ended::Retry(format!("nothing came for {silence:?}"))),
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                return Err(Ended::Retry(format!("the connection was cut: {error}")));
            }
            Ok(Ok(Some(data))) => data,
        };
        length += data.len() as u64;
        if length > MAX_BYTES {
            drop(file);
            part.forget()?;
            return Err(give_up(format!("is larger than {MAX_BYTES} bytes")));
        }
        file.write_all(&data)?;
    }
    file.sync_all()?;
    Ok(())
}

/// The first byte of `Content-Range: bytes 5-9/10`.
fn range_start(response: &Response) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?;
    let range = range.to_str().ok()?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}
