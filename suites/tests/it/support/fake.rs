//! A sandbox that runs nothing: it records what it is asked and plays what it is told.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use timeslip_datasets::run::journal::Warmth;
use timeslip_suites::sandbox::{DockerfileReach, FileContent, Isolation, Ports, RootFiles};
use timeslip_suites::{
    Backend, Capabilities, Error, Exceeded, Execution, Exit, Image, Invocation, PathRefusal,
    Result, Root, Sandbox,
};

/// What it was asked, and what it will answer.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    invocations: Arc<Mutex<Vec<Invocation>>>,
    answers: Arc<Mutex<VecDeque<(Exit, String)>>>,
    images: Arc<Mutex<Vec<Image>>>,
}

/// What it can do, unless a test says otherwise: what a sandbox with images can.
pub const CAPABILITIES: Capabilities = Capabilities {
    isolated: true,
    network: false,
    ports: Ports::None,
    machine_system: true,
    images: true,
    users: false,
    dockerfile_reach: DockerfileReach::OwnDirectory,
};

#[derive(Debug)]
struct FakeBackend {
    fake: Fake,
    capabilities: Capabilities,
}

impl Fake {
    /// A sandbox with these capabilities that records here.
    pub fn sandbox(&self, capabilities: Capabilities) -> Sandbox {
        let backend = FakeBackend {
            fake: self.clone(),
            capabilities,
        };
        Sandbox::new(Box::leak(Box::new(backend))).unwrap()
    }

    /// The next command ends like this and prints that; others succeed in silence.
    pub fn will(&self, exit: Exit, printed: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.push_back((exit, printed.to_owned()));
    }

    /// The commands so far, as they were written.
    pub fn commands(&self) -> Vec<String> {
        let invocations = self.invocations.lock().unwrap();
        invocations
            .iter()
            .map(|invocation| invocation.command.clone())
            .collect()
    }

    /// The last command with all that it saw.
    pub fn last(&self) -> Invocation {
        self.invocations.lock().unwrap().last().unwrap().clone()
    }

    /// The images that root file systems were made of.
    pub fn images(&self) -> Vec<Image> {
        self.images.lock().unwrap().clone()
    }
}

impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn check(&self) -> Result<String> {
        Ok("it is always there".to_owned())
    }

    fn open(&self) -> Result<Box<dyn Isolation>> {
        Ok(Box::new(self.fake.clone()))
    }
}

impl Isolation for Fake {
    fn run(&self, invocation: &Invocation) -> io::Result<Execution> {
        self.invocations.lock().unwrap().push(invocation.clone());
        let answer = self.answers.lock().unwrap().pop_front();
        let (exit, printed) = answer.unwrap_or((Exit::Code(0), String::new()));
        let now = Instant::now();
        Ok(Execution {
            spawned: now,
            command_started: Some(now),
            command_ended: Some(now),
            ended: now,
            exit,
            output_total_bytes: printed.len() as u64,
            output: printed.into_bytes(),
            exceeded: Exceeded::default(),
            observed: None,
        })
    }

    fn root(&self, image: &Image, _: &Path, _: &str) -> Result<(Root, Warmth)> {
        self.fetch(image)?;
        self.images.lock().unwrap().push(image.clone());
        Ok((Root::new(NoFiles), Warmth::Cold))
    }

    fn fetch(&self, image: &Image) -> Result<()> {
        match image {
            Image::Reference(name) if name == "none" => Err(Error::Sandbox {
                backend: "fake",
                message: "there is no such image".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// A root file system without files, in which commands start in `/work`.
#[derive(Debug)]
struct NoFiles;

impl RootFiles for NoFiles {
    fn working_directory(&self) -> Option<&str> {
        Some("/work")
    }

    fn read(&self, _: &Path, _: u64) -> Result<FileContent, PathRefusal> {
        Err(PathRefusal::Missing)
    }

    fn write(
        &self,
        _: &Path,
        _: Option<&FileContent>,
        _: (u64, u64),
        _: &[u8],
    ) -> Result<(), PathRefusal> {
        Ok(())
    }
}
