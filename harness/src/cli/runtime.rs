//! The runtime of the commands that speak to endpoints.

use timeslip_wire::measuring;

use crate::error::Error;

/// A runtime for what is asked and answered. What takes long (tools, graders, the disk) is
/// on threads of its own, which give way, with all that they start, to the thread that
/// measures.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(measuring::give_way)
        .build()
        .map_err(Error::system("cannot start the runtime"))
}
