//! What is told to people on standard error.

use std::io::Write;

/// Prints a line. A reader that is gone must not end a run.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(text));
}

/// Text from outside, without what would steer a terminal: control characters other
/// than line breaks, and marks that change the direction of writing.
fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
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
