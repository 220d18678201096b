//! The history: what goes in comes out, whatever happens to the file.

use std::path::{Path, PathBuf};

use timeslip_datasets::run::journal::Outcome;

use crate::support::{FAST, SLOW, Uniform, run_with};
use rusqlite::Connection;
use timeslip_reports::data::{Role, RunData};
use timeslip_reports::history::{
    ALL_SUITES, Added, Before, Endpoint, Error, Filter, FloorSource, Floors, History, Key,
    MIN_OBSERVATIONS, Overview, Record, RunRef, figures,
};

fn data() -> RunData {
    run_with(
        &[
            ("fast", Role::Candidate, FAST),
            ("slow", Role::Baseline, SLOW),
        ],
        24,
        1,
    )
}

/// A run of some night, its times stretched by noise and by `factor`.
fn night(base: &RunData, number: u32, factor: f64) -> Record {
    let date = format!("2026-{:02}-{:02}", 10 + number / 28, number % 28 + 1);
    let mut noise = Uniform::new(u64::from(number) + 1);
    let mut figures = figures(base);
    for figure in &mut figures {
        if figure.metric != "resolve_rate" {
            figure.value *= factor * noise.between(0.97, 1.03);
        }
    }
    Record {
        run: RunRef {
            run_id: format!("{date}T02-00-00Z"),
            path: format!("/nowhere/{date}"),
            started_at: format!("{date}T02:00:00Z"),
            timeslip_version: "0.1.0".into(),
            fingerprint: "5e771296".into(),
            valid: true,
            complete: true,
            simulated: true,
            same_endpoint: false,
            rejected: false,
            pinned: false,
        },
        endpoints: ["fast", "slow"]
            .map(|name| Endpoint {
                name: name.into(),
                setting: format!("setting of {name}"),
            })
            .into(),
        figures,
    }
}

/// The same with one endpoint under two names.
fn twice(base: &RunData, number: u32) -> Record {
    let mut record = night(base, number, 1.0);
    record.run.run_id.push_str("-twice");
    record.run.fingerprint = "another".into();
    record.run.same_endpoint = true;
    let mut noise = Uniform::new(u64::from(number) + 900);
    record.figures.retain(|figure| figure.endpoint == "fast");
    let again = record.figures.clone().into_iter().map(|mut figure| {
        figure.endpoint = "fast-again".into();
        figure.value *= noise.between(0.8, 1.25);
        figure
    });
    record.figures.extend(again.collect::<Vec<_>>());
    record.endpoints = ["fast", "fast-again"]
        .map(|name| Endpoint {
            name: name.into(),
            setting: "setting of fast".into(),
        })
        .into();
    record
}

fn nights(count: u32) -> Vec<Record> {
    let base = data();
    (0..count)
        .map(|number| night(&base, number, if number < 20 { 1.0 } else { 1.12 }))
        .collect()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("runs/history.sqlite")
    }

    fn with(records: &[Record]) -> (Self, History) {
        let place = Place::new();
        let history = History::rebuild(&place.file(), records).unwrap();
        (place, history)
    }
}

fn key(endpoint: &str, metric: &str, statistic: &str) -> Key {
    Key {
        suite: ALL_SUITES.into(),
        endpoint: endpoint.into(),
        metric: metric.into(),
        statistic: statistic.into(),
    }
}

fn everything(history: &History) -> serde_json::Value {
    let filter = Filter::default();
    serde_json::json!([
        Overview::of(history, &filter).unwrap(),
        Floors::of(history, &filter).unwrap()
    ])
}

#[test]
fn figures_are_those_of_the_summary() {
    let mut data = data();
    data.trials[0].outcome = Outcome::Error;
    data.trials[0].wall_ns = 1;
    let summary = timeslip_reports::summary::Summary::from_run(&data);
    let figures = figures(&data);
    let value = |key: &Key| {
        let found = figures.iter().find(|figure| {
            figure.suite == key.suite
                && figure.endpoint == key.endpoint
                && figure.metric == key.metric
                && figure.statistic == key.statistic
        });
        found.map(|figure| figure.value)
    };
    for (name, endpoint) in &summary.endpoints {
        let value = |metric: &str, statistic: &str| value(&key(name, metric, statistic));
        let ms = |metric: &str, statistic: &str| value(metric, statistic).map(|ns| ns / 1e6);
        for (metric, statistic, expected) in [
            ("task_time", "typical", endpoint.wall_ms.p50),
            ("ttft", "p50", endpoint.ttft_ms.p50),
            ("ttft", "p95", endpoint.ttft_ms.p95),
        ] {
            let difference = ms(metric, statistic).unwrap() - expected.unwrap();
            assert!(difference.abs() < 1e-6, "{metric} {statistic}");
        }
        assert_eq!(value("resolve_rate", "share"), endpoint.resolve_rate.point);
        for (group, of_group) in &endpoint.groups {
            let mean = ms(&format!("stage.{}", group.name()), "mean").unwrap();
            assert!((mean - of_group.mean_ms).abs() < 1e-6, "{group:?}");
        }
    }
    let suites: std::collections::BTreeSet<&str> =
        figures.iter().map(|figure| &*figure.suite).collect();
    assert!(suites.into_iter().eq(["*", "swe-mini", "terminal-mini"]));
}

#[test]
fn figures_that_cannot_be_computed_are_absent() {
    let mut data = data();
    for trial in &mut data.trials {
        trial.outcome = Outcome::Error;
    }
    let failed = figures(&data);
    assert!(
        failed
            .iter()
            .all(|figure| figure.metric.ends_with("_rate") && figure.statistic == "share")
    );
    data.trials.clear();
    assert!(figures(&data).is_empty());
}

#[test]
fn what_goes_in_comes_out() {
    let place = Place::new();
    let mut history = History::open_or_create(&place.file()).unwrap();
    let mut record = nights(1).remove(0);
    assert_eq!(history.add(&record).unwrap(), Added::New);
    assert_eq!(history.add(&record).unwrap(), Added::Unchanged);
    let mut known = history.record(&record.run.run_id).unwrap().unwrap();
    known
        .figures
        .sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    record
        .figures
        .sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    assert_eq!(known, record);

    record.figures[0].value += 1.0;
    record.figures[1].value = f64::NAN;
    assert_eq!(history.add(&record).unwrap(), Added::Updated);
    assert_eq!(history.add(&record).unwrap(), Added::Unchanged);
    let known = history.record(&record.run.run_id).unwrap().unwrap();
    assert_eq!(known.figures.len(), record.figures.len() - 1);
    drop(history);
    let again = History::open(&place.file()).unwrap();
    assert_eq!(again.record(&record.run.run_id).unwrap().unwrap(), known);
}

#[test]
fn rebuilding_gives_what_adding_gave() {
    let records = nights(25);
    let (_one, rebuilt) = Place::with(&records);
    let place = Place::new();
    let mut added = History::open_or_create(&place.file()).unwrap();
    for record in records.iter().rev() {
        added.add(record).unwrap();
    }
    assert_eq!(everything(&added), everything(&rebuilt));
    // Over what is there.
    let again = History::rebuild(&place.file(), &records[..9]).unwrap();
    let (_other, few) = Place::with(&records[..9]);
    assert_eq!(everything(&again), everything(&few));
}

#[test]
fn two_runs_of_one_name_are_kept_apart_and_a_moved_run_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("run.json"), "{}").unwrap();
        path.display().to_string()
    };
    let (_place, mut history) = Place::with(&[]);
    let mut first = nights(1).remove(0);
    first.run.path = directory("first");
    history.add(&first).unwrap();
    let mut second = first.clone();
    second.run.path = directory("second");
    assert_eq!(history.add(&second).unwrap(), Added::Unchanged, "a copy");
    second.figures[0].value += 1.0;
    let error = history.add(&second).unwrap_err();
    assert!(
        matches!(error, Error::Namesake { .. }) && error.is_input(),
        "{error}"
    );
    std::fs::remove_dir_all(&first.run.path).unwrap();
    first.run.path = second.run.path;
    assert_eq!(history.add(&first).unwrap(), Added::Updated, "moved");
}

#[test]
fn many_may_add_at_once() {
    let place = Place::new();
    let records = nights(24);
    std::thread::scope(|scope| {
        for own in records.chunks(6) {
            let file = place.file();
            scope.spawn(move || {
                for record in own {
                    let mut history = History::open_or_create(&file).unwrap();
                    history.add(record).unwrap();
                }
            });
        }
    });
    let (_other, alone) = Place::with(&records);
    let together = History::open(&place.file()).unwrap();
    assert_eq!(everything(&together), everything(&alone));
}

/// A writer that is killed leaves its journal; whoever comes next rolls it back.
#[test]
fn half_a_transaction_is_none() {
    let records = nights(3);
    let (place, _) = Place::with(&records[..2]);
    let file = place.file();
    let mut writer = Connection::open(&file).unwrap();
    writer.pragma_update(None, "cache_size", 0).unwrap();
    let transaction = writer.transaction().unwrap();
    transaction.execute("DELETE FROM figures", []).unwrap();
    transaction.cache_flush().unwrap();
    // As the file system is at this moment.
    let after = Place::new();
    std::fs::create_dir(after.file().parent().unwrap()).unwrap();
    for ending in ["", "-journal"] {
        let name = |file: &Path| format!("{}{ending}", file.display());
        std::fs::copy(name(&file), name(&after.file())).unwrap();
    }
    transaction.rollback().unwrap();
    let mut history = History::open(&after.file()).unwrap();
    history.add(&records[2]).unwrap();
    let (_other, whole) = Place::with(&records);
    assert_eq!(everything(&history), everything(&whole));
}

#[test]
fn baselines_roll_or_are_pinned() {
    let mut records = nights(12);
    records[9].run.valid = false;
    records[8].run.complete = false;
    records[7].run.rejected = true;
    let (_place, mut history) = Place::with(&records);
    let ids =
        |runs: Vec<RunRef>| -> Vec<String> { runs.into_iter().map(|run| run.run_id).collect() };
    let own = records[10].run.clone();
    let before = Some(Before {
        started_at: &own.started_at,
        run_id: &own.run_id,
    });
    let expected: Vec<&str> = [4, 5, 6].map(|i: usize| &*records[i].run.run_id).into();
    assert_eq!(
        ids(history.baseline(&own.fingerprint, before, 3).unwrap()),
        expected
    );
    let latest = ids(history.baseline(&own.fingerprint, None, 1).unwrap());
    assert_eq!(latest, [&*records[11].run.run_id]);
    assert!(history.baseline("another", None, 7).unwrap().is_empty());

    assert_eq!(history.pin(&records[2]).unwrap(), []);
    let pinned = |history: &History| ids(history.baseline(&own.fingerprint, before, 3).unwrap());
    assert_eq!(pinned(&history), [&*records[2].run.run_id]);
    assert_eq!(
        ids(history.pin(&records[4]).unwrap()),
        [&*records[2].run.run_id]
    );
    assert_eq!(pinned(&history), [&*records[4].run.run_id]);
    history.add(&records[4]).unwrap();
    assert_eq!(pinned(&history), expected, "no longer pinned");
}

#[test]
fn floors_come_from_comparable_runs_before_the_one_judged() {
    let base = data();
    let mut records = nights(20);
    let (_few, history) = Place::with(&records[..MIN_OBSERVATIONS]);
    let time = key("fast", "task_time", "typical");
    let floor = |history: &History, key: &Key, before| {
        history.evidence("5e771296", key, before).unwrap().floor()
    };
    assert_eq!(floor(&history, &time, None), None);

    // The run that is judged is far off, and not part of what judges it.
    let mut judged = night(&base, 20, 40.0);
    judged.run.started_at = "2026-12-01T02:00:00Z".into();
    let mut broken = night(&base, 21, 40.0);
    broken.run.valid = false;
    let mut rejected = night(&base, 22, 40.0);
    rejected.run.rejected = true;
    records.extend([judged.clone(), broken, rejected]);
    let (_place, mut history) = Place::with(&records);
    let before = Some(Before {
        started_at: &judged.run.started_at,
        run_id: &judged.run.run_id,
    });
    let narrow = floor(&history, &time, before).unwrap();
    assert_eq!(
        (narrow.source, narrow.observations),
        (FloorSource::Nights, 19)
    );
    assert!((0.02..0.25).contains(&narrow.relative), "{narrow:?}");

    // The endpoint under two names, of whichever setting, says something of `fast` alone.
    for number in 0..10 {
        history.add(&twice(&base, number)).unwrap();
    }
    let wider = floor(&history, &time, before).unwrap();
    assert_eq!(
        (wider.source, wider.observations),
        (FloorSource::SameEndpoint, 10)
    );
    assert!(wider.relative > narrow.relative);
    let slow = key("slow", "task_time", "typical");
    let slow = floor(&history, &slow, before).unwrap();
    assert_eq!(slow.source, FloorSource::Nights);
}

#[test]
fn what_is_shown() {
    let base = data();
    let mut records = nights(27);
    records[22].run.valid = false;
    records[24].run.complete = false;
    records[15].run.pinned = true;
    let mut hostile = night(&base, 3, 1.0);
    hostile.run.run_id = "\u{1b}[2J\u{202e}evil\n".into();
    hostile.run.started_at = "\u{1b}]0;2026".into();
    hostile.run.fingerprint = "\u{1b}\u{1b}\n".into();
    let name = "x\u{1b}[31m".repeat(40);
    hostile.endpoints[0].name.clone_from(&name);
    for figure in &mut hostile.figures {
        figure.endpoint.clone_from(&name);
    }
    hostile.figures.dedup_by(|a, b| a.metric == b.metric);
    records.push(hostile);
    records.extend((0..9).map(|number| twice(&base, number)));
    let (_place, history) = Place::with(&records);
    let mut text = Overview::of(&history, &Filter::default())
        .unwrap()
        .terminal();
    let filter = Filter {
        metric: Some("stage".into()),
        suite: Some("swe-mini".into()),
        endpoint: Some("slow".into()),
    };
    text.push_str("=== stages of slow ===\n");
    text.push_str(&Overview::of(&history, &filter).unwrap().terminal());
    text.push_str("=== floors ===\n");
    text.push_str(&Floors::of(&history, &Filter::default()).unwrap().terminal());
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert!(
            !line.chars().any(timeslip_reports::format::steers_terminal),
            "{line:?}"
        );
    }
    insta::assert_snapshot!(text);
}

fn unusable(file: &Path) -> String {
    for opened in [History::open(file), History::open_or_create(file)] {
        let error = opened.unwrap_err();
        assert!(
            matches!(error, Error::Unusable { .. }) && error.is_input(),
            "{error}"
        );
        assert!(
            error.to_string().contains("timeslip history rebuild"),
            "{error}"
        );
    }
    History::open(file).unwrap_err().to_string()
}

#[test]
fn files_that_are_no_history_are_refused_and_kept() {
    let records = nights(2);
    let (_sound, sound) = Place::with(&records);
    type Spoil = fn(&Path);
    let spoilt: [(&str, Spoil); 5] = [
        ("not a sound history", |file| {
            std::fs::write(file, "notes, not a database".repeat(200)).unwrap();
        }),
        ("not a history of timeslip", |file| {
            std::fs::remove_file(file).unwrap();
            let other = Connection::open(file).unwrap();
            other.execute("CREATE TABLE notes (text)", []).unwrap();
        }),
        ("has version 0", |file| {
            let other = Connection::open(file).unwrap();
            other.pragma_update(None, "user_version", 0).unwrap();
        }),
        ("holds other tables", |file| {
            let other = Connection::open(file).unwrap();
            other
                .execute(
                    "CREATE TRIGGER evil AFTER INSERT ON runs BEGIN DELETE FROM runs; END",
                    [],
                )
                .unwrap();
        }),
        ("holds other tables", |file| {
            let other = Connection::open(file).unwrap();
            other.execute("DROP TABLE figures", []).unwrap();
            let view = "CREATE VIEW figures AS SELECT * FROM runs";
            other.execute(view, []).unwrap();
        }),
    ];
    for (problem, spoil) in spoilt {
        let (place, _) = Place::with(&records);
        spoil(&place.file());
        let before = std::fs::read(place.file()).unwrap();
        let error = unusable(&place.file());
        assert!(error.contains(problem), "{error}");
        let rebuilt = History::rebuild(&place.file(), &records).unwrap();
        assert_eq!(everything(&rebuilt), everything(&sound));
        let kept = place.file().with_extension("sqlite.unusable");
        assert_eq!(std::fs::read(kept).unwrap(), before);
    }
    let absent = History::open(&Place::new().file()).unwrap_err();
    assert!(matches!(absent, Error::Missing { .. }), "{absent}");
}

/// Whatever a damaged file gives, it is an answer or an error.
#[test]
fn damage_ends_in_an_error() {
    let records = nights(12);
    let (place, history) = Place::with(&records);
    drop(history);
    let sound = std::fs::read(place.file()).unwrap();
    let mut random = Uniform::new(5);
    let mut refused = 0;
    for round in 0..60 {
        let mut bytes = sound.clone();
        let size = bytes.len() as f64;
        if round % 3 == 0 {
            bytes.truncate(random.between(0.0, size) as usize);
        }
        for _ in 0..40.min(bytes.len()) {
            let at = random.between(0.0, bytes.len() as f64) as usize;
            bytes[at] = random.between(0.0, 256.0) as u8;
        }
        std::fs::write(place.file(), bytes).unwrap();
        let used = History::open_or_create(&place.file()).and_then(|mut history| {
            let overview = Overview::of(&history, &Filter::default())?;
            let floors = Floors::of(&history, &Filter::default())?;
            let _ = (overview.terminal(), floors.terminal());
            history.add(&records[3])
        });
        refused += usize::from(used.is_err());
    }
    assert!(refused > 20, "{refused}");
}
