//! Every chart, drawn and decoded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use timeslip_reports::charts;
use timeslip_reports::summary::Summary;
use timeslip_reports::svg::to_png;

#[test]
fn every_chart_becomes_a_png() {
    let run = support::run();
    let drawn = charts::all(&run, &Summary::from_run(&run)).unwrap();
    assert_eq!(drawn.len(), 6);
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("charts");
    std::fs::create_dir_all(&directory).unwrap();
    for chart in drawn {
        let png = to_png(&chart.document).unwrap();
        std::fs::write(directory.join(format!("{}.png", chart.name)), &png).unwrap();
    }
}
