//! A timer that wakes within tens of microseconds.
//!
//! tokio's own timer wheel has a resolution of one millisecond, which is one whole
//! token at 1,000 tokens/s. On Linux this is a `timerfd` watched by the runtime;
//! elsewhere the wheel does the long part and yielding does the rest.

use std::task::{Context, Poll, ready};

use crate::clock;

#[cfg(target_os = "linux")]
mod platform {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll, ready};
    use tokio::io::unix::AsyncFd;

    /// One timer, reusable for any number of waits.
    #[derive(Debug)]
    pub struct Timer {
        watched: AsyncFd<OwnedFd>,
        /// The deadline it is set to.
        armed: Option<u64>,
    }

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
            let watched = crate::kernel::watch(fd)?;
            Ok(Timer {
                watched,
                armed: None,
            })
        }

        /// Arms the timer, then pends until it has expired. May wake early.
        pub(super) fn poll_sleep(
            &mut self,
            context: &mut Context<'_>,
            deadline: u64,
            left: u64,
        ) -> Poll<io::Result<()>> {
            if self.armed != Some(deadline) {
                let value = Timespec {
                    tv_sec: i64::try_from(left / 1_000_000_000).unwrap_or(i64::MAX),
                    tv_nsec: i64::try_from(left % 1_000_000_000).unwrap_or(0) as _,
                };
                let interval = Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                };
                timerfd_settime(
                    self.watched.get_ref(),
                    TimerfdTimerFlags::empty(),
                    &Itimerspec {
                        it_interval: interval,
                        it_value: value,
                    },
                )?;
                self.armed = Some(deadline);
            }
            // The descriptor is never read: arming it anew resets it, and the edge of
            // the next expiry is seen all the same.
            ready!(self.watched.poll_read_ready(context))?.clear_ready();
            Poll::Ready(Ok(()))
        }

        pub(super) fn disarm(&mut self) {
            self.armed = None;
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::future::Future;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;
    use tokio::time::Sleep;

    /// The wheel may wake so late.
    const WHEEL: u64 = 2_000_000;

    /// One timer, reusable for any number of waits.
    #[derive(Debug, Default)]
    pub struct Timer {
        long: Option<(u64, Pin<Box<Sleep>>)>,
    }

    impl Timer {
        /// Creates a timer on the current runtime.
        ///
        /// # Errors
        /// Never, on this platform.
        pub fn new() -> io::Result<Self> {
            Ok(Timer::default())
        }

        /// Pends for the long part, then yields until the deadline. Wakes early.
        pub(super) fn poll_sleep(
            &mut self,
            context: &mut Context<'_>,
            deadline: u64,
            left: u64,
        ) -> Poll<io::Result<()>> {
            if let Some(long) = left.checked_sub(WHEEL) {
                if self
                    .long
                    .as_ref()
                    .is_none_or(|(armed, _)| *armed != deadline)
                {
                    let sleep = tokio::time::sleep(Duration::from_nanos(long));
                    self.long = Some((deadline, Box::pin(sleep)));
                }
                if let Some((_, sleep)) = &mut self.long {
                    ready!(sleep.as_mut().poll(context));
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }

        pub(super) fn disarm(&mut self) {
            self.long = None;
        }
    }
}

pub use platform::Timer;

impl Timer {
    /// Pends until `deadline` on [`clock::now`]; ready at once when it is past.
    ///
    /// # Errors
    /// When the system refuses the timer.
    pub fn poll_until(
        &mut self,
        context: &mut Context<'_>,
        deadline: u64,
    ) -> Poll<std::io::Result<()>> {
        loop {
            match deadline.checked_sub(clock::now()) {
                None | Some(0) => {
                    self.disarm();
                    return Poll::Ready(Ok(()));
                }
                Some(left) => ready!(self.poll_sleep(context, deadline, left))?,
            }
        }
    }

    /// Waits until `deadline` on [`clock::now`]; returns at once when it is past.
    ///
    /// # Errors
    /// When the system refuses the timer.
    pub async fn sleep_until(&mut self, deadline: u64) -> std::io::Result<()> {
        std::future::poll_fn(|context| self.poll_until(context, deadline)).await
    }
}
