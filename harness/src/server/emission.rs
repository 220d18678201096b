//! The truth about every response, as JSON lines.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::faults::Fault;
use crate::clock;
use crate::console::say;

/// What truly happened to one response. Times are nanoseconds on [`clock::now`] of the
/// server's process, taken just before the bytes are handed to the kernel, or to the
/// simulated link where there is one; adding `clock_origin_ns` puts them on the machine's monotonic clock, which other processes
/// can read too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emission {
    /// Id of the response.
    pub response_id: String,
    /// The protocol it was sent in.
    pub protocol: String,
    /// What carried it: `http-sse`, `http-lines`, `http-array`, `websocket`, or `http`
    /// for one object.
    pub transport: String,
    /// The monotonic clock when the process's own clock was zero; absent where the
    /// platform has no such clock to share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_origin_ns: Option<u64>,
    /// Request read in full.
    pub received_ns: u64,
    /// Spent waiting for a slot.
    pub queue_ns: u64,
    /// Spent reading the prompt.
    pub prefill_ns: u64,
    /// When each output event left, in order. Events that left in one write share a time.
    pub events_ns: Vec<u64>,
    /// What each of them carried: `r` reasoning, `t` text, `a` tool arguments.
    pub kinds: String,
    /// Output tokens in each of them.
    pub tokens: Vec<u32>,
    /// When the terminal event left; absent when the client was gone before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_ns: Option<u64>,
    /// The whole response was sent.
    pub complete: bool,
    /// The planned fault that it had. A refused request has no events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl Emission {
    /// The same, told by this process's own clock; as it is where the clocks have
    /// nothing in common.
    #[must_use]
    pub fn on_our_clock(mut self) -> Self {
        let (Some(theirs), Some(ours)) = (self.clock_origin_ns, clock_origin_ns()) else {
            return self;
        };
        let shift = |at: u64| at.saturating_add(theirs).saturating_sub(ours);
        self.received_ns = shift(self.received_ns);
        self.events_ns.iter_mut().for_each(|at| *at = shift(*at));
        self.done_ns = self.done_ns.map(shift);
        self.clock_origin_ns = Some(ours);
        self
    }
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
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)?;
    drop_torn_line(&mut file)?;
    let (sender, receiver) = mpsc::channel::<Emission>();
    let thread = std::thread::Builder::new()
        .name("timeslip-emissions".into())
        .spawn(move || {
            for emission in receiver {
                let written = serde_json::to_vec(&emission)
                    .map_err(io::Error::from)
                    .and_then(|mut line| {
                        line.push(b'\n');
                        file.write_all(&line)
                    });
                if let Err(error) = written {
                    say(&format!(
                        "timeslip server: cannot write the emission log: {error}"
                    ));
                    return;
                }
            }
        })?;
    Ok((sender, thread))
}

/// Cuts off the line that a killed process did not finish.
fn drop_torn_line(file: &mut std::fs::File) -> io::Result<()> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let whole = content
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    if whole < content.len() {
        file.set_len(whole as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_times_do_not_overflow() {
        let emission = Emission {
            response_id: "r".into(),
            protocol: "p".into(),
            transport: "t".into(),
            clock_origin_ns: Some(u64::MAX),
            received_ns: u64::MAX,
            queue_ns: 0,
            prefill_ns: 0,
            events_ns: vec![u64::MAX, 1],
            kinds: "tt".into(),
            tokens: vec![1, 1],
            done_ns: Some(u64::MAX),
            complete: true,
            fault: None,
        };
        assert!(emission.on_our_clock().done_ns.is_some());
    }
}
