//! Gaps between events: of every figure of a run there are most of these.

/// Durations in nanoseconds. They take four bytes each where all of them are below 4.29 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps(Width);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Width {
    Short(Box<[u32]>),
    Long(Box<[u64]>),
}

impl Gaps {
    /// The durations in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let (short, long): (&[u32], &[u64]) = match &self.0 {
            Width::Short(short) => (short, &[]),
            Width::Long(long) => (&[], long),
        };
        let short = short.iter().map(|ns| u64::from(*ns));
        short.chain(long.iter().copied())
    }
}

impl Default for Gaps {
    fn default() -> Self {
        Gaps(Width::Short(Box::default()))
    }
}

impl FromIterator<u64> for Gaps {
    fn from_iter<I: IntoIterator<Item = u64>>(durations: I) -> Self {
        let long: Vec<u64> = durations.into_iter().collect();
        let short: Result<Box<[u32]>, _> = long.iter().map(|ns| u32::try_from(*ns)).collect();
        Gaps(short.map_or_else(|_| Width::Long(long.into()), Width::Short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_any_length_come_back() {
        for durations in [
            vec![],
            vec![0, 7, u64::from(u32::MAX)],
            vec![1, u64::MAX, 2],
        ] {
            let gaps: Gaps = durations.iter().copied().collect();
            assert_eq!(gaps.iter().collect::<Vec<_>>(), durations);
            let fits = durations.iter().all(|ns| u32::try_from(*ns).is_ok());
            assert_eq!(matches!(gaps.0, Width::Short(_)), fits);
        }
    }
}
