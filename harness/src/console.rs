//! What is told to people on standard error.

use std::io::Write;

use timeslip_datasets::steers_terminal;

/// Prints a line. A reader that is gone must not end a run.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(text));
}

/// Text from outside, without what would steer a terminal, line breaks excepted.
#[must_use]
pub fn plain(text: &str) -> String {
    let steers = |c: char| steers_terminal(c) && c != '\n' && c != '\t';
    text.chars()
        .map(|c| if steers(c) { ' ' } else { c })
        .collect()
}

/// The same on one line, cut to a length a log can bear.
#[must_use]
pub fn one_line(text: &str) -> String {
    plain(text)
        .chars()
        .map(|c| if c == '\n' { ' ' } else { c })
        .take(300)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31mb\nc\u{202e}d\r"), "a [31mb c d ");
        assert_eq!(plain("a\n\tb"), "a\n\tb");
    }
}
