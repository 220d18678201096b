//! Answers for `scripts/agreement`, which holds them against other implementations.
//!
//! Reads `{"section": [case, …], …}` from standard input and writes the same shape with an
//! answer in the place of each case. A section is one function.

use std::error::Error;
use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use timeslip_reports::stats::{
    Effect, holm_adjusted, mcnemar_exact, mean_interval, paired_proportions, pass_at_k, pass_hat_k,
    quantile_effect, quantile_log_ratio, signed_rank, sums_effect, sums_log_ratio, wilson,
};

type Answer = Result<Value, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let sections: Map<String, Value> = serde_json::from_reader(io::stdin())?;
    let mut answers = Map::new();
    for (name, cases) in sections {
        let section: fn(Value) -> Answer = match name.as_str() {
            "signed_rank" => signed_ranks,
            "mcnemar" => mcnemar,
            "tango" => tango,
            "wilson" => wilsons,
            "mean" => means,
            "quantile_ratio" => quantile_ratios,
            "quantile" => quantiles,
            "sums" => sums,
            "holm" => holm,
            "pass_at_k" => passes,
            _ => return Err(format!("no section {name}").into()),
        };
        let cases: Vec<Value> = serde_json::from_value(cases)?;
        let answered: Vec<Value> = cases.into_iter().map(section).collect::<Result<_, _>>()?;
        answers.insert(name, answered.into());
    }
    serde_json::to_writer(io::stdout(), &answers)?;
    Ok(())
}

fn read<T: DeserializeOwned>(case: Value) -> Result<T, Box<dyn Error>> {
    Ok(serde_json::from_value(case)?)
}

fn effect(effect: &Effect, limit: f64) -> Value {
    let interval = effect.interval(0.95);
    json!({
        "point": effect.point,
        "low": interval.map(|(low, _)| low),
        "high": interval.map(|(_, high)| high),
        "p_above": effect.p_above(limit),
        "p_below": effect.p_below(limit),
    })
}

fn signed_ranks(case: Value) -> Answer {
    #[derive(Deserialize)]
    struct Case {
        values: Vec<f64>,
        limit: f64,
    }
    let case: Case = read(case)?;
    Ok(effect(&signed_rank(&case.values, "task")?, case.limit))
}

fn mcnemar(case: Value) -> Answer {
    let (first_only, second_only) = read(case)?;
    Ok(json!({ "p": mcnemar_exact(first_only, second_only) }))
}

fn tango(case: Value) -> Answer {
    let (first_only, second_only, pairs): (usize, usize, usize) = read(case)?;
    let mut tasks = vec![vec![(true, false)]; first_only];
    tasks.extend(vec![vec![(false, true)]; second_only]);
    tasks.resize(pairs, vec![(true, true)]);
    Ok(effect(&paired_proportions(&tasks)?, 0.0))
}

fn wilsons(case: Value) -> Answer {
    let (successes, n) = read(case)?;
    let (low, high) = wilson(successes, n).ok_or("no interval")?;
    Ok(json!({ "low": low, "high": high }))
}

fn means(case: Value) -> Answer {
    let values: Vec<f64> = read(case)?;
    let estimate = mean_interval(&values, "task");
    Ok(json!({ "point": estimate.point, "low": estimate.low, "high": estimate.high }))
}

fn quantile_ratios(case: Value) -> Answer {
    #[derive(Deserialize)]
    struct Case {
        tasks: Vec<[Vec<f64>; 2]>,
        p: f64,
    }
    let case: Case = read(case)?;
    Ok(effect(&quantile_log_ratio(&case.tasks, case.p)?, 0.0))
}

fn quantiles(case: Value) -> Answer {
    #[derive(Deserialize)]
    struct Case {
        tasks: Vec<Vec<f64>>,
        p: f64,
    }
    let case: Case = read(case)?;
    Ok(effect(&quantile_effect(&case.tasks, case.p)?, 0.0))
}

fn sums(case: Value) -> Answer {
    let tasks: Vec<[(f64, f64); 2]> = read(case)?;
    let first: Vec<(f64, f64)> = tasks.iter().map(|[first, _]| *first).collect();
    Ok(json!({
        "ratio": effect(&sums_log_ratio(&tasks)?, 0.0),
        "first": effect(&sums_effect(&first)?, 0.0),
    }))
}

fn holm(case: Value) -> Answer {
    let p_values: Vec<f64> = read(case)?;
    Ok(json!({ "adjusted": holm_adjusted(&p_values) }))
}

fn passes(case: Value) -> Answer {
    #[derive(Deserialize)]
    struct Case {
        tasks: Vec<(u64, u64)>,
        k: u64,
    }
    let case: Case = read(case)?;
    Ok(json!({
        "any": pass_at_k(&case.tasks, case.k)?.point,
        "all": pass_hat_k(&case.tasks, case.k)?.point,
    }))
}
