//! A straight line through points of which a few are far off.

/// More pairs add cost, not knowledge.
const MAX_POINTS: usize = 600;

/// `y = slope · x + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Change of y for one x.
    pub slope: f64,
    /// 95 % interval of the slope.
    pub slope_interval: (f64, f64),
    /// y at x = 0.
    pub intercept: f64,
    /// Median absolute residual.
    pub residual: f64,
}

/// Fits a line by the Theil–Sen estimator: the slope is the median of the slopes of
/// all pairs of points, the intercept the median of what it leaves, the slope's interval
/// that of Kendall's rank statistic with the variance for ties in x (Sen, 1968). Up to
/// 29 % of the points may be anything without bending it. `None` when no two points
/// differ in x. Points past the 600th are not used.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Line> {
    let points = &points[..points.len().min(MAX_POINTS)];
    let mut slopes = Vec::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let others = points[index + 1..].iter().filter(|(other, _)| other != x);
        slopes.extend(others.map(|(other, z)| (z - y) / (other - x)));
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = median(&mut slopes.clone())?;
    let mut intercepts: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let intercept = median(&mut intercepts)?;
    let mut residuals: Vec<f64> = points
        .iter()
        .map(|(x, y)| (y - slope * x - intercept).abs())
        .collect();
    Some(Line {
        slope,
        slope_interval: interval(&slopes, points),
        intercept,
        residual: median(&mut residuals)?,
    })
}

/// Sen's interval: ascending pair slopes, cut at the ranks that Kendall's statistic
/// reaches by chance in one case of twenty.
fn interval(ascending: &[f64], points: &[(f64, f64)]) -> (f64, f64) {
    const NORMAL_975: f64 = 1.959_963_985;
    let weight = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut xs: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    xs.sort_unstable_by(f64::total_cmp);
    let ties: f64 = xs
        .chunk_by(|a, b| a == b)
        .map(|tied| weight(tied.len() as f64))
        .sum();
    let deviation = ((weight(points.len() as f64) - ties) / 18.0).sqrt();
    let pairs = ascending.len() as f64;
    let rank = ((pairs - NORMAL_975 * deviation) / 2.0).round();
    if rank < 1.0 {
        // Too few points to bound it.
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let rank = rank as usize;
    (ascending[rank - 1], ascending[ascending.len() - rank])
}

/// The median; of an even number of values the mean of the middle two. The values
/// are put into another order.
pub fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, upper, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    let upper = *upper;
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    /// Figures of `scipy.stats.theilslopes`, SciPy 1.17.
    #[test]
    fn the_interval_agrees_with_scipy() {
        let x = [1.0, 2.0, 3.0, 4.0, 10.0, 12.0, 18.0];
        let y = [9.0, 15.0, 19.0, 20.0, 45.0, 55.0, 78.0];
        let points: Vec<(f64, f64)> = std::iter::zip(x, y).collect();
        let line = theil_sen(&points).unwrap();
        assert!((line.slope - 4.0).abs() < 1e-12, "{line:?}");
        let (low, high) = line.slope_interval;
        assert!((low - 3.714_285_714_285_714).abs() < 1e-12 && (high - 4.375).abs() < 1e-12);
    }

    #[test]
    fn points_above_each_other_have_no_slope() {
        assert_eq!(theil_sen(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(theil_sen(&[]), None);
    }

    proptest! {
        #[test]
        fn a_quarter_of_outliers_does_not_bend_the_line(
            slope in -100.0..100.0_f64,
            intercept in -1e3..1e3_f64,
            outliers in proptest::collection::vec(-1e6..1e6_f64, 5),
        ) {
            let mut points: Vec<(f64, f64)> = (0..20)
                .map(|x| (f64::from(x), slope * f64::from(x) + intercept))
                .collect();
            for (index, y) in outliers.into_iter().enumerate() {
                points[index * 4].1 = y;
            }
            let line = theil_sen(&points).unwrap();
            prop_assert!((line.slope - slope).abs() < 1e-6, "{line:?}");
            prop_assert!((line.intercept - intercept).abs() < 1e-4, "{line:?}");
        }
    }
}
