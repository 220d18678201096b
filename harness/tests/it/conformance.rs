//! The first-token policy on every protocol, by the command that users run.

use crate::support::timeslip;

#[test]
fn every_case_on_every_protocol_and_transport() {
    let output = timeslip().arg("conformance").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for protocol in timeslip_wire::protocols::names() {
        let lines = text
            .lines()
            .filter(|line| line.contains(&format!(" {protocol} over ")));
        assert!(lines.count() >= 11, "{protocol}: {text}");
    }
    assert!(text.trim_end().ends_with(" 0 failed"), "{text}");
}

#[test]
fn another_tools_numbers_are_explained() {
    let output = timeslip()
        .args([
            "conformance",
            "--case",
            "reasoning-then-text",
            "--ttft",
            "11.9",
        ])
        .args(["--tokens", "8"])
        .output()
        .unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
    let unknown = timeslip()
        .args(["conformance", "--case", "nothing"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8_lossy(&unknown.stderr));
}
