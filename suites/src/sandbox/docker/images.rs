//! Makes images available to an engine: finds, pulls, builds or imports them.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::thread;

use bollard::body_try_stream;
use bollard::models::ImageInspect;
use bollard::query_parameters::{BuildImageOptions, CreateImageOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::super::image::Image;
use super::engine::{ContainerEngine, EngineImage};

const PIECE: usize = 64 * 1024;

impl ContainerEngine {
    /// Makes an image available, once in the life of this process.
    pub(super) fn image(&self, image: &Image) -> Result<EngineImage, String> {
        let slot = self.slot(image);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &*slot {
            return Ok(ready.clone());
        }
        let name = match image {
            Image::Reference(name) => {
                if self.inspect(name).is_err() {
                    self.pull(name)?;
                }
                name.clone()
            }
            Image::Directory(path) | Image::Archive(path) => {
                let name = format!("timeslip-rootfs-{}", key(path)?);
                if self.inspect(&name).is_err() {
                    self.import(image, path, &name)?;
                }
                name
            }
            Image::Build {
                context,
                dockerfile,
            } => {
                let name = format!("timeslip-build-{}", key(context)?);
                self.build(context, dockerfile, &name)?;
                name
            }
        };
        let found = self.inspect(&name)?;
        let config = found.config.unwrap_or_default();
        let variables = config.env.unwrap_or_default();
        let path = variables.iter().find_map(|line| line.strip_prefix("PATH="));
        let ready = EngineImage {
            id: found.id.unwrap_or(name),
            search_path: path.map(str::to_owned),
            user: config.user.filter(|user| !user.is_empty()),
            working_directory: config
                .working_dir
                .filter(|path| !path.is_empty())
                .unwrap_or_else(|| "/".to_owned()),
        };
        Ok(slot.insert(ready).clone())
    }

    fn inspect(&self, name: &str) -> Result<ImageInspect, String> {
        self.wait(self.docker.inspect_image(name))
    }

    fn pull(&self, name: &str) -> Result<(), String> {
        // A name without a tag would pull all of them.
        let last = name.rsplit('/').next().unwrap_or_default();
        let tagged = last.contains([':', '@']);
        let options = CreateImageOptions {
            from_image: Some(if tagged {
                name.to_owned()
            } else {
                format!("{name}:latest")
            }),
            ..Default::default()
        };
        let progress = self.docker.create_image(Some(options), None, None);
        self.wait(progress.try_for_each(|_| async { Ok(()) }))
            .map_err(|error| {
                format!("the image {name} is not here and cannot be pulled ({error}); load or import it, or name a rootfs")
            })
    }

    fn import(&self, image: &Image, path: &Path, name: &str) -> Result<(), String> {
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            // Podman ignores a tag given on its own.
            repo: Some(name.to_owned()),
            ..Default::default()
        };
        let archive: Box<dyn Read + Send> = match image {
            Image::Directory(_) => Box::new(tar_of(path)?),
            _ => {
                Box::new(File::open(path).map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        let progress =
            self.docker
                .create_image(Some(options), Some(body_try_stream(pieces(archive))), None);
        self.wait(progress.try_for_each(|_| async { Ok(()) }))
            .map_err(|error| format!("{} could not be imported: {error}", path.display()))
    }

    fn build(&self, context: &Path, dockerfile: &str, name: &str) -> Result<(), String> {
        let options = BuildImageOptions {
            dockerfile: dockerfile.to_owned(),
            t: Some(name.to_owned()),
            rm: true,
            forcerm: true,
            ..Default::default()
        };
        let body = body_try_stream(pieces(tar_of(context)?));
        let progress = self.docker.build_image(options, None, Some(body));
        // An error comes at the end of what was printed before it.
        let mut printed = String::new();
        let built = self.wait(progress.try_for_each(|info| {
            printed.push_str(&info.stream.unwrap_or_default());
            let problem = info.error_detail.and_then(|detail| detail.message);
            async move {
                match problem {
                    Some(error) => Err(bollard::errors::Error::DockerStreamError { error }),
                    None => Ok(()),
                }
            }
        }));
        built.map_err(|error| {
            let lines: Vec<&str> = printed.lines().rev().take(12).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!(
                "{} could not be built: {error}\n{}",
                context.join(dockerfile).display(),
                lines.join("\n")
            )
        })
    }
}

/// A part of an image's name for what is at `path` now.
fn key(path: &Path) -> Result<String, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", path.display());
    let real = fs::canonicalize(path).map_err(problem)?;
    let is = fs::metadata(&real).map_err(problem)?;
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let stem = real.file_stem().unwrap_or_default().to_string_lossy();
    let stem: String = stem.chars().map(plain).take(40).collect();
    Ok(format!(
        "x{stem}-{}-{}-{}.{}",
        is.ino(),
        is.len(),
        is.mtime(),
        is.mtime_nsec()
    ))
}

/// A tar archive of what is in a directory.
fn tar_of(directory: &Path) -> Result<impl Read + Send + use<>, String> {
    let child = Command::new("tar")
        .arg("-C")
        .arg(directory)
        .args(["--numeric-owner", "-cf", "-", "."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("tar cannot be started: {error}"))?;
    Ok(Reaped(child))
}

/// The output of a child that is waited for at its end.
struct Reaped(std::process::Child);

impl Read for Reaped {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(output) = &mut self.0.stdout else {
            return Ok(0);
        };
        let read = output.read(buffer)?;
        if read == 0 && !buffer.is_empty() && !self.0.wait()?.success() {
            return Err(std::io::Error::other("tar failed"));
        }
        Ok(read)
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Fails only where it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a reader gives, read on a thread of its own.
fn pieces(
    mut reader: impl Read + Send + 'static,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let (sender, receiver) = mpsc::channel(4);
    thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let next = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => {
                    piece.truncate(length);
                    Ok(Bytes::from(piece))
                }
                Err(error) => Err(error),
            };
            let failed = next.is_err();
            if sender.blocking_send(next).is_err() || failed {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
    .boxed()
}
