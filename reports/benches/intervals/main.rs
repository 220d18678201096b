//! Tries every interval and the gate's arithmetic on simulated runs with a known truth:
//!
//!     cargo bench -p timeslip-reports --bench intervals
//!
//! Prints how often the intervals of 95 % hold the truth, how often 40 rules alarm when
//! nothing changed, how often a change is found, and what a figure costs; exits with 1
//! when a share is not as wanted beyond three standard errors of the simulation.
#![allow(clippy::expect_used)]

// By its path, as the tests name it: the modules below it lie beside it for both.
#[path = "simulation.rs"]
mod simulation;

use std::process::ExitCode;
use std::time::Instant;

use simulation::Share;
use simulation::coverage::{
    Coverage, Repetitions, latencies, of_latencies, of_passes, of_successes, successes,
};
use simulation::nights::{ALPHA, Drift, Night, false_alarms, power_of_rates, power_of_times};
use simulation::random::Random;
use statrs::distribution::{ContinuousCDF, Normal};
use timeslip_reports::stats::{quantile_log_ratio, signed_rank};

fn main() -> ExitCode {
    let mut failed = coverage();
    failed += nights();
    failed += power();
    times();
    if failed == 0 {
        println!("\nall as wanted");
        ExitCode::SUCCESS
    } else {
        println!("\n{failed} not as wanted");
        ExitCode::FAILURE
    }
}

fn coverage() -> usize {
    println!(
        "{:<22} {:<33} {:>5}  coverage ± 3 s.e.   width",
        "interval", "data", "tasks"
    );
    let mut failed = 0;
    for tasks in [20, 50, 100, 200, 500] {
        let repetitions = Repetitions {
            formula: if tasks > 200 { 1000 } else { 2000 },
            resampling: if tasks > 100 { 250 } else { 500 },
        };
        for (name, shape) in latencies() {
            failed += print(&of_latencies(name, shape, tasks, repetitions));
        }
        for shape in successes() {
            failed += print(&of_successes(shape, tasks, repetitions));
        }
        failed += print(&of_passes(tasks, repetitions));
    }
    failed
}

fn print(lines: &[Coverage]) -> usize {
    for line in lines {
        println!("{line}");
    }
    lines.iter().filter(|line| !line.is_as_wanted()).count()
}

fn nights() -> usize {
    println!(
        "\nA against A: nights with any alarm, 40 rules, Holm at {} %",
        ALPHA * 100.0
    );
    let mut failed = 0;
    for (words, limit, drift, wanted) in [
        ("limit 5 %", 1.05_f64.ln(), Drift::None, Some(0.01)),
        ("limit 0", 0.0, Drift::None, Some(0.01)),
        (
            "limit 0, 5 % drift, interleaved",
            0.0,
            Drift::Interleaved,
            Some(0.02),
        ),
        (
            "limit 5 %, 5 % drift, interleaved",
            1.05_f64.ln(),
            Drift::Interleaved,
            Some(0.02),
        ),
        (
            "limit 5 %, 5 % drift, stored baseline",
            1.05_f64.ln(),
            Drift::Stored,
            None,
        ),
    ] {
        let night = Night {
            tasks: 100,
            limit,
            drift,
            tails: 5,
        };
        let count = if limit > 0.0 { 300 } else { 1000 };
        let alarms = false_alarms(night, count, 31);
        let fine = wanted.is_none_or(|wanted| alarms.is_at_most(wanted));
        failed += report(
            words,
            alarms,
            wanted.map(|wanted| format!("at most {:.0} %", wanted * 100.0)),
            fine,
        );
    }
    failed
}

fn power() -> usize {
    println!("\npower, by a signed rank: +10 % at 200 pairs, each side's log-SD 0.15, limit 3 %");
    let mut failed = 0;
    let (growth, limit) = (1.1_f64.ln(), 1.03_f64.ln());
    for (words, pairs, level, wanted) in [
        ("1 rule at 1 %", 200, ALPHA, Some(0.9)),
        ("first of 40 rules, Holm at 1 %", 200, ALPHA / 40.0, None),
        ("the same at 250 pairs", 250, ALPHA / 40.0, Some(0.9)),
    ] {
        let found = power_of_times((pairs, 0.15), (growth, limit), level, 2000);
        let fine = wanted.is_none_or(|wanted| found.is_at_least(wanted));
        failed += report(
            words,
            found,
            wanted.map(|wanted| format!("at least {:.0} %", wanted * 100.0)),
            fine,
        );
    }
    println!("\npower, −10 points of resolve rate, 20 % of pairs discordant, one-sided 5 %");
    for pairs in [100, 200, 500] {
        let (fall, discordant) = (0.1, 0.2);
        let theory = mcnemar_power(pairs as f64, fall, discordant, 0.05);
        let found = power_of_rates(pairs, (fall, discordant), 0.05, 4000);
        // The formula is of large samples: within two points and chance.
        let fine = (found.value() - theory).abs() <= 0.02 + found.margin(theory);
        let wanted = format!("{:.1} % by the formula", theory * 100.0);
        failed += report(&format!("{pairs} pairs"), found, Some(wanted), fine);
    }
    failed
}

/// What one figure of 500 tasks with 20 values on each side takes.
fn times() {
    println!("\ntime of one figure, 500 tasks with 20 values on each side");
    let mut random = Random::new(9, 0);
    let mut values = || (0..20).map(|_| random.normal().exp()).collect::<Vec<f64>>();
    let tasks: Vec<[Vec<f64>; 2]> = (0..500).map(|_| [values(), values()]).collect();
    let ratios: Vec<f64> = tasks.iter().map(|[a, b]| (a[0] / b[0]).ln()).collect();
    let time = |name: &str, figure: &dyn Fn() -> bool| {
        let started = Instant::now();
        assert!(figure(), "{name} has an interval");
        println!(
            "{name:<40} {:>8.2} ms",
            started.elapsed().as_secs_f64() * 1e3
        );
    };
    for p in [0.5, 0.95, 0.99] {
        time(&format!("quantile_log_ratio p{}", p * 100.0), &|| {
            quantile_log_ratio(&tasks, p).is_ok_and(|effect| effect.interval(0.95).is_some())
        });
    }
    time("signed_rank", &|| {
        signed_rank(&ratios, "task").is_ok_and(|effect| effect.interval(0.95).is_some())
    });
}

fn report(words: &str, share: Share, wanted: Option<String>, fine: bool) -> usize {
    println!(
        "{words:<40} {:>6.2} % of {:<5} {}{}",
        share.value() * 100.0,
        share.of,
        wanted.map_or_else(
            || "(for comparison)".to_owned(),
            |wanted| format!("wanted {wanted}")
        ),
        if fine { "" } else { "  NOT AS WANTED" }
    );
    usize::from(!fine)
}

/// Miettinen's (1968), the inverse of `detectable_difference`.
fn mcnemar_power(pairs: f64, fall: f64, discordant: f64, level: f64) -> f64 {
    let normal = Normal::standard();
    let z = normal.inverse_cdf(1.0 - level);
    normal.cdf((fall * pairs.sqrt() - z * discordant.sqrt()) / (discordant - fall * fall).sqrt())
}
