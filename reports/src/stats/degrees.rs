//! The degrees of freedom that a variance estimated from few or heavy-tailed tasks has.

/// Satterthwaite's degrees of freedom (1946) of a sum of squares over independent tasks:
/// 2n/(κ−1) for their kurtosis κ, which is n for normal ones and less where a few tasks
/// make most of the sum. At least 1, at most n − 1.
pub(super) fn degrees_of_freedom(deviations: &[f64]) -> f64 {
    let n = deviations.len() as f64;
    let squares: f64 = deviations.iter().map(|d| d * d).sum();
    let fourths: f64 = deviations.iter().map(|d| d.powi(4)).sum();
    let excess = fourths / (squares * squares) - 1.0 / n;
    let degrees = 2.0 / excess;
    if degrees.is_nan() {
        return (n - 1.0).max(1.0);
    }
    // Deviations that are all of one size have no excess.
    if excess <= 0.0 {
        n - 1.0
    } else {
        degrees.min(n - 1.0)
    }
    .max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_task_that_makes_the_sum_leaves_few() {
        let mut deviations = vec![0.001; 99];
        assert!((degrees_of_freedom(&deviations) - 98.0).abs() < 1e-12);
        deviations.push(50.0);
        assert!(degrees_of_freedom(&deviations) < 2.1);
        assert!((degrees_of_freedom(&[0.0; 9]) - 8.0).abs() < 1e-12);
    }

    #[test]
    fn normal_deviations_leave_all_but_one() {
        // Quantiles of the normal distribution: their kurtosis is just below 3.
        use statrs::distribution::{ContinuousCDF, Normal};
        let deviations: Vec<f64> = (0..50)
            .map(|i| Normal::standard().inverse_cdf((f64::from(i) + 0.5) / 50.0))
            .collect();
        assert!((degrees_of_freedom(&deviations) - 49.0).abs() < 1e-9);
    }
}
