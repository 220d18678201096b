use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Every parser there is, under its name.
fn all() -> impl Iterator<Item = (&'static str, LogParser)> {
    let by_task = BY_TASK.iter().map(|(name, _, parser)| (*name, *parser));
    PARSERS.iter().copied().chain(by_task)
}

#[test]
fn parsers_are_found_by_name() {
    assert!(find("parse_log_django", "a__b-1").is_ok());
    let unique: BTreeSet<_> = names().collect();
    assert_eq!(unique.len(), names().count());
    assert!(
        find("parse_log_cobol", "a__b-1").unwrap_err().starts_with(
            "log_parser \"parse_log_cobol\" is not known; there are parse_log_pytest, "
        )
    );
}

#[test]
fn some_names_depend_on_the_task() {
    let read = |task: &str, log: &str| find("parse_log_jekyll", task).unwrap()(log);
    let sentences = "Test#test_: a thing should work. = 0.00 s = .\n";
    let steps = "A thing works .....\n";
    assert_eq!(read("jekyll__jekyll-9141", sentences).len(), 1);
    assert_eq!(read("jekyll__jekyll-8761", steps).len(), 1);
    assert_eq!(read("jekyll__jekyll-9141", steps).len(), 0);
    insta::assert_snapshot!(find("parse_log_immutable_js", "a__b-1").unwrap_err(), @r#"log_parser "parse_log_immutable_js" depends on the task, and is known for immutable-js__immutable-js-2005, immutable-js__immutable-js-2006 alone; name the parser that it stands for"#);
}

/// Pieces of the logs of every runner.
const PIECES: &str = "(PASSED|FAILED|SKIPPED|ERROR:|FAIL:|PASS:|PASS|ok|not ok|ä| \\.\\.\\. |skipped|\\[1\\]|\\[|\\]|m|s| - |test_|test |_| E|\\.py:|✓|✕|○|×|↓|✔|✖|✘|↩|\\[ok\\]:|\\[err\\]:| in |\\(|\\)| \\(|\\[ OK \\]|--- PASS: |--- FAIL: |-Dtest=|BUILD SUCCESS|BUILD FAILURE|\\[junit\\]| > |: |\\. | = |F|\\.|passed|failed|Starting browser|SUMMARY:|<doctest>|</doctest>|<TestCase name='a'>|</TestCase>|<SubCase name='b'>|</SubCase>|<Expression/>|12|\r|\t| |\n|.){0,60}";

proptest! {
    #[test]
    fn never_panic(log in PIECES) {
        for (_, parse) in all() {
            parse(&log);
        }
    }
}

/// A parser that looks at everything again for each line or bracket takes seconds
/// for these, and for the longest log there can be hours; the others take some
/// milliseconds.
#[test]
fn time_grows_with_the_log() {
    const BYTES: usize = 1 << 17;
    const ENOUGH: Duration = Duration::from_millis(500);
    let around = |start: &str, text: &str, end: &str| {
        format!("{start}{}{end}", text.repeat(BYTES / text.len()))
    };
    let mut logs: Vec<String> = [
        "[",
        "(",
        ":",
        ": ",
        " .",
        ". ",
        "=",
        " = .",
        " - ",
        " - p",
        "-Dtest= ",
        "[ OK ] ",
        "\t",
        "a b\n",
        "  a\n",
        "PASSED a\n",
        "a > b\n",
        "F",
        "+ -Dtest=a\n",
        "BUILD SUCCESS\n",
        "[1m",
        " .py:",
        " ... ",
        " ... Testing against Django installed in ",
        "<doctest",
    ]
    .map(|text| around("", text, ""))
    .into();
    logs.extend([
        around("Starting browser\n", "  \u{2714} a\n   a\n", ""),
        around("[ OK ] ", " (", ")"),
        around("[", "[ ", "a (b)"),
        around("[err]: a", " in ", "b"),
        around("\u{2713} a", " 1", " 5ms"),
        around(
            "<doctest><TestCase name='a'>",
            "<SubCase name='b'>",
            "</doctest>",
        ),
        around(
            "<doctest><SubCase name='b'>",
            "<Expression/>",
            "</SubCase></doctest>",
        ),
    ]);
    let mut parsers: Vec<_> = all().collect();
    parsers.dedup_by(|a, b| std::ptr::fn_addr_eq(a.1, b.1));
    for log in &logs {
        for (name, parse) in &parsers {
            let time = || {
                let begun = Instant::now();
                parse(log);
                begun.elapsed()
            };
            // The machine may have been busy.
            let fast = (0..3).any(|_| time() < ENOUGH);
            assert!(fast, "{name} on {:?}…: {:?}", log.get(..40), time());
        }
    }
}
