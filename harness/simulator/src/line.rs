//! A connection's own socket, by which it can be reset in the middle of an answer.

use std::io;

use tokio::net::TcpStream;

use super::profile::Profile;

/// The socket beneath a connection, where the profile plans resets.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    #[cfg(target_os = "linux")]
    socket: Option<std::sync::Arc<std::os::fd::OwnedFd>>,
}

#[cfg(target_os = "linux")]
impl Line {
    /// A second handle of a socket; none where nothing is ever reset.
    pub(super) fn of(socket: &TcpStream, profile: &Profile) -> Self {
        use std::os::fd::AsFd;

        let wanted = profile.faults.reset > 0.0;
        // Without a descriptor left, the connection is closed where it would be reset.
        let handle = || socket.as_fd().try_clone_to_owned().ok();
        Line {
            socket: wanted.then(handle).flatten().map(std::sync::Arc::new),
        }
    }

    /// Resets the connection. Closing it would say that all has been sent; dissolving
    /// the association tells the peer that it has not.
    ///
    /// # Errors
    /// When the system does not.
    pub(super) fn reset(&self) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(rustix::net::connect_unspec(socket)?)
    }
}

#[cfg(not(target_os = "linux"))]
impl Line {
    /// Nothing: this platform resets no connection that is still in use.
    pub(super) fn of(_socket: &TcpStream, _profile: &Profile) -> Self {
        Line::default()
    }

    /// Always fails, and the connection is closed instead.
    ///
    /// # Errors
    /// Always.
    pub(super) fn reset(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
