//! A small part of the benchmark `intervals`, so that an interval that no longer holds
//! what it says fails a test. Fixed seeds: always the same simulations.

#[path = "../../benches/intervals/simulation.rs"]
mod simulation;

use simulation::coverage::{
    Coverage, Repetitions, latencies, of_latencies, of_passes, of_successes, successes,
};
use simulation::nights::{ALPHA, Drift, Night, false_alarms, power_of_rates, power_of_times};

const FEW: Repetitions = Repetitions {
    formula: 200,
    resampling: 16,
};

fn assert_as_wanted(lines: &[Coverage]) {
    for line in lines {
        assert!(line.is_as_wanted(), "{line}");
    }
}

#[test]
fn intervals_of_latencies_hold_the_truth() {
    let shapes = latencies();
    let (name, shape) = shapes[1];
    let lines = of_latencies(name, shape, 20, FEW);
    assert_as_wanted(&lines);
    let refused: Vec<&str> = lines
        .iter()
        .filter(|line| line.is_refused())
        .map(|line| line.interval)
        .collect();
    assert_eq!(refused, ["quantile_effect p95", "quantile_effect p99"]);
    let (name, shape) = shapes[4];
    assert_as_wanted(&of_latencies(name, shape, 72, FEW));
}

#[test]
fn intervals_of_rates_hold_the_truth() {
    let many = Repetitions {
        formula: 500,
        resampling: 0,
    };
    for shape in successes() {
        assert_as_wanted(&of_successes(shape, 40, many));
    }
    assert_as_wanted(&of_passes(40, many));
}

#[test]
fn forty_rules_rarely_alarm_when_nothing_changed() {
    for (drift, wanted) in [(Drift::None, 0.01), (Drift::Interleaved, 0.02)] {
        let night = Night {
            tasks: 40,
            limit: 0.0,
            drift,
            tails: 1,
        };
        let alarms = false_alarms(night, 40, 5);
        assert!(alarms.is_at_most(wanted), "{alarms:?}");
    }
    // The simulation can alarm: a baseline of another day does so most nights.
    let stored = Night {
        tasks: 40,
        limit: 0.0,
        drift: Drift::Stored,
        tails: 1,
    };
    let alarms = false_alarms(stored, 10, 5);
    assert!(alarms.value() > 0.2, "{alarms:?}");
}

#[test]
fn what_did_change_is_found() {
    let (growth, limit) = (1.1_f64.ln(), 1.03_f64.ln());
    let found = power_of_times((200, 0.15), (growth, limit), ALPHA, 300);
    assert!(found.is_at_least(0.9), "{found:?}");
    // 86.9 % by Miettinen's formula (1968).
    let found = power_of_rates(150, (0.1, 0.2), 0.05, 1000);
    assert!((found.value() - 0.869).abs() < 0.05, "{found:?}");
}
