//! Copies single files out of a container and into it.

use std::io::{self, Read};
use std::path::Path;

use bollard::body_full;
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::{StreamExt, pin_mut};
use tar::{Archive, Builder, EntryType, Header};

use super::Container;
use crate::beneath::Refusal;

/// What an archive of one file has around it.
const AROUND: u64 = 64 * 1024;

/// The mode of a file that is new.
const NEW: u32 = 0o644;

impl Container {
    /// Reads the regular file at an absolute `path` of at most `limit` bytes, with
    /// what else is to be kept of it.
    pub(in super::super) fn read(
        &self,
        path: &Path,
        limit: u64,
    ) -> Result<(Header, Vec<u8>), Refusal> {
        let id = self.id().ok_or(Refusal::Missing)?;
        let engine = self.engine();
        let options = DownloadFromContainerOptions {
            path: path.to_string_lossy().into_owned(),
        };
        let archive = engine.wait(async {
            let pieces = engine.docker.download_from_container(&id, Some(options));
            pin_mut!(pieces);
            let mut archive = Vec::new();
            while let Some(piece) = pieces.next().await {
                archive.extend_from_slice(&piece?);
                if archive.len() as u64 > limit + AROUND {
                    break;
                }
            }
            Ok(archive)
        });
        let archive = archive.map_err(|error| {
            // There is no other way to tell than what the engines say.
            let missing = ["no such", "Could not find", "could not find"];
            match missing.iter().any(|words| error.contains(words)) {
                true => Refusal::Missing,
                false => Refusal::Io(io::Error::other(error)),
            }
        })?;
        let mut archive = Archive::new(archive.as_slice());
        let mut entries = archive.entries()?;
        let entry = entries.next().ok_or(Refusal::Missing)??;
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Symlink => return Err(Refusal::Link),
            _ => return Err(Refusal::NotAFile),
        }
        if entry.size() > limit {
            return Err(Refusal::TooLarge(limit));
        }
        let header = entry.header().clone();
        let mut content = Vec::new();
        entry.take(limit).read_to_end(&mut content)?;
        Ok((header, content))
    }

    /// Writes the file at an absolute `path`, with the owner and mode of `like`.
    pub(in super::super) fn write(
        &self,
        path: &Path,
        like: Option<&Header>,
        content: &[u8],
    ) -> Result<(), Refusal> {
        let id = self.id().ok_or(Refusal::Missing)?;
        let mut header = Header::new_gnu();
        let old = |field: fn(&Header) -> io::Result<u64>| like.and_then(|like| field(like).ok());
        let mode = like.and_then(|like| like.mode().ok());
        header.set_mode(mode.unwrap_or(NEW));
        header.set_uid(old(Header::uid).unwrap_or(0));
        header.set_gid(old(Header::gid).unwrap_or(0));
        header.set_size(content.len() as u64);
        header.set_entry_type(EntryType::Regular);
        let mut archive = Builder::new(Vec::new());
        let below = path.strip_prefix("/").unwrap_or(path);
        archive.append_data(&mut header, below, content)?;
        let options = UploadToContainerOptions {
            path: "/".to_owned(),
            ..Default::default()
        };
        let body = body_full(Bytes::from(archive.into_inner()?));
        let engine = self.engine();
        let upload = engine.docker.upload_to_container(&id, Some(options), body);
        engine
            .wait(upload)
            .map_err(|error| Refusal::Io(io::Error::other(error)))
    }
}
