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

/// Lines below what they explain; of very many, the first ones and the last, which say most.
#[must_use]
pub fn indented(text: &str) -> String {
    const FIRST: usize = 3;
    const LAST: usize = 12;
    let text = plain(text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let left_out = lines.len().saturating_sub(FIRST + LAST);
    let mut block = String::new();
    for (index, line) in lines.iter().enumerate() {
        if left_out > 0 && index == FIRST {
            block.push_str(&format!("    … ({left_out} lines left out)\n"));
        }
        if index < FIRST || index >= FIRST + left_out {
            block.push_str(&format!("    {line}\n"));
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31mb\nc\u{202e}d\r"), "a [31mb c d ");
        assert_eq!(plain("a\n\tb"), "a\n\tb");
    }

    #[test]
    fn both_ends_of_a_long_explanation_are_shown() {
        assert_eq!(indented("a\n\n  b\u{1b} \n"), "    a\n      b\n");
        let long: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
        let shown = indented(&long.join("\n"));
        let begins = "    1\n    2\n    3\n    … (5 lines left out)\n    9\n";
        assert!(
            shown.starts_with(begins) && shown.ends_with("    20\n"),
            "{shown}"
        );
    }
}
