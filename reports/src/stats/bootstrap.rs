//! The cluster bootstrap: whole tasks are drawn again, with everything they hold.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Effect;
use super::effect::Spread;
use super::effect::resampled::{Percentiles, Resampled};

/// Resamples: enough for the tail of one rule among many.
const RESAMPLES: usize = 4_999;

/// The effect that `statistic` computes from some tasks, by their indices, with its
/// distribution over tasks drawn with replacement. Both sides of a comparison belong
/// into one statistic, so that a task is drawn with both.
///
/// A portable generator with a fixed seed: the same data give the same interval on
/// every machine.
///
/// # Errors
/// Why there is no estimate: no tasks, or a statistic that is undefined on them.
pub fn cluster_bootstrap(
    tasks: usize,
    statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Result<Effect, String> {
    bootstrap(tasks, Percentiles::Expanded(tasks), statistic)
}

pub(super) fn bootstrap(
    tasks: usize,
    percentiles: Percentiles,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Result<Effect, String> {
    if tasks < 2 || u32::try_from(tasks).is_err() {
        return Err(format!(
            "a comparison needs at least two tasks, not {tasks}"
        ));
    }
    let all: Vec<usize> = (0..tasks).collect();
    let point = statistic(&all)
        .filter(|value| value.is_finite())
        .ok_or("the figure is undefined on these tasks")?;
    let mut random = ChaCha8Rng::seed_from_u64(tasks as u64);
    let mut drawn = vec![0; tasks];
    let mut estimates: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for index in &mut drawn {
            // A product's upper half: for thousands of tasks its bias is below 10^-6.
            *index = ((u64::from(random.next_u32()) * tasks as u64) >> 32) as usize;
        }
        estimates.extend(statistic(&drawn).filter(|value| value.is_finite()));
    }
    // A statistic that most resamples leave undefined has no distribution to speak of.
    if estimates.len() * 10 < RESAMPLES * 9 {
        return Err("the figure is undefined on most resamples of these tasks".to_owned());
    }
    let spread = Spread::Resampled(Resampled::new(estimates, percentiles));
    Ok(Effect::new(point, tasks, spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_a_mean_is_that_of_student() {
        let values: Vec<f64> = (0..40).map(|i| f64::from((i * 37) % 41)).collect();
        let mean = |drawn: &[usize]| {
            Some(drawn.iter().map(|i| values[*i]).sum::<f64>() / drawn.len() as f64)
        };
        let effect = cluster_bootstrap(values.len(), mean).unwrap();
        let (low, high) = effect.interval(0.95).unwrap();
        let t = super::super::mean_interval(&values, "task")
            .interval()
            .unwrap();
        assert!(
            (low - t.0).abs() < 0.25 && (high - t.1).abs() < 0.25,
            "{low} {high} {t:?}"
        );
    }

    #[test]
    fn what_cannot_be_estimated_says_why() {
        assert!(
            cluster_bootstrap(1, |_| Some(1.0))
                .unwrap_err()
                .contains("two tasks")
        );
        assert!(cluster_bootstrap(9, |_| Some(f64::NAN)).is_err());
    }
}
