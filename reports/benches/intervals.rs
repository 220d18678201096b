//! Tries every interval and the gate's arithmetic on simulated runs with a known truth:
//!
//!     cargo bench -p timeslip-reports --bench intervals
//!
//! Prints how often the intervals of 95 % hold the truth, how often 40 rules alarm when
//! nothing changed, and how often when something did; exits with 1 when any of it is not
//! as wanted beyond three standard errors of the simulation.
#![allow(clippy::expect_used)]

mod simulation;

use std::process::ExitCode;

use simulation::Share;
use simulation::coverage::{
    Coverage, Repetitions, latencies, of_latencies, of_passes, of_successes, successes,
};
use simulation::nights::{ALPHA, Drift, Night, false_alarms, power_of_rates, power_of_times};
use statrs::distribution::{ContinuousCDF, Normal};

fn main() -> ExitCode {
    let mut failed = coverage();
    failed += nights();
    failed += power();
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
        "interval                 data                              tasks  coverage ± 3 s.e.   width"
    );
    let mut failed = 0;
    for tasks in [20, 50, 100, 200, 500] {
        let repetitions = Repetitions {
            formula: 2000,
            resampling: if tasks > 100 { 300 } else { 600 },
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
        let (percent, margin) = (
            line.covered.value() * 100.0,
            line.covered.margin(0.95) * 100.0,
        );
        print!(
            "{:<24} {:<33} {:>5}  ",
            line.interval, line.data, line.tasks
        );
        if line.is_refused() {
            println!("refused: n too small");
            continue;
        }
        print!("{percent:>6.1} % ± {margin:.1}   {:>9.4}", line.width);
        if line.covered.of < line.simulations {
            print!("  (given in {} of {})", line.covered.of, line.simulations);
        }
        if line.discrete {
            print!("  (discrete: may cover more)");
        }
        println!(
            "{}",
            if line.is_as_wanted() {
                ""
            } else {
                "  NOT AS WANTED"
            }
        );
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
        };
        let count = if wanted.is_some() { 1500 } else { 200 };
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
