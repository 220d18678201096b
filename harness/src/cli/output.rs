//! What commands print on standard output.

use std::io::Write;

use crate::console::plain;
use crate::error::Error;
use crate::exit;

/// Prints a result. A reader that closes the pipe early has seen enough.
pub(super) fn print(text: &str) -> Result<u8, Error> {
    match std::io::stdout().lock().write_all(plain(text).as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::system("cannot write to standard output")(error))
        }
        _ => Ok(exit::PASS),
    }
}
