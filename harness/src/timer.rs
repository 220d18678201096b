//! A timer that wakes within tens of microseconds.
//!
//! tokio's own timer wheel has a resolution of one millisecond, which is one whole
//! token at 1,000 tokens/s. On Linux this is a `timerfd` watched by the runtime;
//! elsewhere the wheel does the long part and yielding does the rest.

use crate::clock;

#[cfg(target_os = "linux")]
mod platform {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::io;
    use std::os::fd::OwnedFd;
    use tokio::io::unix::AsyncFd;

    /// One timer, reusable for any number of waits.
    #[derive(Debug)]
    pub struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        /// Creates a timer on the current runtime.
        ///
        /// # Errors
        /// When the system has no descriptor left.
        pub fn new() -> io::Result<Self> {
            let fd = timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            )?;
            Ok(Timer(crate::kernel::watch(fd)?))
        }

        pub(super) async fn sleep(&mut self, ns: u64) -> io::Result<()> {
            let value = Timespec {
                tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
                tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0) as _,
            };
            let interval = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            timerfd_settime(
                self.0.get_ref(),
                TimerfdTimerFlags::empty(),
                &Itimerspec {
                    it_interval: interval,
                    it_value: value,
                },
            )?;
            loop {
                let mut guard = self.0.readable().await?;
                let mut expirations = [0_u8; 8];
                match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut expirations)?)) {
                    Ok(result) => return result.map(drop),
                    Err(_would_block) => {}
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::io;
    use std::time::{Duration, Instant};

    /// One timer, reusable for any number of waits.
    #[derive(Debug)]
    pub struct Timer;

    impl Timer {
        /// Creates a timer on the current runtime.
        ///
        /// # Errors
        /// Never, on this platform.
        pub fn new() -> io::Result<Self> {
            Ok(Timer)
        }

        pub(super) async fn sleep(&mut self, ns: u64) -> io::Result<()> {
            let until = Instant::now() + Duration::from_nanos(ns);
            // The wheel may wake up to 2 ms late.
            if let Some(long) = Duration::from_nanos(ns).checked_sub(Duration::from_millis(2)) {
                tokio::time::sleep(long).await;
            }
            while Instant::now() < until {
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    }
}

pub use platform::Timer;

impl Timer {
    /// Waits until `deadline` on [`clock::now`]; returns at once when it is past.
    ///
    /// # Errors
    /// When the system refuses the timer.
    pub async fn sleep_until(&mut self, deadline: u64) -> std::io::Result<()> {
        loop {
            match deadline.checked_sub(clock::now()) {
                None | Some(0) => return Ok(()),
                Some(left) => self.sleep(left).await?,
            }
        }
    }
}
