//! Shows a run while it works: a bar on a terminal, a line a trial elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use timeslip_datasets::run::journal::{Event, Outcome, TrialFinished, TrialKey};

use super::Subscriber;
use crate::console::{one_line, say};
use crate::error::Error;
use crate::run::runner::RunEvent;

/// The subscriber a person watches.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
    done: usize,
    total: usize,
}

impl Progress {
    /// A display for `total` trials of which `done` are finished already.
    #[must_use]
    pub fn new(done: usize, total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar =
            ProgressBar::with_draw_target(Some(total as u64), target).with_position(done as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {pos}/{len} trials, {elapsed}  {wide_msg}")
        {
            bar.set_style(style);
        }
        if terminal {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress {
            bar,
            lines: !terminal,
            done,
            total,
        }
    }

    fn finished(&mut self, key: &TrialKey, finished: &TrialFinished) {
        self.done += 1;
        self.bar.inc(1);
        let word = match finished.outcome {
            Outcome::Resolved => "resolved",
            Outcome::Unresolved => "unresolved",
            Outcome::LimitReached => "limit reached",
            Outcome::Error => "ERROR",
            Outcome::Ungraded => "ungraded",
        };
        let seconds = Duration::from_nanos(finished.wall_ns).as_secs_f64();
        let why = match (&finished.detail, finished.outcome) {
            (Some(detail), Outcome::Error | Outcome::LimitReached) => {
                format!(": {}", one_line(detail))
            }
            _ => String::new(),
        };
        let line = format!(
            "{}  {word}, {seconds:.1} s{why}",
            one_line(&key.to_string())
        );
        if self.lines {
            say(&format!("[{}/{}] {line}", self.done, self.total));
        } else if finished.outcome == Outcome::Error {
            self.bar.println(line);
        }
    }
}

impl Subscriber for Progress {
    fn event(&mut self, event: &RunEvent) -> Result<(), Error> {
        match event {
            RunEvent::Preparing(key) => self.bar.set_message(key.to_string()),
            RunEvent::Record(record) => {
                if let Event::TrialFinished(finished) = &record.event {
                    self.finished(&record.trial, finished);
                }
            }
            RunEvent::Transcript(..) | RunEvent::Patch(..) => {}
        }
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
