//! The one way out of an agent's sandbox.
//!
//! A sandbox with a network of its own has only its loopback there. A hidden command of this
//! program is the first that runs inside: it listens on a port of that loopback, hands the
//! listening socket out over a Unix socket, and becomes the agent. Whoever has the socket
//! accepts the agent's connections without anything in between. Where commands share this
//! machine's network, the socket is simply opened here.
//!
//! An agent that is driven is talked with through the same door. Handed out are the other ends
//! of its standard input and output, or sockets that are not connected yet: a socket stays in
//! the network in which it was made, so that they reach the agent's own server from outside.

use std::env;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use timeslip_suites::sandbox::Ports;
use timeslip_suites::{Capabilities, Mount};

/// The port of an agent's server, in a network where nothing else is. No task's server is
/// usually there, and the kernel gives it to no client.
const PORT: u16 = 7717;

/// The port of an agent that is a server itself, in such a network.
const OWN_PORT: u16 = 7718;

/// Sockets to an agent's own server. One that it never answers on is not used again.
const SOCKETS: usize = 128;

/// Descriptors that are handed out at most.
const HANDED_OUT: usize = 1 + SOCKETS;

/// The name of the hidden command.
const COMMAND: &str = "door";

/// Where the door's files appear inside.
const INSIDE: &str = "/timeslip";
const PROGRAM: &str = "timeslip";
const SOCKET: &str = "socket";

const NOTHING_HANDED_OUT: &str = "the sandbox handed out too little";

/// Why there is no door.
pub(super) const NO_DOOR: &str =
    "its commands cannot reach a recording proxy yet; use --sandbox bubblewrap";

/// What the first program in the sandbox is to do; written on its command line as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Opening {
    /// The port to listen on, and to hand out; nothing of that where it is absent.
    port: Option<u16>,
    /// The Unix socket that takes it.
    socket: PathBuf,
    /// Program and arguments of the agent.
    command: Vec<String>,
    /// What the agent reads on its standard input; nothing if absent.
    input: Option<String>,
    /// Through what the agent is talked with, where it is driven.
    #[serde(default)]
    talk: Option<Talk>,
}

/// Through what an agent is talked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Talk {
    Pipes,
    Server,
}

/// A door that is about to be opened.
#[derive(Debug)]
pub(super) struct Door {
    /// Where the agent finds its server.
    pub address: SocketAddr,
    /// Where the agent is to listen, if it is a server itself.
    pub own: SocketAddr,
    /// What has to be visible inside.
    pub mounts: Vec<Mount>,
    program: PathBuf,
    socket: PathBuf,
    talk: Option<Talk>,
    /// Where the listening socket is, where it is not handed out.
    listener: Option<TcpListener>,
    /// Where descriptors are handed out to.
    handed_out: Option<UnixListener>,
}

/// What came through a door.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Where the agent connects to.
    pub listener: TcpListener,
    /// The agent's process, where it is talked with.
    pub process: Option<u32>,
    /// Through what.
    pub ends: Option<Ends>,
}

/// Our ends of what an agent is talked with through.
#[derive(Debug)]
pub(crate) enum Ends {
    Pipes {
        /// Its standard input.
        input: OwnedFd,
        /// Its standard output.
        output: OwnedFd,
    },
    Server {
        /// Where it listens.
        address: SocketAddr,
        /// Sockets that reach it, not connected yet.
        sockets: Vec<OwnedFd>,
    },
}

impl Door {
    /// Makes one ready in an empty directory; an error for sandboxes that have none.
    pub fn new(
        capabilities: &Capabilities,
        directory: &Path,
        talk: Option<Talk>,
    ) -> io::Result<Self> {
        let own = env::current_exe()?;
        let socket = directory.join(SOCKET);
        let mount = |host: &Path, inside: &Path| Mount {
            host: host.to_owned(),
            inside: inside.to_string_lossy().into_owned(),
            writable: false,
        };
        match capabilities.ports {
            Ports::Own => {
                let program = directory.join(PROGRAM);
                // To be mounted on.
                File::create(&program)?;
                // By its descriptor: a socket's path may have no more than 107 bytes.
                let opened = File::open(directory)?;
                let place = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
                let inside = Path::new(INSIDE);
                let mounts = vec![mount(directory, inside), mount(&own, &inside.join(PROGRAM))];
                Ok(Door {
                    address: (Ipv4Addr::LOCALHOST, PORT).into(),
                    own: (Ipv4Addr::LOCALHOST, OWN_PORT).into(),
                    mounts,
                    program: inside.join(PROGRAM),
                    socket: inside.join(SOCKET),
                    talk,
                    listener: None,
                    handed_out: Some(UnixListener::bind(place)?),
                })
            }
            Ports::Machine => {
                let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
                let listener = free()?;
                let handed_out = talk.map(|_| UnixListener::bind(&socket)).transpose()?;
                Ok(Door {
                    address: listener.local_addr()?,
                    own: free()?.local_addr()?,
                    // Where paths are rewritten, this one stays.
                    mounts: Vec::from_iter(talk.map(|_| mount(directory, directory))),
                    program: own,
                    socket,
                    talk,
                    listener: Some(listener),
                    handed_out,
                })
            }
            Ports::None => Err(io::Error::new(io::ErrorKind::Unsupported, NO_DOOR)),
        }
    }

    /// The shell command that opens it and becomes the agent.
    pub fn command(&self, command: Vec<String>, input: Option<String>) -> io::Result<String> {
        let opening = Opening {
            port: self.listener.is_none().then_some(PORT),
            socket: self.socket.clone(),
            command,
            input,
            talk: self.talk,
        };
        let opening = serde_json::to_string(&opening)?;
        let program = self.program.to_string_lossy();
        Ok(format!(
            "exec {} {COMMAND} {}",
            quoted(&program),
            quoted(&opening)
        ))
    }

    /// Waits until it is open.
    pub async fn opened(self) -> io::Result<Opened> {
        let (mut descriptors, mut process) = (Vec::new(), None);
        if let Some(listener) = self.handed_out {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            let (stream, _) = listener.accept().await?;
            // What has connected becomes the agent.
            process = stream.peer_cred()?.pid();
            descriptors = loop {
                stream.readable().await?;
                match received(&stream) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    received => break received?,
                }
            };
        }
        let mut descriptors = descriptors.into_iter();
        let missing = || io::Error::new(io::ErrorKind::InvalidData, NOTHING_HANDED_OUT);
        let listener = match self.listener {
            Some(listener) => listener,
            None => TcpListener::from(descriptors.next().ok_or_else(missing)?),
        };
        listener.set_nonblocking(true)?;
        let ends = match self.talk {
            None => None,
            Some(Talk::Pipes) => Some(Ends::Pipes {
                input: descriptors.next().ok_or_else(missing)?,
                output: descriptors.next().ok_or_else(missing)?,
            }),
            Some(Talk::Server) => Some(Ends::Server {
                address: self.own,
                sockets: descriptors.collect(),
            }),
        };
        Ok(Opened {
            listener,
            process: process.and_then(|process| u32::try_from(process).ok()),
            ends,
        })
    }
}

/// The word of a shell that stands for a text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Takes the descriptors that a message brings.
fn received(stream: &tokio::net::UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED_OUT))];
    let mut brought = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    stream.try_io(tokio::io::Interest::READABLE, || {
        Ok(recvmsg(
            stream.as_fd(),
            &mut parts,
            &mut brought,
            RecvFlags::CMSG_CLOEXEC,
        )?)
    })?;
    let descriptors = brought.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(descriptors.flatten().collect())
}

/// Inside the sandbox: opens the door and becomes the agent. Comes back only with an error.
#[must_use]
pub fn go_through(opening: &Opening) -> io::Error {
    match prepared(opening) {
        Ok(mut agent) => {
            let error = agent.exec();
            let program = agent.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
        }
        Err(error) => error,
    }
}

fn prepared(opening: &Opening) -> io::Result<Command> {
    let Some((program, arguments)) = opening.command.split_first() else {
        return Err(io::Error::other("no command of an agent is given"));
    };
    let mut agent = Command::new(program);
    agent.args(arguments).stdin(Stdio::null());
    if let Some(input) = &opening.input {
        agent.stdin(readable(input)?);
    }
    let mut handed_out: Vec<OwnedFd> = Vec::new();
    if let Some(port) = opening.port {
        handed_out.push(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.into());
    }
    match opening.talk {
        None => {}
        Some(Talk::Pipes) => {
            let (input, ours) = io::pipe()?;
            agent.stdin(input);
            handed_out.push(ours.into());
            let (ours, output) = io::pipe()?;
            agent.stdout(output);
            handed_out.push(ours.into());
        }
        Some(Talk::Server) => {
            for _ in 0..SOCKETS {
                let socket = rustix::net::socket_with(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
                    None,
                )?;
                handed_out.push(socket);
            }
        }
    }
    if !handed_out.is_empty() {
        hand_out(&handed_out, &opening.socket)?;
    }
    Ok(agent)
}

/// A file of no name with a text.
fn readable(text: &str) -> io::Result<File> {
    let path = env::temp_dir().join(format!("timeslip-input-{}", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    file.write_all(text.as_bytes())?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Sends descriptors to whoever listens at a Unix socket.
fn hand_out(descriptors: &[OwnedFd], socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED_OUT))];
    let mut taken = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    taken.push(SendAncillaryMessage::ScmRights(&descriptors));
    let byte = [io::IoSlice::new(b"s")];
    sendmsg(&stream, &byte, &mut taken, SendFlags::empty())?;
    Ok(())
}
