//! The connection to a container engine.

use std::collections::HashMap;
use std::env;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, ListImagesOptions, RemoveContainerOptions,
    RemoveImageOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::runtime::{Builder, Runtime};

use super::super::image::Image;
use super::super::owner::Leftovers;

/// The label that says whose a container or an image is.
pub(super) const OWNER: &str = "timeslip.owner";

/// The label that says which run it is for.
pub(super) const RUN: &str = "timeslip.run";

/// How long a single request may take: an image may have to be pulled or built.
const PATIENCE_SECONDS: u64 = 3600;

/// How long an engine may take to say that it is there.
const GREETING: Duration = Duration::from_secs(10);

/// A running engine. Its interface is asynchronous and everything around it is not,
/// so it has a small runtime of its own.
#[derive(Debug)]
pub(super) struct ContainerEngine {
    runtime: Runtime,
    pub(super) docker: Docker,
    /// Name and version, for a person.
    pub(super) name: String,
    pub(super) images: Mutex<HashMap<Image, Arc<Mutex<Option<EngineImage>>>>>,
}

/// An image the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EngineImage {
    pub(super) id: String,
    /// Where it wants commands to start.
    pub(super) working_directory: String,
    /// Who its commands are, unless root.
    pub(super) user: Option<String>,
    /// Where it wants programs to be looked for, if it says.
    pub(super) search_path: Option<String>,
}

static FOUND: OnceLock<Result<ContainerEngine, String>> = OnceLock::new();

impl ContainerEngine {
    /// The engine of `DOCKER_HOST`, or else at one of the usual sockets; otherwise why
    /// there is none.
    /// What crashed processes have left there is removed.
    pub(super) fn find() -> Result<&'static Self, String> {
        let found = FOUND.get_or_init(|| {
            let engine = Self::connect()?;
            engine.sweep(Leftovers::OfCrashes);
            Ok(engine)
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// The engine, if this process has looked for one and found it.
    pub(super) fn known() -> Option<&'static Self> {
        FOUND.get()?.as_ref().ok()
    }

    fn connect() -> Result<Self, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("containers")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let mut problems = Vec::new();
        for address in addresses() {
            match greet(&runtime, &address) {
                Ok((docker, name)) => {
                    return Ok(Self {
                        runtime,
                        docker,
                        name,
                        images: Mutex::default(),
                    });
                }
                Err(problem) => problems.push(format!("{address}: {problem}")),
            }
        }
        if problems.is_empty() {
            problems.push("there is no socket of one, and DOCKER_HOST is not set".to_owned());
        }
        Err(format!(
            "no container engine answers ({}); start Docker, or `podman system service`, and set DOCKER_HOST if it listens elsewhere",
            problems.join("; ")
        ))
    }

    /// Waits for the engine.
    pub(super) fn wait<T: Send>(
        &self,
        future: impl Future<Output = Result<T, bollard::errors::Error>> + Send,
    ) -> Result<T, String> {
        self.block_on(future)?.map_err(|error| said(&error))
    }

    /// Bytes of a container's own files, beyond those of its image.
    pub(super) fn written_bytes(&self, container: &str) -> Option<u64> {
        let sizes = InspectContainerOptions { size: true };
        let found = self.wait(self.docker.inspect_container(container, Some(sizes)));
        u64::try_from(found.ok()?.size_rw?).ok()
    }

    /// Waits for the engine; `None` if it says that there is no such thing.
    pub(super) fn wait_if_found<T: Send>(
        &self,
        future: impl Future<Output = Result<T, bollard::errors::Error>> + Send,
    ) -> Result<Option<T>, String> {
        match self.block_on(future)? {
            Ok(value) => Ok(Some(value)),
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(None),
            Err(error) => Err(said(&error)),
        }
    }

    /// Waits on a thread of its own: the caller may be part of another runtime, which
    /// does not allow to wait on its threads.
    fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> Result<T, String> {
        thread::scope(|scope| scope.spawn(|| self.runtime.block_on(future)).join())
            .map_err(|_| "the connection to the container engine crashed".to_owned())
    }

    /// Removes the containers of some owners, and the images made of them.
    pub(super) fn sweep(&self, leftovers: Leftovers) {
        let filters = Some(HashMap::from([(
            "label".to_owned(),
            vec![OWNER.to_owned()],
        )]));
        let is_theirs = |labels: Option<&HashMap<String, String>>| {
            let owner = labels.and_then(|labels| labels.get(OWNER));
            owner.is_some_and(|owner| leftovers.include(owner))
        };
        let options = ListContainersOptions {
            all: true,
            filters: filters.clone(),
            ..Default::default()
        };
        for container in self
            .wait(self.docker.list_containers(Some(options)))
            .unwrap_or_default()
        {
            if is_theirs(container.labels.as_ref())
                && let Some(id) = container.id
            {
                self.remove_container(&id);
            }
        }
        let options = ListImagesOptions {
            filters,
            ..Default::default()
        };
        for image in self
            .wait(self.docker.list_images(Some(options)))
            .unwrap_or_default()
        {
            if is_theirs(Some(&image.labels)) {
                self.remove_image(&image.id);
            }
        }
    }

    /// Kills and removes a container. A failure is ignored: the next start tries again.
    pub(super) fn remove_container(&self, id: &str) {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..Default::default()
        };
        let _ = self.wait(self.docker.remove_container(id, Some(options)));
    }

    pub(super) fn remove_image(&self, id: &str) {
        // Not what it was made of, and no container that is made of it.
        let options = RemoveImageOptions {
            noprune: true,
            ..Default::default()
        };
        let _ = self.wait(self.docker.remove_image(id, Some(options), None));
    }

    /// The slot of an image: locked while the image is found, fetched or built, then full.
    pub(super) fn slot(&self, image: &Image) -> Arc<Mutex<Option<EngineImage>>> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(images.entry(image.clone()).or_default())
    }
}

/// What an engine said, without the words around it.
fn said(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// Where an engine may listen.
fn addresses() -> Vec<String> {
    if let Some(host) = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return vec![host];
    }
    let home = env::home_dir().unwrap_or_default();
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.unwrap_or_default();
    [
        PathBuf::from("/var/run/docker.sock"),
        runtime.join("docker.sock"),
        home.join(".docker/run/docker.sock"),
        runtime.join("podman/podman.sock"),
        PathBuf::from("/run/podman/podman.sock"),
    ]
    .iter()
    .filter(|path| path.is_absolute() && path.exists())
    .map(|path| format!("unix://{}", path.display()))
    .collect()
}

/// Connects and asks for the version.
fn greet(runtime: &Runtime, address: &str) -> Result<(Docker, String), String> {
    let docker = if let Some(path) = address.strip_prefix("unix://") {
        if !Path::new(path).exists() {
            return Err("there is no such socket".to_owned());
        }
        Docker::connect_with_unix(address, PATIENCE_SECONDS, API_DEFAULT_VERSION)
    } else if address.starts_with("tcp://") || address.starts_with("http://") {
        Docker::connect_with_http(address, PATIENCE_SECONDS, API_DEFAULT_VERSION)
    } else {
        return Err("only unix:// and tcp:// (without TLS) are understood".to_owned());
    };
    let greeting = async {
        let docker = docker?.negotiate_version().await?;
        let version = docker.version().await?;
        Ok((docker, version))
    };
    let answer = runtime.block_on(async { tokio::time::timeout(GREETING, greeting).await });
    let (docker, version) = match answer {
        Ok(result) => result.map_err(|error: bollard::errors::Error| said(&error))?,
        Err(_) => return Err("it does not answer".to_owned()),
    };
    let components = version.components.unwrap_or_default();
    let is_podman = components
        .iter()
        .any(|component| component.name.starts_with("Podman"));
    let product = if is_podman { "Podman" } else { "Docker" };
    let number = version.version.unwrap_or_default();
    Ok((docker, format!("{product} {number} at {address}")))
}
