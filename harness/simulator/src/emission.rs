//! Writing the log of emissions: the truth about every response.

use std::io;
use std::path::Path;
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;

use timeslip_datasets::run::emissions::{Emission, Writer};

use timeslip_wire::clock;

/// An emission told by this process's own clock; as it is where the clocks have nothing in
/// common.
#[must_use]
pub fn on_our_clock(emission: Emission) -> Emission {
    emission.on_clock(clock_origin_ns())
}

/// The monotonic clock at the origin of [`clock::now`]. Found out once: every line of a
/// process must be shifted by the same time, and its own by none.
#[cfg(unix)]
pub(super) fn clock_origin_ns() -> Option<u64> {
    static ORIGIN: OnceLock<Option<u64>> = OnceLock::new();
    *ORIGIN.get_or_init(|| {
        // Of several readings the one in the narrowest bracket.
        (0..5)
            .map(|_| {
                let before = clock::now();
                let shared = clock::system(rustix::time::ClockId::Monotonic);
                let after = clock::now();
                let middle = before + (after - before) / 2;
                (after - before, shared.saturating_sub(middle))
            })
            .min()
            .map(|(_, origin)| origin)
    })
}

/// The monotonic clock at the origin of [`clock::now`]: this platform shares none.
#[cfg(not(unix))]
pub(super) fn clock_origin_ns() -> Option<u64> {
    None
}

/// Appends emissions on a thread of its own: pacing never waits for a disk. The thread
/// ends when the last sender is gone.
pub(super) fn writer(path: &Path) -> io::Result<(mpsc::Sender<Emission>, JoinHandle<()>)> {
    let mut log = Writer::open(path)?;
    let (sender, receiver) = mpsc::channel::<Emission>();
    let thread = std::thread::Builder::new()
        .name("timeslip-emissions".into())
        .spawn(move || {
            for emission in receiver {
                if let Err(error) = log.append(&emission) {
                    super::complain(&format!("cannot write the emission log: {error}"));
                    return;
                }
            }
        })?;
    Ok((sender, thread))
}
