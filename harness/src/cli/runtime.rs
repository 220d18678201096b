//! The runtime of the commands that speak to endpoints.

use crate::error::Error;

/// A runtime for measuring: one thread reads everything. A second one would take no
/// load off it, for an event costs microseconds, but waking one another costs more than
/// the event, and on a small machine it takes the core that the tools need. Whatever
/// takes long (tools, graders, the disk) is on threads of its own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("cannot start the runtime"))
}
