//! Works through tasks, some at a time, and says while it lasts how far it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::cli::interrupt::{self, Interruption};
use crate::console::{one_line, say};
use crate::error::Error;

/// How often a line says what is being worked at.
const TOLD_EVERY: Duration = Duration::from_secs(15);

/// How soon an interruption is noticed.
const NOTICED: Duration = Duration::from_millis(50);

/// What is done with tasks and with what comes of them.
pub(super) struct Work<'a, T, R> {
    /// How many at once.
    pub concurrency: usize,
    /// What a task is called.
    pub name: fn(&T) -> &str,
    /// Works at one task.
    pub one: &'a (dyn Fn(&T) -> R + Sync),
    /// Takes what came of a task as soon as it is there.
    pub took: &'a mut dyn FnMut(&T, &R) -> Result<(), Error>,
    /// After an interruption: says what came of the tasks that are done, where there are any.
    pub interrupted: &'a dyn Fn(Vec<R>) -> Result<(), Error>,
}

/// What came of every task, in the order of the tasks. An interruption ends the process.
pub(super) fn each<T: Sync, R: Send>(tasks: &[T], work: Work<'_, T, R>) -> Result<Vec<R>, Error> {
    let interruption = Interruption::expect();
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    let mut done = BTreeMap::new();
    let mut under_way: BTreeMap<usize, Instant> = BTreeMap::new();
    let (name, one) = (work.name, work.one);
    std::thread::scope(|scope| {
        for _ in 0..tasks.len().min(work.concurrency.max(1)) {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(index) else { return };
                    // Nobody listens any more after an error.
                    if sender.send((index, None)).is_err()
                        || sender.send((index, Some(one(task)))).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut told = Instant::now();
        loop {
            let received = results.recv_timeout(NOTICED);
            if interruption.has_come() {
                let words = reached(done.len(), tasks.len());
                if !done.is_empty()
                    && let Err(error) = (work.interrupted)(done.into_values().collect())
                {
                    say(&format!("timeslip: {error}"));
                }
                say(&format!("timeslip: interrupted {words}"));
                interrupt::end();
            }
            match received {
                Ok((index, None)) => {
                    under_way.insert(index, Instant::now());
                }
                Ok((index, Some(result))) => {
                    under_way.remove(&index);
                    if let Some(task) = tasks.get(index) {
                        (work.took)(task, &result)?;
                    }
                    done.insert(index, result);
                    told = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(done.into_values().collect()),
            }
            if told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                for (index, since) in &under_way {
                    let task = tasks.get(*index).map_or("", name);
                    say(&format!(
                        "[{}/{}] at {} for {} s",
                        done.len(),
                        tasks.len(),
                        one_line(task),
                        since.elapsed().as_secs()
                    ));
                }
            }
        }
    })
}

/// How far an interrupted command came.
fn reached(done: usize, all: usize) -> String {
    match (done, all) {
        (0, 1) => "before the task was done: there is no result".to_owned(),
        (0, _) => format!("before any of {all} tasks was done: there is no result"),
        _ => format!("with {done} of {all} tasks done: the result is of those alone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_says_what_there_is() {
        assert_eq!(
            reached(0, 1),
            "before the task was done: there is no result"
        );
        assert_eq!(
            reached(0, 12),
            "before any of 12 tasks was done: there is no result"
        );
        assert_eq!(
            reached(1, 12),
            "with 1 of 12 tasks done: the result is of those alone"
        );
    }
}
