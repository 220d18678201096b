//! The container of one workspace.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerUpdateBody, HostConfig, Mount as ApiMount,
    MountType,
};
use bollard::query_parameters::{
    CommitContainerOptions, CreateContainerOptions, KillContainerOptions, StartContainerOptions,
};

use super::super::HOSTNAME;
use super::super::execution::Execution;
use super::super::invocation::{Invocation, Mount, Quota};
use super::super::owner::Owner;
use super::super::scratch::Scratch;
use super::engine::{ContainerEngine, EngineImage, OWNER, RUN};
use super::exec::{self, BoundCounts};

/// The first process: sleeps until the container is stopped, and reaps orphans. The
/// launcher kills every other process after a command; a killed `sleep` is started again.
const INIT: [&str; 3] = [
    "bash",
    "-c",
    "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done",
];

/// A container, made when it is first needed and removed when dropped.
#[derive(Debug)]
pub(super) struct Container {
    engine: &'static ContainerEngine,
    image: EngineImage,
    run: String,
    made: Mutex<Option<MadeContainer>>,
    /// The directories of this machine that it brings to be mounted.
    own: Scratch,
}

/// A container the engine has.
#[derive(Debug)]
struct MadeContainer {
    engine: &'static ContainerEngine,
    id: String,
    mounts: Vec<Mount>,
    memory_mb: u64,
    quota: Quota,
    running: bool,
    counts: BoundCounts,
    /// What it is made of, if that is its own; removed after it.
    _files: Option<Commit>,
}

impl Drop for MadeContainer {
    fn drop(&mut self) {
        self.engine.remove_container(&self.id);
    }
}

/// A mount of one container, to be made for another one.
pub(super) struct CopiedMount {
    mount: Mount,
    /// The container itself brings it.
    own: bool,
}

/// An image that is removed when dropped.
#[derive(Debug)]
pub(super) struct Commit(&'static ContainerEngine, String);

impl Commit {
    /// What the engine knows it by.
    pub(super) fn name(&self) -> &str {
        &self.1
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        self.0.remove_image(&self.1);
    }
}

impl Container {
    pub(super) fn new(
        engine: &'static ContainerEngine,
        image: EngineImage,
        run: &str,
    ) -> Result<Self, String> {
        let own = Owner::current()
            .scratch()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            engine,
            image,
            run: run.to_owned(),
            made: Mutex::default(),
            own,
        })
    }

    /// The directory of this machine that it has mounted at `inside`, or will have.
    pub(super) fn own_mount(&self, inside: &str) -> io::Result<PathBuf> {
        let place = self.behind(inside);
        if !place.is_dir() {
            fs::create_dir_all(&place)?;
            // The user that the image sets has to be able to write there.
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
            fs::set_permissions(&place, open)?;
        }
        Ok(place)
    }

    fn behind(&self, inside: &str) -> PathBuf {
        self.own.path().join(inside.trim_start_matches('/'))
    }

    pub(super) fn image(&self) -> &EngineImage {
        &self.image
    }

    pub(super) fn engine(&self) -> &'static ContainerEngine {
        self.engine
    }

    /// The mounts of a command for a container like this one: those that this one
    /// brings are to be brought by that one.
    pub(super) fn mounts_to_copy(&self, mounts: &[Mount]) -> Vec<CopiedMount> {
        let copied = |mount: &Mount| CopiedMount {
            own: mount.host == self.behind(&mount.inside),
            mount: mount.clone(),
        };
        mounts.iter().map(copied).collect()
    }

    /// Starts it with mounts like those of another one, so that it is there when it is
    /// needed.
    pub(super) fn start_with(
        &self,
        mounts: Vec<CopiedMount>,
        memory_mb: u64,
        quota: Quota,
    ) -> Result<(), String> {
        let own = |CopiedMount { mount, own }: CopiedMount| -> io::Result<Mount> {
            Ok(match own {
                true => Mount {
                    host: self.own_mount(&mount.inside)?,
                    ..mount
                },
                false => mount,
            })
        };
        let mounts: io::Result<Vec<Mount>> = mounts.into_iter().map(own).collect();
        let mounts = mounts.map_err(|error| error.to_string())?;
        self.with(&mounts, memory_mb, quota, |_| Ok(()))
    }

    /// Runs a command in it; or, if the command is to see other directories, in one
    /// made of its files for this command alone.
    pub(super) fn run(&self, invocation: &Invocation) -> Result<Execution, String> {
        let (memory_mb, quota) = (invocation.limits.memory_mb, invocation.quota);
        if self.sees(&invocation.mounts) {
            return self.with(&invocation.mounts, memory_mb, quota, |made| {
                made.run(invocation)
            });
        }
        let files = self.id().map(|id| self.commit(&id)).transpose()?;
        let mut made = self.make(files, &invocation.mounts, memory_mb, quota)?;
        made.start()?;
        made.run(invocation)
    }

    /// Starts it for commands like this one, before any is run in it.
    pub(super) fn ready(&self, invocation: &Invocation) -> Result<(), String> {
        let (memory_mb, quota) = (invocation.limits.memory_mb, invocation.quota);
        if !self.sees(&invocation.mounts) {
            // A spare of a task that wants others.
            *self.made.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.with(&invocation.mounts, memory_mb, quota, |_| Ok(()))
    }

    /// Whether it was made with these mounts, or not made yet.
    fn sees(&self, mounts: &[Mount]) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.as_ref().is_none_or(|made| made.mounts == mounts)
    }

    /// Does something in it while it runs, alone.
    fn with<T>(
        &self,
        mounts: &[Mount],
        memory_mb: u64,
        quota: Quota,
        act: impl FnOnce(&mut MadeContainer) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut slot = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match &mut *slot {
            Some(made) => made,
            None => slot.insert(self.make(None, mounts, memory_mb, quota)?),
        };
        if (memory_mb, quota) != (made.memory_mb, made.quota)
            && made.bound(memory_mb, quota).is_err()
        {
            // Not every engine can change a container; then it is made again.
            let files = self.commit(&made.id)?;
            *made = self.make(Some(files), mounts, memory_mb, quota)?;
        }
        made.start()?;
        act(made)
    }

    /// An image of its files.
    pub(super) fn snapshot(&self) -> Result<Commit, String> {
        let id = self.id().ok_or("no container was made yet")?;
        self.commit(&id)
    }

    /// Its id, if it was made.
    pub(super) fn id(&self) -> Option<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.as_ref().map(|made| made.id.clone())
    }

    fn make(
        &self,
        files: Option<Commit>,
        mounts: &[Mount],
        memory_mb: u64,
        quota: Quota,
    ) -> Result<MadeContainer, String> {
        let owner = Owner::current();
        let bytes = bytes(memory_mb);
        let mounts_of = mounts.iter().map(|mount| ApiMount {
            source: Some(mount.host.to_string_lossy().into_owned()),
            target: Some(mount.inside.clone()),
            typ: Some(MountType::BIND),
            read_only: Some(!mount.writable),
            ..Default::default()
        });
        let body = ContainerCreateBody {
            image: Some(
                files
                    .as_ref()
                    .map_or(&self.image.id, |files| &files.1)
                    .clone(),
            ),
            entrypoint: Some(INIT.map(str::to_owned).to_vec()),
            cmd: Some(Vec::new()),
            hostname: Some(HOSTNAME.to_owned()),
            labels: Some(HashMap::from([
                (OWNER.to_owned(), owner.name()),
                (RUN.to_owned(), self.run.clone()),
            ])),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                memory: Some(bytes),
                memory_swap: Some(bytes),
                nano_cpus: quota.cpus.map(|cpus| i64::from(cpus) * 1_000_000_000),
                pids_limit: Some(i64::from(quota.processes)),
                mounts: Some(mounts_of.collect()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptions {
            name: Some(owner.name()),
            ..Default::default()
        };
        let docker = &self.engine.docker;
        let created = self
            .engine
            .wait(docker.create_container(Some(options), body))?;
        Ok(MadeContainer {
            engine: self.engine,
            id: created.id,
            mounts: mounts.to_vec(),
            memory_mb,
            quota,
            running: false,
            counts: BoundCounts::default(),
            _files: files,
        })
    }

    /// Makes an image of the files of a container.
    fn commit(&self, id: &str) -> Result<Commit, String> {
        let options = CommitContainerOptions {
            container: Some(id.to_owned()),
            // Nothing is running that could change them.
            pause: false,
            ..Default::default()
        };
        let docker = &self.engine.docker;
        let committed = docker.commit_container(options, ContainerConfig::default());
        let image = self.engine.wait(committed)?;
        Ok(Commit(self.engine, image.id))
    }
}

impl MadeContainer {
    fn run(&mut self, invocation: &Invocation) -> Result<Execution, String> {
        let done = exec::run(self.engine, &self.id, invocation, self.counts)?;
        self.counts = done.counts;
        let alone = invocation.user.is_none() || exec::kill_others(self.engine, &self.id)?;
        if !done.clean || !alone {
            self.kill()?;
        }
        Ok(Execution {
            ended: std::time::Instant::now(),
            ..done.execution
        })
    }

    fn start(&mut self) -> Result<(), String> {
        if !self.running {
            let start = self
                .engine
                .docker
                .start_container(&self.id, None::<StartContainerOptions>);
            self.engine.wait(start).map_err(|error| {
                format!("{error} (a container needs bash, and its engine the same files as this machine)")
            })?;
            self.running = true;
            self.counts = BoundCounts::default();
        }
        Ok(())
    }

    /// Ends everything in it. Its files stay, and it can be started again.
    fn kill(&mut self) -> Result<(), String> {
        self.running = false;
        let docker = &self.engine.docker;
        let kill = docker.kill_container(&self.id, None::<KillContainerOptions>);
        // Where even its first process has ended, there is nothing to kill.
        let _ = self.engine.wait(kill);
        let mut ended = docker.wait_container(
            &self.id,
            None::<bollard::query_parameters::WaitContainerOptions>,
        );
        let ended = async {
            // How it ended is known: it was killed.
            let _ = futures_util::StreamExt::next(&mut ended).await;
            Ok(())
        };
        self.engine.wait(ended)
    }

    /// Gives it another share of the machine.
    fn bound(&mut self, memory_mb: u64, quota: Quota) -> Result<(), String> {
        let body = ContainerUpdateBody {
            memory: Some(bytes(memory_mb)),
            memory_swap: Some(bytes(memory_mb)),
            nano_cpus: Some(quota.cpus.map_or(0, |cpus| i64::from(cpus) * 1_000_000_000)),
            pids_limit: Some(i64::from(quota.processes)),
            ..Default::default()
        };
        let update = self.engine.docker.update_container(&self.id, body);
        self.engine.wait(update)?;
        (self.memory_mb, self.quota) = (memory_mb, quota);
        Ok(())
    }
}

fn bytes(memory_mb: u64) -> i64 {
    i64::try_from(memory_mb.saturating_mul(1 << 20)).unwrap_or(i64::MAX)
}
