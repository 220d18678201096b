//! Run directories that older versions wrote give the figures that they gave then.

use std::path::{Path, PathBuf};

use serde_json::Value;
use timeslip_datasets::run::emissions;
use timeslip_datasets::run::journal::Trial;
use timeslip_reports::summary::Summary;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Every value of the old one is in the new one, which may have more fields. Fractions may
/// differ by what the mathematical functions of another machine round otherwise.
fn compare(place: &str, old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            // How an undecided claim is explained is words, not a figure.
            for (name, value) in old.iter().filter(|(name, _)| *name != "why") {
                let found = new
                    .get(name)
                    .unwrap_or_else(|| panic!("{place}.{name} is gone"));
                compare(&format!("{place}.{name}"), value, found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            let named = old.iter().all(|entry| entry.get("metric").is_some());
            assert!(named || old.len() == new.len(), "entries of {place}");
            for (index, entry) in old.iter().enumerate() {
                // More metrics may be compared now than then.
                let name =
                    |entry: &Value| ["id", "metric", "statistic"].map(|key| entry[key].clone());
                let same = |other: &&Value| name(other) == name(entry);
                let found = if named {
                    new.iter().find(same)
                } else {
                    new.get(index)
                };
                let found = found.unwrap_or_else(|| panic!("{place}[{index}] is gone"));
                compare(&format!("{place}[{index}]"), entry, found);
            }
        }
        (Value::Number(old), Value::Number(new)) if old.is_f64() && new.is_f64() => {
            let (old, new) = (old.as_f64().unwrap(), new.as_f64().unwrap());
            let bound = 1e-9 * old.abs().max(1e-9);
            assert!((old - new).abs() <= bound, "{place}: {old}, now {new}");
        }
        (old, new) => assert_eq!(old, new, "{place}"),
    }
}

#[test]
fn a_run_of_version_1_gives_the_same_figures() {
    let folder = fixture("run-v1");
    let run = timeslip_reports::open(&folder).unwrap();
    let summary = serde_json::to_value(Summary::from_run(&run.data)).unwrap();
    compare("summary", &read(&folder.join("summary.json")), &summary);
}

#[test]
fn the_plan_of_a_run_is_written_as_it_was_read() {
    let folder = fixture("run-v1");
    let run = timeslip_reports::open(&folder).unwrap();
    let written = serde_json::to_value(&run.manifest).unwrap();
    // Options and limits that it did not know have their defaults.
    compare("run", &read(&folder.join("run.json")), &written);
    let calibration = serde_json::to_value(&run.data.calibration).unwrap();
    assert_eq!(calibration, read(&folder.join("calibration.json")));
}

#[test]
fn emissions_tell_of_the_responses_in_the_journal() {
    let folder = fixture("run-v1");
    let run = timeslip_reports::open(&folder).unwrap();
    let journal = run.directory.read_journal(&run.manifest).unwrap();
    let trials: Vec<Trial> = journal.collect::<Result<_, _>>().unwrap();
    for endpoint in ["fast", "slow"] {
        let file = folder.join(format!("emissions/{endpoint}.jsonl"));
        for emission in emissions::read(&file).unwrap() {
            let mut exchanges = trials.iter().flat_map(|trial| &trial.exchanges);
            let id = Some(&emission.response_id);
            let exchange = exchanges.find(|exchange| exchange.response_id.as_ref() == id);
            let events = exchange.unwrap().events.as_slice().len();
            assert_eq!(events, emission.events_ns.len());
        }
    }
}

#[test]
fn a_newer_version_is_refused_and_a_stray_journal_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let old = fixture("run-v1");
    let copy = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(old.join(name)).unwrap();
        std::fs::write(folder.path().join(name), text.replacen(from, to, 1)).unwrap();
    };
    let problem = || {
        timeslip_reports::open(folder.path())
            .unwrap_err()
            .to_string()
    };
    assert!(problem().contains("run.json: is missing"), "{}", problem());
    copy("run.json", "\"version\": 1", "\"version\": 2");
    let newer = "`version` is 2, newer than this timeslip reads (1)";
    assert!(problem().contains(newer), "{}", problem());
    copy("run.json", "", "");
    copy("journal.jsonl", "2026-11-29T00-59-40Z", "another");
    assert!(
        problem().contains("belongs to run another"),
        "{}",
        problem()
    );
}
