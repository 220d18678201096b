//! The exact test of McNemar for paired successes and failures.

use statrs::function::beta::beta_reg;

/// Two-sided p-value for pairs of which only the first (`first_only`) or only the second
/// side succeeded (`second_only`): if both are as likely, the first is binomial with ½
/// (McNemar, 1947; the exact form doubles the smaller tail). 1 without discordant pairs.
#[must_use]
pub fn mcnemar_exact(first_only: u64, second_only: u64) -> f64 {
    let fewer = first_only.min(second_only) as f64;
    let more = first_only.max(second_only) as f64;
    if more == fewer {
        return 1.0;
    }
    // P(X ≤ fewer) for X binomial over both with ½.
    (2.0 * beta_reg(more, fewer + 1.0, 0.5)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_statsmodels() {
        // statsmodels.stats.contingency_tables.mcnemar([[0, b], [c, 0]], exact=True).pvalue
        for (b, c, p) in [
            (12, 4, 0.076_812_744_140_625),
            (1, 9, 0.021_484_375),
            (0, 6, 0.031_25),
            (5, 5, 1.0),
            (0, 0, 1.0),
        ] {
            assert!((mcnemar_exact(b, c) - p).abs() < 1e-12, "{b} {c}");
        }
    }
}
