//! `emissions/<endpoint>.jsonl`: what a simulated endpoint truly sent and when, one JSON
//! object a line, appended. The simulator writes it; calibration holds the client's marks
//! against it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Result, files};

/// A response has about 30 bytes for each of its tokens; this is room for 30 million.
const LIMIT_MB: u64 = 1024;

/// What truly happened to one response. Times are nanoseconds on the clock of the
/// server's process, taken just before the bytes are handed to the kernel, or to the
/// simulated link where there is one; adding `clock_origin_ns` puts them on the machine's
/// monotonic clock, which other processes can read too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emission {
    /// Id of the response.
    pub response_id: String,
    /// The protocol it was sent in.
    pub protocol: String,
    /// What carried it: `http-sse`, `http-lines`, `http-array`, `websocket`, or `http` for
    /// one object; over HTTP/2 `http2-sse`, `http2-lines`, `http2-array` or `http2`.
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
    /// How it was stopped before its end, and when its decoding truly ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<DecodeStop>,
}

/// A stop of a response: when the server learned of it, and what it decoded all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeStop {
    /// How the server learned of it.
    pub by: StopCause,
    /// When it did, on the clock of the emission.
    pub told_ns: u64,
    /// When the last token was decoded, or when decoding would have begun where it never
    /// did; at the earliest `told_ns`.
    pub stopped_ns: u64,
    /// Tokens decoded in all, whether they were sent or not.
    pub decoded_tokens: u64,
}

/// How a server learned that a response is no longer wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// The connection was closed, or its stream reset.
    Disconnected,
    /// The route that cancels was called.
    Cancelled,
    /// It was redirected.
    Steered,
}

/// A fault that the endpoint's profile planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Refused with status 429.
    RateLimit,
    /// Refused with status 529 or 503.
    Overloaded,
    /// A silence in the middle.
    Stall,
    /// The connection was reset in the middle.
    Reset,
    /// The body ended in the middle.
    Cut,
}

impl Emission {
    /// The same on the clock of a process whose origin is `origin_ns` on the monotonic
    /// clock; unchanged where the two clocks have nothing in common.
    #[must_use]
    pub fn on_clock(mut self, origin_ns: Option<u64>) -> Self {
        let (Some(theirs), Some(ours)) = (self.clock_origin_ns, origin_ns) else {
            return self;
        };
        let shift = |at: u64| at.saturating_add(theirs).saturating_sub(ours);
        self.received_ns = shift(self.received_ns);
        self.events_ns.iter_mut().for_each(|at| *at = shift(*at));
        self.done_ns = self.done_ns.map(shift);
        if let Some(stop) = &mut self.stop {
            stop.told_ns = shift(stop.told_ns);
            stop.stopped_ns = shift(stop.stopped_ns);
        }
        self.clock_origin_ns = Some(ours);
        self
    }
}

/// Appends to a log.
#[derive(Debug)]
pub struct Writer(File);

impl Writer {
    /// Opens a log, or begins one, and cuts off the line that a killed process did not
    /// finish.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(file: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).read(true).open(file)?;
        let (length, whole) = (file.metadata()?.len(), end_of_last_line(&mut file)?);
        if whole < length {
            file.set_len(whole)?;
        }
        Ok(Writer(file))
    }

    /// Appends an emission in one write.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append(&mut self, emission: &Emission) -> io::Result<()> {
        let mut line = serde_json::to_vec(emission)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// Where the last whole line ends; looked for from the end, block by block.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        let part = &mut *file;
        part.take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Reads a log of emissions. A torn last line, which is still being written or was cut off
/// by a crash, is left out.
///
/// # Errors
/// [`crate::Error`], with the line that is not an emission.
pub fn read(file: &Path) -> Result<Vec<Emission>> {
    let purpose = "it is the log of a simulated endpoint";
    let text = files::read_text_with(file, purpose, LIMIT_MB, |open| open)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| {
                let message = format!("is not an emission: {error}");
                crate::Error::invalid_line(file, index as u64 + 1, message)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emission() -> Emission {
        Emission {
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
            stop: Some(DecodeStop {
                by: StopCause::Disconnected,
                told_ns: u64::MAX,
                stopped_ns: 1,
                decoded_tokens: u64::MAX,
            }),
        }
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        assert!(emission().on_clock(Some(5)).done_ns.is_some());
    }

    #[test]
    fn a_torn_line_is_left_out_and_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.jsonl");
        for torn in [&b"{"[..], &[b'x'; 200_000]] {
            Writer::open(&file).unwrap().append(&emission()).unwrap();
            let whole = std::fs::read(&file).unwrap();
            std::fs::write(&file, [&whole, torn].concat()).unwrap();
            assert_eq!(read(&file).unwrap().last(), Some(&emission()));
            Writer::open(&file).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), whole);
        }
        assert_eq!(read(&file).unwrap(), [emission(), emission()]);
    }

    #[test]
    fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.jsonl");
        Writer::open(&file).unwrap().append(&emission()).unwrap();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, [&whole[..], b"{}\n"].concat()).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("log.jsonl:2: is not an emission"), "{error}");
    }
}
