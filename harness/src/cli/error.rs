//! Errors of the reports as errors of a command.

use timeslip_reports::{gate, history, render};

use crate::error::Error;
use crate::exit;

impl From<gate::RulesError> for Error {
    fn from(error: gate::RulesError) -> Self {
        Error::Command {
            problem: Box::new(error),
            exit: exit::USAGE,
        }
    }
}

impl From<history::Error> for Error {
    fn from(error: history::Error) -> Self {
        let exit = if error.is_input() {
            exit::USAGE
        } else {
            exit::UNEXPECTED
        };
        Error::Command {
            problem: Box::new(error),
            exit,
        }
    }
}

impl From<render::Error> for Error {
    fn from(error: render::Error) -> Self {
        Error::Command {
            problem: Box::new(error),
            exit: exit::UNEXPECTED,
        }
    }
}
