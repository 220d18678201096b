//! Logs that real runners printed, read as the repositories' parsers read them.
//!
//! Every log is of a handful of tests made for this: one that passes, fails,
//! breaks, is skipped, is expected to fail, and some with awkward parameters.

use std::fmt::Write;
use std::path::Path;

use timeslip_suites::log_parsers;

/// `STATUS name` lines, in the order of the names.
fn read(log: &str, parser: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/logs")
        .join(format!("{log}.log"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{log}: {error}"));
    let parse = log_parsers::find(parser, "a__b-1").unwrap();
    let mut lines = String::new();
    for (name, status) in parse(&text) {
        writeln!(lines, "{status:?} {name}").unwrap();
    }
    lines
}

#[test]
fn pytest_summaries() {
    for log in ["pytest-5.4", "pytest-8.3-no-header"] {
        insta::assert_snapshot!(format!("{log} pytest"), read(log, "parse_log_pytest"));
        insta::assert_snapshot!(
            format!("{log} options"),
            read(log, "parse_log_pytest_options")
        );
        insta::assert_snapshot!(format!("{log} v2"), read(log, "parse_log_pytest_v2"));
        insta::assert_snapshot!(format!("{log} seaborn"), read(log, "parse_log_seaborn"));
        assert_eq!(
            read(log, "parse_log_matplotlib"),
            read(log, "parse_log_pytest")
        );
    }
}

#[test]
fn results_behind_the_names() {
    insta::assert_snapshot!(
        "classic v2",
        read("pytest-3.3-classic", "parse_log_pytest_v2")
    );
    insta::assert_snapshot!(
        "classic seaborn",
        read("pytest-3.3-classic", "parse_log_seaborn")
    );
    insta::assert_snapshot!(
        "verbose v2",
        read("pytest-8.3-verbose", "parse_log_pytest_v2")
    );
}

#[test]
fn colours() {
    insta::assert_snapshot!("colour v2", read("pytest-8.3-color", "parse_log_pytest_v2"));
}

#[test]
fn django() {
    insta::assert_snapshot!("django 1.11", read("django-1.11", "parse_log_django"));
    insta::assert_snapshot!("django 4.2", read("django-4.2", "parse_log_django"));
}

#[test]
fn sympy() {
    insta::assert_snapshot!("sympy 1.8", read("sympy-1.8", "parse_log_sympy"));
    insta::assert_snapshot!("sympy 1.12", read("sympy-1.12", "parse_log_sympy"));
}

/// The runners of SWE-bench Multilingual.
#[test]
fn other_languages() {
    for (log, parser) in [
        ("cargo-1.95", "parse_log_cargo"),
        ("doctest-2.4", "parse_log_doctest"),
        ("go-1.19", "parse_log_gotest"),
        ("googletest-1.12", "parse_log_googletest"),
        ("gradle-4.4", "parse_log_gradle_custom"),
        ("jest-30.5", "parse_log_jest"),
        ("jest-30.5-json", "parse_log_jest_json"),
        ("karma-6.4", "parse_log_karma"),
        ("minitest-5.17", "parse_log_minitest"),
        ("mocha-12.0-tap", "parse_log_tap"),
        ("phpunit-9.6", "parse_log_phpunit"),
        ("qunit-3.0-tap", "parse_log_tap"),
        ("rspec-3.12", "parse_log_rspec_transformed_json"),
        ("test-unit-3.5", "parse_log_ruby_unit"),
        ("vitest-4.1", "parse_log_vitest"),
    ] {
        insta::assert_snapshot!(log, read(log, parser));
    }
}
