//! Copies single files out of a container and into it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bollard::body_full;
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, DownloadFromContainerOptions, UploadToContainerOptions,
};
use bytes::Bytes;
use futures_util::{StreamExt, pin_mut};
use tar::{Archive, Builder, EntryType, Header};

use super::super::root::{FileContent, RootFiles};
use super::container::Container;
use crate::path_guard::PathRefusal;

/// What an archive of one file has around it.
const AROUND: u64 = 64 * 1024;

/// What is no regular file, and a symbolic link, in the bits that engines report:
/// those of Go, which are not those of the system.
const NOT_REGULAR: u32 = 0x8f28_0000;
const LINK: u32 = 1 << 27;

/// The mode of a file that is new.
const NEW: u32 = 0o644;

impl RootFiles for Container {
    fn own_mount(&self, inside: &str) -> Option<io::Result<PathBuf>> {
        Some(Container::own_mount(self, inside))
    }

    fn user(&self) -> Option<&str> {
        self.image().user.as_deref()
    }

    fn search_path(&self) -> Option<&str> {
        self.image().search_path.as_deref()
    }

    fn working_directory(&self) -> Option<&str> {
        Some(&self.image().working_directory)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<FileContent, PathRefusal> {
        let (header, bytes) = self.download(&Path::new("/").join(path), limit)?;
        Ok(FileContent {
            bytes,
            header: Some(Box::new(header)),
        })
    }

    fn write(
        &self,
        path: &Path,
        old: Option<&FileContent>,
        owner: (u64, u64),
        content: &[u8],
    ) -> Result<(), PathRefusal> {
        let like = old.and_then(|old| old.header.as_deref());
        self.upload(&Path::new("/").join(path), like, owner, content)
    }
}

impl Container {
    /// Reads the regular file at an absolute `path` of at most `limit` bytes, with
    /// what else is to be kept of it.
    fn download(&self, path: &Path, limit: u64) -> Result<(Header, Vec<u8>), PathRefusal> {
        let id = self.id().ok_or(PathRefusal::Missing)?;
        let engine = self.engine();
        let name = path.to_string_lossy().into_owned();
        let failed = |error: String| PathRefusal::Io(io::Error::other(error));
        let asked = ContainerArchiveInfoOptions { path: name.clone() };
        let found = engine
            .wait_if_found(engine.docker.get_container_archive_info(&id, Some(asked)))
            .map_err(failed)?
            .ok_or(PathRefusal::Missing)?;
        // One engine follows links where the other gives the link itself.
        if found.file_mode & LINK != 0 {
            return Err(PathRefusal::Link);
        }
        if found.file_mode & NOT_REGULAR != 0 {
            return Err(PathRefusal::NotAFile);
        }
        let archive = engine.wait(async {
            let options = DownloadFromContainerOptions { path: name };
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
        let archive = archive.map_err(failed)?;
        let mut archive = Archive::new(archive.as_slice());
        let mut entries = archive.entries()?;
        let entry = entries.next().ok_or(PathRefusal::Missing)??;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(PathRefusal::NotAFile);
        }
        if entry.size() > limit {
            return Err(PathRefusal::TooLarge(limit));
        }
        let header = entry.header().clone();
        let mut content = Vec::new();
        entry.take(limit).read_to_end(&mut content)?;
        Ok((header, content))
    }

    /// Writes the file at an absolute `path`, with the owner and mode of `like`; a new one
    /// belongs to `owner`, a user and a group.
    fn upload(
        &self,
        path: &Path,
        like: Option<&Header>,
        owner: (u64, u64),
        content: &[u8],
    ) -> Result<(), PathRefusal> {
        let id = self.id().ok_or(PathRefusal::Missing)?;
        let mut header = Header::new_gnu();
        let old = |field: fn(&Header) -> io::Result<u64>| like.and_then(|like| field(like).ok());
        let mode = like.and_then(|like| like.mode().ok());
        header.set_mode(mode.unwrap_or(NEW));
        header.set_uid(old(Header::uid).unwrap_or(owner.0));
        header.set_gid(old(Header::gid).unwrap_or(owner.1));
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
            .map_err(|error| PathRefusal::Io(io::Error::other(error)))
    }
}
