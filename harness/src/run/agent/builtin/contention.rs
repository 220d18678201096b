//! Whether processes of this machine compete for its cores.

use std::time::Duration;

/// Where the kernel says so: its pressure stall information.
const FILE: &str = "/proc/pressure/cpu";

/// For how long, in all since this machine started, at least one process waited for a core;
/// `None` where the kernel does not say.
#[must_use]
pub fn waited() -> Option<Duration> {
    parse(&std::fs::read_to_string(FILE).ok()?)
}

fn parse(text: &str) -> Option<Duration> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let mut fields = some.split_ascii_whitespace();
    let total = fields.find_map(|field| field.strip_prefix("total="))?;
    Some(Duration::from_micros(total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_total_is_in_microseconds() {
        let text = "some avg10=15.85 avg60=8.81 avg300=32.88 total=15312387081\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(parse(text), Some(Duration::from_micros(15_312_387_081)));
        for strange in ["", "some", "some total=", "some total=-1", "full total=3"] {
            assert_eq!(parse(strange), None, "{strange:?}");
        }
    }
}
