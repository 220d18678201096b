//! The runner of Redis and Valkey, `./runtest`.

use super::{Status, Statuses, line};

/// Lines `[ok]: name (5 ms)` and `[err]: name in tests/unit/a.tcl`.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &MARKS)?;
        let name = line::without_time(line::after_blank(rest)?);
        let name = match status {
            Status::Failed => without_file(name),
            _ => name,
        };
        Some((name, status))
    })
}

const MARKS: [(&str, Status); 4] = [
    ("[ok]:", Status::Passed),
    ("[err]:", Status::Failed),
    ("[skip]:", Status::Skipped),
    ("[ignore]:", Status::Skipped),
];

fn without_file(name: &str) -> &str {
    name.rsplit_once(char::is_whitespace)
        .filter(|(_, file)| !file.is_empty())
        .and_then(|(before, _)| before.trim_end().strip_suffix("in"))
        .filter(|before| before.ends_with(char::is_whitespace))
        .map_or(name, str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_in_brackets() {
        let log = "Testing unit/scripting\n[ok]: EVAL - Does Lua work? (1 ms)\n[err]: EVAL - is it in order in tests/unit/scripting.tcl\nExpected 'a' to be equal to 'b'\n[err]: within tests\n[ok]: slow (12 s)\n[skip]: large memory: needs it\n[ignore]: tagged: -needs:debug\n[1/1 done]: unit/scripting (2 seconds)\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "EVAL - Does Lua work?": Passed,
            "EVAL - is it in order": Failed,
            "large memory: needs it": Skipped,
            "slow": Passed,
            "tagged: -needs:debug": Skipped,
            "within tests": Failed,
        }
        "#);
    }
}
