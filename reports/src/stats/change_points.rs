//! Where a series changes its level: E-divisive with means.
//!
//! The divergence of two stretches is that of Matteson and James ("A Nonparametric
//! Approach for Multiple Change Point Analysis of Multivariate Data", 2014); windows,
//! the t test in place of permutations, and the weak points that are weeded out
//! afterwards are those of Fleming et al. ("Hunter: Using Change Point Detection to
//! Hunt for Performance Regressions", 2023), as in Apache Otava, with whose results this
//! agrees when `min_segment` is 1.

use std::ops::Range;

use statrs::distribution::{ContinuousCDF, StudentsT};

/// How much weaker the evidence for a point may be in the first pass: a point that its
/// neighbours hide is found only once they are set.
const WEAK: f64 = 10.0;

/// How a series is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePointOptions {
    /// Values looked at at once; at least 2, and the work grows with it.
    pub window: usize,
    /// Largest p value of a change point.
    pub max_p: f64,
    /// Smallest relative change of the mean, in either direction.
    pub min_change: f64,
    /// Fewest values before, between and after change points: with one, the last value
    /// of a series is a change as soon as it is an outlier.
    pub min_segment: usize,
}

impl Default for ChangePointOptions {
    fn default() -> Self {
        ChangePointOptions {
            window: 50,
            max_p: 0.001,
            min_change: 0.0,
            min_segment: 4,
        }
    }
}

/// A place where the level of a series changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// Index of the first value of the new level.
    pub index: usize,
    /// Mean since the change point before it.
    pub before_mean: f64,
    /// Mean up to the change point after it.
    pub after_mean: f64,
    /// p value of a t test between the two. The place was chosen for its difference, so
    /// that it is too small to be the chance of a false alarm.
    pub p: f64,
}

impl ChangePoint {
    /// Relative change of the mean, the smaller of the two being the whole.
    fn magnitude(&self) -> f64 {
        let step = (self.after_mean - self.before_mean).abs();
        if step == 0.0 {
            return 0.0;
        }
        step / self.before_mean.abs().min(self.after_mean.abs())
    }
}

/// Every change point, in order. Values that are not finite are passed over.
///
/// Deterministic. A window costs its square for every change point in it; a series as
/// many windows as half windows fit into it, and the square of its weak points.
#[must_use]
pub fn change_points(series: &[f64], options: &ChangePointOptions) -> Vec<ChangePoint> {
    let kept: Vec<usize> = (0..series.len())
        .filter(|index| series[*index].is_finite())
        .collect();
    let largest = kept
        .iter()
        .fold(0.0_f64, |most, i| most.max(series[*i].abs()));
    if largest == 0.0 {
        return Vec::new();
    }
    // A power of two changes no digit, and keeps sums of huge values finite.
    let scale = largest.log2().floor().exp2();
    let values: Vec<f64> = kept.iter().map(|i| series[*i] / scale).collect();
    strongest(&values, &weak_points(&values, options), options)
        .into_iter()
        .map(|point| ChangePoint {
            index: kept[point.index],
            before_mean: point.before_mean * scale,
            after_mean: point.after_mean * scale,
            p: point.p,
        })
        .collect()
}

/// First pass: windows that overlap by half or begin at the last change point.
fn weak_points(values: &[f64], options: &ChangePointOptions) -> Vec<usize> {
    let window = options.window.max(2);
    let mut found: Vec<usize> = Vec::new();
    let mut start = 0;
    while start < values.len() {
        let end = values.len().min(start + window);
        let mut inside = divide(&values[start..end], options);
        inside.sort_unstable();
        found.extend(inside.iter().map(|index| index + start));
        let next = start + window / 2;
        start = found.last().map_or(next, |last| next.max(*last));
    }
    found
}

/// A stretch, and where it would be divided.
struct Stretch {
    range: Range<usize>,
    /// Index and divergence.
    best: Option<(usize, f64)>,
}

impl Stretch {
    fn new(values: &[f64], range: Range<usize>, min_segment: usize) -> Self {
        let best = most_divergent(&values[range.clone()], min_segment)
            .map(|(index, divergence)| (index + range.start, divergence));
        Stretch { range, best }
    }
}

/// Divides one window where it diverges most, again and again, until the most
/// divergent place is not significant.
fn divide(values: &[f64], options: &ChangePointOptions) -> Vec<usize> {
    let stretch = |range| Stretch::new(values, range, options.min_segment);
    let mut stretches = vec![stretch(0..values.len())];
    let mut found = Vec::new();
    loop {
        let candidates = stretches
            .iter()
            .enumerate()
            .filter_map(|(place, stretch)| Some((place, stretch.best?)));
        let strongest = candidates.max_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b));
        let Some((place, (index, _))) = strongest else {
            return found;
        };
        let range = stretches[place].range.clone();
        let (before, after) = (range.start..index, index..range.end);
        let point = compare(values, before.clone(), after.clone());
        if point.p > options.max_p * WEAK {
            return found;
        }
        found.push(index);
        stretches[place] = stretch(before);
        stretches.push(stretch(after));
    }
}

/// The index at which what is before it diverges most from some stretch after it, with
/// the divergence: Matteson and James' Q at α = 1, over every end of that stretch.
fn most_divergent(values: &[f64], min_segment: usize) -> Option<(usize, f64)> {
    let n = values.len();
    let min_segment = min_segment.max(1);
    if n < 2 * min_segment {
        return None;
    }
    // The distances among the first values, summed: `first[k]` of those before `k`.
    let mut first = vec![0.0; n + 1];
    for k in 1..n {
        let added: f64 = values[..k]
            .iter()
            .map(|value| (value - values[k]).abs())
            .sum();
        first[k + 1] = first[k] + added;
    }
    // Distances of each value to those from `index` up to it, summed.
    let mut to_earlier = vec![0.0; n];
    let mut best: Option<(usize, f64)> = None;
    for index in (min_segment..n).rev() {
        let mut among_after = 0.0;
        for end in index + 1..=n {
            to_earlier[end - 1] += (values[index] - values[end - 1]).abs();
            among_after += to_earlier[end - 1];
            if end - index < min_segment {
                continue;
            }
            let among_before = first[index];
            let between = first[end] - among_before - among_after;
            let (before, after) = (index as f64, (end - index) as f64);
            let divergence = 2.0 / (before + after)
                * (between
                    - among_before * after / (before - 1.0).max(1.0)
                    - among_after * before / (after - 1.0).max(1.0));
            // Of equals the first place, as the search goes backwards.
            if best.is_none_or(|(_, most)| divergence >= most) {
                best = Some((index, divergence));
            }
        }
    }
    best
}

/// Second pass: drops the weakest point until every one that is left has its evidence.
fn strongest(values: &[f64], weak: &[usize], options: &ChangePointOptions) -> Vec<ChangePoint> {
    let mut indices = weak.to_vec();
    let between = |indices: &[usize], place: usize| {
        let start = if place == 0 { 0 } else { indices[place - 1] };
        let end = indices.get(place + 1).copied().unwrap_or(values.len());
        compare(values, start..indices[place], indices[place]..end)
    };
    let mut points: Vec<ChangePoint> = (0..indices.len())
        .map(|place| between(&indices, place))
        .collect();
    while let Some(place) = weakest(&points, values.len(), options) {
        points.remove(place);
        indices.remove(place);
        for neighbour in [place.checked_sub(1), Some(place)].into_iter().flatten() {
            if neighbour < points.len() {
                points[neighbour] = between(&indices, neighbour);
            }
        }
    }
    points
}

/// The place of a point that must go: one beside too short a segment, else the one with
/// the highest p value, else the one with the smallest change.
fn weakest(points: &[ChangePoint], n: usize, options: &ChangePointOptions) -> Option<usize> {
    let short = |place: usize| {
        let start = if place == 0 {
            0
        } else {
            points[place - 1].index
        };
        let end = points.get(place + 1).map_or(n, |next| next.index);
        let index = points[place].index;
        (index - start).min(end - index) < options.min_segment
    };
    let by_p = |places: &mut dyn Iterator<Item = usize>| {
        places.max_by(|a, b| points[*a].p.total_cmp(&points[*b].p))
    };
    let too_short = by_p(&mut (0..points.len()).filter(|place| short(*place)));
    too_short
        .or_else(|| by_p(&mut (0..points.len())).filter(|place| points[*place].p > options.max_p))
        .or_else(|| {
            (0..points.len())
                .min_by(|a, b| points[*a].magnitude().total_cmp(&points[*b].magnitude()))
                .filter(|place| points[*place].magnitude() < options.min_change)
        })
}

/// Means of two stretches and the p value of Student's t test between them.
///
/// As Otava, with the variances of the values themselves, divided by n and not n − 1: a
/// little small, which the strict `max_p` makes up for.
fn compare(values: &[f64], before: Range<usize>, after: Range<usize>) -> ChangePoint {
    let index = after.start;
    let (left, right) = (&values[before], &values[after]);
    let (n, m) = (left.len() as f64, right.len() as f64);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (before_mean, after_mean) = (mean(left), mean(right));
    let variance = |values: &[f64], mean: f64| {
        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
    };
    let degrees = n + m - 2.0;
    let pooled = ((n - 1.0) * variance(left, before_mean)
        + (m - 1.0) * variance(right, after_mean))
        / degrees;
    let error = (pooled * (1.0 / n + 1.0 / m)).sqrt();
    let step = (after_mean - before_mean).abs();
    // Means of equal values differ by rounding.
    let rounding = 8.0 * f64::EPSILON * before_mean.abs().max(after_mean.abs());
    let p = match StudentsT::new(0.0, 1.0, degrees) {
        Ok(distribution) if step > rounding => 2.0 * distribution.sf(step / error),
        _ => 1.0,
    };
    ChangePoint {
        index,
        before_mean,
        after_mean,
        p,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn uniform(random: &mut ChaCha8Rng) -> f64 {
        (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nights of noise with σ = 1 around 100, by Box and Muller.
    fn noise(random: &mut ChaCha8Rng, nights: usize) -> Vec<f64> {
        let normal = |_| {
            let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
            100.0 + radius * (std::f64::consts::TAU * uniform(random)).cos()
        };
        (0..nights).map(normal).collect()
    }

    fn indices(series: &[f64]) -> Vec<usize> {
        change_points(series, &ChangePointOptions::default())
            .iter()
            .map(|point| point.index)
            .collect()
    }

    /// Share of series in which a step after 30 nights has been seen, at its place, by
    /// one of the nights that follow.
    fn seen(random: &mut ChaCha8Rng, step: f64, nights: usize) -> f64 {
        let series = 100;
        let found = (0..series).filter(|_| {
            let mut values = noise(random, 30 + nights);
            values[30..].iter_mut().for_each(|value| *value += step);
            (31..=values.len()).any(|tonight| {
                let found = indices(&values[..tonight]);
                found.iter().any(|index| index.abs_diff(30) <= 3)
            })
        });
        found.count() as f64 / f64::from(series)
    }

    #[test]
    fn steps_are_found_where_they_are() {
        let mut values = vec![10.0; 12];
        values.extend([20.0; 9]);
        values.extend([15.0; 7]);
        let found = change_points(&values, &ChangePointOptions::default());
        assert_eq!(indices(&values), [12, 21]);
        assert_eq!((found[0].before_mean, found[0].after_mean), (10.0, 20.0));
        assert_eq!((found[1].before_mean, found[1].after_mean), (20.0, 15.0));
        assert!(found.iter().all(|point| point.p < 1e-12));
    }

    #[test]
    fn noise_alone_is_rarely_a_change() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let series = 400;
        let alarms = (0..series).filter(|_| !indices(&noise(&mut random, 30)).is_empty());
        let share = alarms.count() as f64 / f64::from(series);
        assert!(share <= 0.03, "{share}");
    }

    #[test]
    fn a_step_is_seen_within_nights_of_its_size() {
        // 85 and about 50 of 100.
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let two_sigma = seen(&mut random, 2.0, 6);
        let one_sigma = seen(&mut random, 1.0, 15);
        let early = seen(&mut random, 1.0, 5);
        assert!(two_sigma >= 0.8, "2 sigma: {two_sigma}");
        assert!(one_sigma >= 0.4, "1 sigma: {one_sigma}");
        assert!(early < one_sigma, "{early}");
    }

    #[test]
    fn one_outlier_is_no_change_wherever_it_is() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for at in [0, 1, 15, 28, 29] {
            let mut values = noise(&mut random, 30);
            values[at] += 50.0;
            assert!(indices(&values).is_empty(), "at {at}");
        }
    }

    #[test]
    fn small_changes_can_be_passed_over() {
        let mut values = vec![100.0; 10];
        values.extend([101.0; 10]);
        let options = ChangePointOptions {
            min_change: 0.02,
            ..ChangePointOptions::default()
        };
        assert_eq!(indices(&values), [10]);
        assert_eq!(change_points(&values, &options), []);
    }

    #[test]
    fn gaps_and_extremes_are_borne() {
        let mut values = vec![f64::NAN, 1e308, 1e308, f64::INFINITY, 1e308, 1e308];
        values.extend([-1e308, -1e308, f64::NEG_INFINITY, -1e308, -1e308]);
        assert_eq!(indices(&values), [6]);
        for dull in [&[][..], &[1.0], &[0.0; 20], &[0.1; 20], &[f64::NAN; 20]] {
            assert!(indices(dull).is_empty(), "{dull:?}");
        }
        let tiny: Vec<f64> = (0..20)
            .map(|i| if i < 10 { 5e-324 } else { 1e-310 })
            .collect();
        assert_eq!(indices(&tiny), [10]);
    }

    proptest! {
        #[test]
        fn segments_have_their_length_and_means(
            values in prop::collection::vec(prop_oneof![4 => -1e3..1e3_f64, 1 => Just(f64::NAN)], 0..90),
            window in 0..60_usize,
            min_segment in 0..7_usize,
        ) {
            let options = ChangePointOptions { window, min_segment, max_p: 0.05, min_change: 0.0 };
            let points = change_points(&values, &options);
            let finite = |range: std::ops::Range<usize>| values[range].iter().filter(|v| v.is_finite()).count();
            let mut bounds = vec![0];
            bounds.extend(points.iter().map(|point| point.index));
            bounds.push(values.len());
            for pair in bounds.windows(2).filter(|_| !points.is_empty()) {
                prop_assert!(finite(pair[0]..pair[1]) >= min_segment.max(1));
            }
            for point in &points {
                prop_assert!(point.p <= 0.05 && point.before_mean.is_finite() && point.after_mean.is_finite());
            }
            prop_assert_eq!(points, change_points(&values, &options));
        }

        #[test]
        fn scale_changes_nothing(values in prop::collection::vec(1.0..2.0_f64, 0..60), power in -300..300_i32) {
            let scaled: Vec<f64> = values.iter().map(|v| v * 2.0_f64.powi(power)).collect();
            prop_assert_eq!(indices(&values), indices(&scaled));
        }
    }
}
