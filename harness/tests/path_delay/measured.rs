//! Stages beside their truth, in nanoseconds.

use std::fmt;

/// Values of one stage, each with its truth.
#[derive(Clone, Default)]
pub struct Pairs(Vec<(u64, u64)>);

impl Pairs {
    /// Adds an exchange.
    pub fn note(&mut self, value: u64, truth: u64) {
        self.0.push((value, truth));
    }

    /// What would have been right.
    pub fn truths(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(_, truth)| *truth)
    }

    /// The pair whose error is the middle one: one stall of a busy machine does not
    /// make an attribution wrong.
    fn median(&self) -> Option<(u64, u64)> {
        let mut pairs = self.0.clone();
        pairs.sort_unstable_by_key(|(value, truth)| value.abs_diff(*truth));
        pairs.get(pairs.len() / 2).copied()
    }

    /// Largest error.
    fn worst(&self) -> u64 {
        let errors = self.0.iter().map(|(value, truth)| value.abs_diff(*truth));
        errors.max().unwrap_or(0)
    }

    /// Within 5 % or 1 ms, whichever is larger.
    fn holds(&self) -> bool {
        self.median()
            .is_none_or(|(value, truth)| value.abs_diff(truth) <= (truth / 20).max(1_000_000))
    }
}

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ns: u64| ns as f64 / 1e6;
        let text = match self.median() {
            Some((value, truth)) => {
                let worst = ms(self.worst());
                format!("{:.2} ({:.2}) {worst:.2}", ms(value), ms(truth))
            }
            None => "not reported".into(),
        };
        write!(f, "{text:>22}")
    }
}

/// One cell's stages beside the truth.
#[derive(Default)]
pub struct Measured {
    /// Protocol and transport.
    pub name: String,
    /// One round trip.
    pub network: Pairs,
    /// Where the server reports it.
    pub queue: Pairs,
    /// Where the server reports it.
    pub prefill: Pairs,
    /// As if the server reported nothing.
    pub fitted: Pairs,
    /// What is left of TTFT.
    pub residue: Pairs,
}

impl Measured {
    /// Names of the columns: milliseconds of the exchange whose error is the median,
    /// its truth in brackets, and the largest error.
    pub const HEADING: &str = "ms (truth) worst error                     network                  queue      prefill, reported        prefill, fitted                residue";

    /// What is too far from the truth.
    pub fn wrong(&self) -> Vec<String> {
        [
            ("network", &self.network),
            ("queue", &self.queue),
            ("reported prefill", &self.prefill),
            ("fitted prefill", &self.fitted),
            ("residue", &self.residue),
        ]
        .into_iter()
        .filter(|(_, pairs)| !pairs.holds())
        .map(|(stage, pairs)| format!("{}: {stage} {pairs}", self.name))
        .collect()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured {
            name,
            network,
            queue,
            prefill,
            fitted,
            residue,
        } = self;
        write!(f, "{name:26}{network} {queue} {prefill} {fitted} {residue}")
    }
}
