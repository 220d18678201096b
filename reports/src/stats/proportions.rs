//! Paired difference of success rates.

use super::Effect;
use super::effect::Spread;
use super::tango::Tango;

/// How much higher the success rate of the first side is than that of the second, from
/// each task's attempts as pairs of results: −1 to 1. Each task counts once, however many
/// attempts it has.
///
/// With one attempt per task, Tango's score interval (1998), which also exists when no
/// pair is discordant; its test at a difference of zero is McNemar's. With more, the mean
/// over tasks of the task's mean difference, with its standard error over tasks and
/// Student's t with tasks − 1 degrees of freedom (clustered standard errors as in Miller,
/// "Adding Error Bars to Evals", arXiv 2411.00640, with the finite-cluster correction).
///
/// # Errors
/// No task with an attempt.
pub fn paired_proportions(tasks: &[Vec<(bool, bool)>]) -> Result<Effect, String> {
    let attempted: Vec<&Vec<(bool, bool)>> = tasks.iter().filter(|t| !t.is_empty()).collect();
    let n = attempted.len();
    if n == 0 {
        return Err("no pairs to compare".to_owned());
    }
    let share = |pairs: &[(bool, bool)], sought: (bool, bool)| {
        pairs.iter().filter(|pair| **pair == sought).count() as f64 / pairs.len() as f64
    };
    let alone: Vec<(f64, f64)> = attempted
        .iter()
        .map(|pairs| (share(pairs, (true, false)), share(pairs, (false, true))))
        .collect();
    let count = n as f64;
    let tango = Tango {
        first_only: alone.iter().map(|(first, _)| first).sum(),
        second_only: alone.iter().map(|(_, second)| second).sum(),
        pairs: count,
    };
    let point = tango.difference();
    let squares: f64 = alone
        .iter()
        .map(|(first, second)| (first - second - point).powi(2))
        .sum();
    // Without any variation between tasks to learn from, attempts add nothing.
    if attempted.iter().all(|pairs| pairs.len() == 1) || squares <= 0.0 {
        return Ok(Effect::new(point, n, Spread::Tango(tango)));
    }
    let error = (squares / (count - 1.0) / count).sqrt();
    Ok(Effect::student(point, error, count - 1.0, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn once(first_only: usize, second_only: usize, same: usize) -> Vec<Vec<(bool, bool)>> {
        let mut tasks = vec![vec![(true, false)]; first_only];
        tasks.extend(vec![vec![(false, true)]; second_only]);
        tasks.extend(vec![vec![(true, true)]; same]);
        tasks
    }

    #[test]
    fn unequal_attempts_count_within_their_task() {
        let tasks = [
            vec![(true, false), (true, true), (true, true), (true, false)],
            vec![(false, true)],
            vec![],
        ];
        let effect = paired_proportions(&tasks).unwrap();
        assert!((effect.point + 0.25).abs() < 1e-15);
        assert_eq!(effect.n, 2);
        assert!(paired_proportions(&[vec![]]).is_err());
    }

    #[test]
    fn no_discordant_pair_leaves_room_for_some() {
        let (low, high) = paired_proportions(&once(0, 0, 50))
            .unwrap()
            .interval(0.95)
            .unwrap();
        assert!(low < -0.05 && high > 0.05);
        let thrice = vec![vec![(true, true); 3]; 50];
        assert_eq!(
            paired_proportions(&thrice).unwrap().interval(0.95),
            Some((low, high))
        );
    }

    proptest! {
        #[test]
        fn swapping_sides_turns_the_difference(
            tasks in prop::collection::vec(
                prop::collection::vec(any::<(bool, bool)>(), 1..5), 1..40),
        ) {
            let swapped: Vec<Vec<(bool, bool)>> = tasks
                .iter()
                .map(|pairs| pairs.iter().map(|(a, b)| (*b, *a)).collect())
                .collect();
            let (there, back) = (
                paired_proportions(&tasks).unwrap(),
                paired_proportions(&swapped).unwrap(),
            );
            prop_assert!((there.point + back.point).abs() < 1e-12);
            let ((low, high), (from, to)) =
                (there.interval(0.95).unwrap(), back.interval(0.95).unwrap());
            prop_assert!((low + to).abs() < 1e-9 && (high + from).abs() < 1e-9);
            prop_assert!(low <= there.point && there.point <= high);
        }
    }
}
