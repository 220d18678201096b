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

/// A parser that looks at everything again for each line or bracket takes sixteen times as
/// long for four times the log.
#[test]
fn time_grows_with_the_log() {
    const LONG: usize = 1 << 17;
    // Shorter times are of the machine, not of the parser.
    const LEAST: Duration = Duration::from_millis(50);
    let repeated = [
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
    ];
    let between = [
        ("Starting browser\n", "  \u{2714} a\n   a\n", ""),
        ("[ OK ] ", " (", ")"),
        ("[", "[ ", "a (b)"),
        ("[err]: a", " in ", "b"),
        ("\u{2713} a", " 1", " 5ms"),
        (
            "<doctest><TestCase name='a'>",
            "<SubCase name='b'>",
            "</doctest>",
        ),
        (
            "<doctest><SubCase name='b'>",
            "<Expression/>",
            "</SubCase></doctest>",
        ),
    ];
    let mut parsers: Vec<_> = all().collect();
    parsers.dedup_by(|a, b| std::ptr::fn_addr_eq(a.1, b.1));
    for (start, text, end) in repeated
        .map(|text| ("", text, ""))
        .into_iter()
        .chain(between)
    {
        let log = |bytes: usize| format!("{start}{}{end}", text.repeat(bytes / text.len()));
        let (long, short) = (log(LONG), log(LONG / 4));
        for (name, parse) in &parsers {
            let time = |log: &str| {
                let begun = Instant::now();
                parse(log);
                begun.elapsed()
            };
            let mut seen = Vec::new();
            // The machine may be busy with one of the two.
            let linear = (0..5).any(|_| {
                let times = (time(&short), time(&long));
                seen.push(times);
                times.1 < LEAST || times.1 < 10 * times.0
            });
            assert!(linear, "{name} on {start}{text}…: {seen:?}");
        }
    }
}
