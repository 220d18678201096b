//! Writes whole reports to `$CARGO_TARGET_TMPDIR` and checks what is on disk.
//! The files stay, so that a person can look at them.

use crate::{several, support};
use std::path::{Path, PathBuf};

use resvg::tiny_skia::Pixmap;
use timeslip_reports::charts::CHARTS;
use timeslip_reports::data::{Role, RunData};
use timeslip_reports::render::{Written, write_all};

fn written(name: &str, run: &RunData) -> (PathBuf, Written) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let written = write_all(run, &directory).unwrap();
    (directory, written)
}

#[test]
fn a_report_is_complete_and_every_image_decodes() {
    let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample/charts/.timeslip-killed");
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    std::fs::write(&left, "half").unwrap();
    let (directory, written) = written("sample", &support::full_run());
    assert!(!left.exists(), "what a killed render left is swept");
    for file in [
        "summary.json",
        "report.html",
        "csv/trials.csv",
        "csv/stages.csv",
        "csv/exchanges.csv",
        "csv/endpoints.csv",
        "csv/policies.csv",
        "csv/claims.csv",
        "csv/metrics.csv",
        "csv/comparisons.csv",
        "csv/changes.csv",
        "csv/columns.csv",
    ] {
        assert!(
            std::fs::metadata(directory.join(file)).unwrap().len() > 100,
            "{file}"
        );
    }
    let images: Vec<_> = written
        .files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "png"))
        .collect();
    assert_eq!(images.len(), CHARTS.len());
    for image in images {
        let pixels = Pixmap::decode_png(&std::fs::read(image).unwrap()).unwrap();
        assert!(
            pixels.width() > 1000 && pixels.height() > 300,
            "{}",
            image.display()
        );
        let drawn = pixels.pixels().iter().filter(|p| p.red() < 250).count();
        assert!(drawn > 2000, "{} is almost empty", image.display());
    }
    assert_eq!(written.html, directory.join("report.html"));
}

/// Draws the images in a debug build: slow, and for people to look at.
#[test]
#[ignore = "writes more samples to look at"]
fn other_samples() {
    for (name, candidates) in [("three", 2), ("five", 4)] {
        written(name, &several::run(candidates));
    }
    let alone = support::run_with(&[("spark-sim", Role::Candidate, support::FAST)], 6, 2);
    assert!(written("alone", &alone).1.summary.comparison.is_none());
    let sides = [
        ("spark-sim", Role::Candidate, support::FAST),
        ("gpu-sim", Role::Baseline, support::SLOW),
    ];
    let mut retried = support::run_with(&sides, 24, 3);
    retried.trial_limit_ns = 30_000_000_000;
    for trial in &mut retried.trials {
        let price = if trial.endpoint == "spark-sim" {
            3e-5
        } else {
            1e-5
        };
        let tokens = trial.exchanges.iter().filter_map(|e| e.output_tokens);
        trial.cost_usd = Some(tokens.sum::<u64>() as f64 * price);
    }
    let decision = written("retried", &retried).1.summary.decision;
    assert_eq!(decision.retries["gpu-sim"].len(), 3);
    let mut empty = support::run();
    empty.trials.clear();
    assert!(!written("empty", &empty).0.join("charts").exists());
}
