//! Ctrl-C, SIGTERM and SIGHUP: three words for the same wish.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use timeslip_suites::sandbox;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::runtime::runtime;
use crate::console::say;
use crate::error::Error;
use crate::exit;

/// What came of the signals; the latest of several.
static SEEN: LazyLock<watch::Sender<Option<Wish>>> = LazyLock::new(|| watch::Sender::new(None));

/// Who wants the command to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Somebody at the terminal, whose Ctrl-C everything there gets.
    Terminal,
    /// Whoever sent a signal to this process alone.
    Sender,
}

/// Whether the command ends by itself after a signal.
static EXPECTED: AtomicBool = AtomicBool::new(false);

/// Whether a thread is ending the process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Starts the thread that waits for signals. Of a command that does not expect them, the
/// first one ends the process, and of any command the second; never without cleaning up.
pub(super) fn listen() -> Result<(), Error> {
    let failed = || Error::system("cannot wait for signals");
    let waiting = runtime()?;
    let guard = waiting.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed())?;
    let mut hangup = match ignored(SignalKind::hangup()) {
        // `nohup` wants the command to outlive its terminal.
        true => None,
        false => Some(signal(SignalKind::hangup()).map_err(failed())?),
    };
    drop(guard);
    let wait = async move {
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let wish = tokio::select! {
                _ = interrupt.recv() => Wish::Terminal,
                _ = terminate.recv() => Wish::Sender,
                _ = hung_up => Wish::Sender,
            };
            SEEN.send_replace(Some(wish));
            if !EXPECTED.swap(false, Ordering::SeqCst) {
                say("timeslip: interrupted");
                end();
            }
        }
    };
    std::thread::Builder::new()
        .name("timeslip-signals".into())
        .spawn(move || waiting.block_on(wait))
        .map_err(Error::system(
            "cannot start the thread that waits for signals",
        ))?;
    Ok(())
}

/// Ends the process with everything that it has started, whatever its threads do.
pub(super) fn end() -> ! {
    ENDING.store(true, Ordering::SeqCst);
    sandbox::clean_up();
    std::process::exit(exit::INTERRUPTED.into())
}

/// Does not come back when a thread is ending the process: what the command says then is
/// only that things were taken away from it.
pub(super) fn let_end() {
    while ENDING.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// While there is one, the first signal is left to the command.
pub(super) struct Interruption(watch::Receiver<Option<Wish>>);

impl Interruption {
    /// Leaves the next signal to the command.
    pub(super) fn expect() -> Self {
        let receiver = SEEN.subscribe();
        EXPECTED.store(true, Ordering::SeqCst);
        Self(receiver)
    }

    /// Whether it has come.
    pub(super) fn has_come(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for it.
    pub(super) async fn wait(&self) {
        // Fails only without a sender, and that one is static.
        let _ = self.0.clone().wait_for(Option::is_some).await;
    }

    /// Waits for a signal that came to this process alone: a child has to be told of it.
    pub(super) async fn wait_alone(&self) {
        let alone = |wish: &Option<Wish>| *wish == Some(Wish::Sender);
        let _ = self.0.clone().wait_for(alone).await;
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        EXPECTED.store(false, Ordering::SeqCst);
    }
}

/// Whether whoever started this process wants it to ignore a signal.
fn ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}
