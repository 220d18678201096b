//! The one way out of an agent's sandbox.
//!
//! A sandbox with a network of its own has only its loopback there. A hidden command of this
//! program is the first that runs inside: it listens on a port of that loopback, hands the
//! listening socket out over a Unix socket, and becomes the agent. Whoever has the socket
//! accepts the agent's connections without anything in between. Where commands share this
//! machine's network, the socket is simply opened here.

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
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use timeslip_suites::sandbox::Ports;
use timeslip_suites::{Capabilities, Mount};

/// The port of an agent's server, in a network where nothing else is. No task's server is
/// usually there, and the kernel gives it to no client.
const PORT: u16 = 7717;

/// The name of the hidden command.
const COMMAND: &str = "door";

/// Where the door's files appear inside.
const INSIDE: &str = "/timeslip";
const PROGRAM: &str = "timeslip";
const SOCKET: &str = "socket";

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
}

/// A door that is about to be opened.
#[derive(Debug)]
pub(super) struct Door {
    /// Where the agent finds its server.
    pub address: SocketAddr,
    /// What has to be visible inside.
    pub mounts: Vec<Mount>,
    program: PathBuf,
    socket: PathBuf,
    from: From,
}

/// From where the listening socket comes.
#[derive(Debug)]
enum From {
    /// The agent's sandbox hands it out.
    Inside(UnixListener),
    /// It is open already.
    Here(TcpListener),
}

impl Door {
    /// Makes one ready in an empty directory; an error for sandboxes that have none.
    pub fn new(capabilities: &Capabilities, directory: &Path) -> io::Result<Self> {
        let own = env::current_exe()?;
        match capabilities.ports {
            Ports::Own => {
                let program = directory.join(PROGRAM);
                // To be mounted on.
                File::create(&program)?;
                // By its descriptor: a socket's path may have no more than 107 bytes.
                let opened = File::open(directory)?;
                let place = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
                let listener = UnixListener::bind(place)?;
                let inside = |name: &str| format!("{INSIDE}/{name}");
                let mount = |host: &Path, inside: &str| Mount {
                    host: host.to_owned(),
                    inside: inside.to_owned(),
                    writable: false,
                };
                Ok(Door {
                    address: (Ipv4Addr::LOCALHOST, PORT).into(),
                    mounts: vec![mount(directory, INSIDE), mount(&own, &inside(PROGRAM))],
                    program: inside(PROGRAM).into(),
                    socket: inside(SOCKET).into(),
                    from: From::Inside(listener),
                })
            }
            Ports::Machine => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                Ok(Door {
                    address: listener.local_addr()?,
                    mounts: Vec::new(),
                    program: own,
                    socket: PathBuf::new(),
                    from: From::Here(listener),
                })
            }
            Ports::None => Err(io::Error::new(io::ErrorKind::Unsupported, NO_DOOR)),
        }
    }

    /// The shell command that opens it and becomes the agent.
    pub fn command(&self, command: Vec<String>, input: Option<String>) -> io::Result<String> {
        let opening = Opening {
            port: matches!(self.from, From::Inside(_)).then_some(PORT),
            socket: self.socket.clone(),
            command,
            input,
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
    pub async fn opened(self) -> io::Result<TcpListener> {
        let listener = match self.from {
            From::Here(listener) => listener,
            From::Inside(listener) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::UnixListener::from_std(listener)?;
                let (stream, _) = listener.accept().await?;
                loop {
                    stream.readable().await?;
                    match received(&stream) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        received => break TcpListener::from(received?),
                    }
                }
            }
        };
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

/// The word of a shell that stands for a text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Takes the one descriptor that a message brings.
fn received(stream: &tokio::net::UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
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
    let mut descriptors = descriptors.flatten();
    descriptors.next().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the sandbox handed out no socket",
        )
    })
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
    if let Some(port) = opening.port {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        hand_out(&listener, &opening.socket)?;
    }
    let Some((program, arguments)) = opening.command.split_first() else {
        return Err(io::Error::other("no command of an agent is given"));
    };
    let mut agent = Command::new(program);
    agent.args(arguments);
    match &opening.input {
        None => agent.stdin(Stdio::null()),
        Some(input) => {
            let path = env::temp_dir().join(format!("timeslip-input-{}", std::process::id()));
            let mut file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)?;
            fs::remove_file(&path)?;
            file.write_all(input.as_bytes())?;
            file.seek(SeekFrom::Start(0))?;
            agent.stdin(file)
        }
    };
    Ok(agent)
}

/// Sends a listening socket to whoever listens at a Unix socket.
fn hand_out(listener: &TcpListener, socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut taken = SendAncillaryBuffer::new(&mut space);
    let descriptors = [listener.as_fd()];
    taken.push(SendAncillaryMessage::ScmRights(&descriptors));
    let byte = [io::IoSlice::new(b"s")];
    sendmsg(&stream, &byte, &mut taken, SendFlags::empty())?;
    Ok(())
}
