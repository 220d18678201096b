//! The ceiling on what faster decode alone can give.

use super::paired::task_means;

/// How many times sooner tasks would finish with infinitely fast decode: the
/// geometric mean over tasks of `wall / (wall − decode)`.
///
/// Each pair is (wall, decode) of one attempt. Attempts that are nothing but
/// decode have no finite limit and are left out.
#[must_use]
pub fn amdahl_limit(per_task: &[Vec<(f64, f64)>]) -> Option<f64> {
    let logs = task_means(per_task, |(wall, decode)| {
        (*wall > 0.0 && *decode >= 0.0 && decode < wall).then(|| (wall / (wall - decode)).ln())
    });
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_decode_gives_two() {
        let limit = amdahl_limit(&[vec![(10.0, 5.0)], vec![(2.0, 1.0), (4.0, 2.0)]]);
        assert!((limit.unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(amdahl_limit(&[vec![(3.0, 3.0)], vec![]]), None);
    }

    proptest! {
        #[test]
        fn never_below_one(
            tasks in prop::collection::vec(
                prop::collection::vec((0.0..1e12_f64, 0.0..1e12_f64), 0..4), 0..30),
        ) {
            if let Some(limit) = amdahl_limit(&tasks) {
                prop_assert!(limit >= 1.0 - 1e-12);
            }
        }
    }
}
