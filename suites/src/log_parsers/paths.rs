//! Tests that are called by what they are in.

use super::{Status, Statuses};

/// What stands between the parts of a name.
const SEPARATOR: &str = " > ";

/// Room for names. A log can repeat a heading of many megabytes in every name below it; what
/// does not fit is not reported.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Results by path.
#[derive(Default)]
pub(super) struct Paths {
    statuses: Statuses,
    bytes: usize,
}

impl Paths {
    /// Adds the result of a test, called by its parts.
    pub(super) fn insert(&mut self, parts: &[&str], status: Status) {
        if let Some(name) = self.name(parts) {
            self.statuses.insert(name, status);
        }
    }

    /// The name of a test, if there is room for it.
    pub(super) fn name(&mut self, parts: &[&str]) -> Option<String> {
        let bytes: usize = parts.iter().map(|part| part.len() + SEPARATOR.len()).sum();
        self.bytes = self.bytes.saturating_add(bytes);
        (self.bytes <= MOST_BYTES).then(|| parts.join(SEPARATOR))
    }

    /// All of them.
    pub(super) fn into_statuses(self) -> Statuses {
        self.statuses
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;

    #[test]
    fn a_long_heading_does_not_fill_the_memory() {
        let long = "h".repeat(1 << 20);
        let log = |parser: &str, tests: usize| {
            let lines = |line: &str| -> String {
                let numbered = (0..tests).map(|number| line.replace('N', &number.to_string()));
                numbered.collect()
            };
            match parser {
                "phpunit" => format!("{long} (A)\n{}", lines(" ✔ N\n")),
                "karma" => format!("Starting browser\n  {long}\n{}", lines("    ✔ N\n")),
                _ => format!(
                    "<doctest><TestCase name='{long}'>{}</TestCase></doctest>",
                    lines("<SubCase name='N'/>")
                ),
            }
        };
        for parser in ["phpunit", "karma", "doctest"] {
            let parse = find(&format!("parse_log_{parser}"), "a__b-1").unwrap();
            assert_eq!(parse(&log(parser, 10)).len(), 10, "{parser}");
            let many = parse(&log(parser, 10_000));
            assert!(many.len() < 64, "{parser}: {}", many.len());
        }
    }
}
