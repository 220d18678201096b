//! Walsh averages: the means of all pairs of values, each value paired with itself, too.

/// Means of the pairs of ascending values, in order but never written out: a run of
/// thousands of tasks has millions of them.
pub(super) struct Walsh<'a>(pub(super) &'a [f64]);

impl Walsh<'_> {
    /// How many there are: n(n+1)/2.
    pub(super) fn len(&self) -> u64 {
        let n = self.0.len() as u64;
        n * (n + 1) / 2
    }

    /// The average of that rank, counted from 1 at the smallest.
    pub(super) fn ranked(&self, rank: u64) -> Option<f64> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        if rank == 0 || rank > self.len() {
            return None;
        }
        // Bisection over the representable numbers ends at the average itself.
        let (mut low, mut high) = (order(*first), order(*last));
        while low < high {
            // Half of a sum that may overflow, rounded down.
            let middle = (low & high) + ((low ^ high) >> 1);
            if self.at_most(value(middle)) < rank {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(value(low))
    }

    pub(super) fn median(&self) -> Option<f64> {
        let half = self.len().div_ceil(2);
        let low = self.ranked(half)?;
        if self.len() % 2 == 1 {
            return Some(low);
        }
        Some(f64::midpoint(low, self.ranked(half + 1)?))
    }

    fn at_most(&self, limit: f64) -> u64 {
        let (mut count, mut partners) = (0, self.0.len());
        for (i, value) in self.0.iter().enumerate() {
            // Larger values have fewer partners, so the end only moves down.
            while partners > i && 0.5 * value + 0.5 * self.0[partners - 1] > limit {
                partners -= 1;
            }
            if partners <= i {
                break;
            }
            count += (partners - i) as u64;
        }
        count
    }
}

/// Numbers in the order of the values: the bits of a negative value count backwards.
fn order(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

fn value(order: i64) -> f64 {
    f64::from_bits((order ^ (((order >> 63).cast_unsigned()) >> 1).cast_signed()).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sorted;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_as_if_written_out(
            values in prop::collection::vec(prop_oneof![-1e6..1e6_f64, (-3..3).prop_map(f64::from)], 1..40),
        ) {
            let values = sorted(values);
            let mut pairs = Vec::new();
            for i in 0..values.len() {
                for j in i..values.len() {
                    pairs.push(0.5 * values[i] + 0.5 * values[j]);
                }
            }
            pairs.sort_by(f64::total_cmp);
            let walsh = Walsh(&values);
            prop_assert_eq!(walsh.len(), pairs.len() as u64);
            for (index, pair) in pairs.iter().enumerate() {
                prop_assert_eq!(walsh.ranked(index as u64 + 1), Some(*pair));
            }
            prop_assert_eq!(walsh.ranked(0), None);
            prop_assert_eq!(walsh.ranked(walsh.len() + 1), None);
        }

        #[test]
        fn order_is_that_of_the_values(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(value(order(a)).to_bits(), a.to_bits());
            prop_assert_eq!(order(a).cmp(&order(b)), a.total_cmp(&b));
        }
    }
}
