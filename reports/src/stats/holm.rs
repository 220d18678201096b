//! Many rules at once: Holm's step-down procedure (Holm, "A Simple Sequentially Rejective
//! Multiple Test Procedure", 1979).

/// p-values adjusted for their number, in the order given: a rule alarms when its adjusted
/// value is at most alpha, and then the chance of any false alarm among all of them is at
/// most alpha, whatever their dependence.
///
/// A value that is not a number counts as 1: it cannot alarm, and still counts.
#[must_use]
pub fn holm_adjusted(p_values: &[f64]) -> Vec<f64> {
    let p_values: Vec<f64> = p_values
        .iter()
        .map(|p| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) })
        .collect();
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (step, index) in order.iter().enumerate() {
        let left = (p_values.len() - step) as f64;
        largest = largest.max((left * p_values[*index]).min(1.0));
        adjusted[*index] = largest;
    }
    adjusted
}

/// Which of the rules alarm, each against its own alpha: those whose adjusted p-value is
/// at most it. The chance of any false alarm is at most the largest of them.
///
/// # Errors
/// As many alphas as p-values are needed.
pub fn holm(p_values: &[f64], alphas: &[f64]) -> Result<Vec<bool>, String> {
    if p_values.len() != alphas.len() {
        return Err(format!(
            "{} p-values and {} alphas: one for each is needed",
            p_values.len(),
            alphas.len()
        ));
    }
    let adjusted = holm_adjusted(p_values);
    Ok(adjusted
        .iter()
        .zip(alphas)
        .map(|(p, alpha)| p <= alpha)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_statsmodels() {
        // statsmodels.stats.multitest.multipletests([…], method="holm")[1]
        let adjusted = holm_adjusted(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((value - expected).abs() < 1e-15);
        }
        assert_eq!(
            holm(&[0.01, 0.04, 0.03, 0.005], &[0.03; 4]),
            Ok(vec![true, false, false, true])
        );
        assert!(holm(&[0.1], &[]).is_err());
        assert!(holm_adjusted(&[]).is_empty());
        assert_eq!(holm_adjusted(&[f64::NAN, 0.5]), [1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn between_the_value_and_that_of_bonferroni(
            p_values in prop::collection::vec(0.0..1.0_f64, 1..50),
        ) {
            let adjusted = holm_adjusted(&p_values);
            let rules = p_values.len() as f64;
            for (adjusted, p) in adjusted.iter().zip(&p_values) {
                prop_assert!(p <= adjusted && *adjusted <= (rules * p).min(1.0) + 1e-15);
            }
            let smallest = p_values.iter().copied().fold(1.0, f64::min);
            prop_assert!(adjusted.iter().any(|p| (p - (rules * smallest).min(1.0)).abs() < 1e-12));
        }
    }
}
