//! The report in a real headless Chromium: it loads, runs its script, draws its
//! charts, complains about nothing and fetches nothing.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{quick_config, timeslip};

fn chromium(profile: &Path, arguments: &[&str], page: &Path) -> Output {
    Command::new("chromium")
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--enable-logging=stderr",
            // Nothing resolves: whatever a page tries to load fails, and says so.
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=3000",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap()
}

#[test]
fn the_report_opens_without_complaint() {
    if Command::new("chromium").arg("--version").output().is_err() {
        eprintln!("SKIPPED: chromium is not installed; `timeslip doctor` says how to get it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    timeslip()
        .args([
            "run",
            "--suite",
            "terminal-mini",
            "--task",
            "word-tally",
            "--task",
            "free-slots",
            "--config",
        ])
        .arg(&config)
        .assert()
        .success();
    let page = std::fs::canonicalize(folder.path().join("runs/latest/report.html")).unwrap();

    let output = chromium(&folder.path().join("profile"), &["--dump-dom"], &page);
    let (dom, log) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(dom.matches("<svg").count() >= 6, "charts are missing");
    assert!(dom.contains("simulated"));
    assert_eq!(dom.matches("<h1").count(), 1);
    // A link for the reader is fine; something to load is not.
    for loading in ["src=\"http", "src=\"//", "<link ", "url(http", "@import"] {
        assert!(
            !dom.contains(loading),
            "the page loads something from outside: {loading}"
        );
    }

    let (light, dark) = (
        folder.path().join("light.png"),
        folder.path().join("dark.png"),
    );
    for (file, scheme) in [(&light, "1"), (&dark, "0")] {
        let arguments = [
            "--window-size=1200,2400".to_owned(),
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--screenshot={}", file.display()),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        chromium(
            &folder.path().join(format!("profile-{scheme}")),
            &arguments,
            &page,
        );
        assert!(file.metadata().unwrap().len() > 50_000, "an empty page");
    }
    assert_ne!(
        std::fs::read(light).unwrap(),
        std::fs::read(dark).unwrap(),
        "dark mode changes nothing"
    );
}
