//! Every on-disk format timeslip reads or writes, and the bundled tasks.
//!
//! Files come from strangers: every reader here is bounded in size, rejects what
//! it does not understand with an error that names the file and the field, and
//! never follows a path out of the directory it was given.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod atif;
pub mod atomic;
pub mod bundled;
pub mod dockerfile;
pub mod files;
pub mod harbor;
pub mod options;
pub mod run;
pub mod session;
pub mod swebench;
pub mod swebench_pro;
pub mod terminal_bench;
pub mod text;

mod error;
mod fields;
mod python_list;
mod table;

pub use error::{Error, Result};

/// Whether `text` is safe as one path component and as an argument of a program:
/// letters, digits, `-`, `_` and `.`, beginning with a letter, digit or `_`.
#[must_use]
pub fn is_plain_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Whether a terminal would obey this character rather than show it: control
/// characters and marks that change the direction of writing.
#[must_use]
pub fn steers_terminal(c: char) -> bool {
    c.is_control()
        || c == '\u{fffe}'
        || c == '\u{ffff}'
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}
