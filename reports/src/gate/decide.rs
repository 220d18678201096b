//! From the p-values of all rules to their verdicts.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::compare::Scale;
use crate::format::plural;
use crate::metrics::Unit;
use crate::stats::{CONFIDENCE, Effect, OneSidedTest, pairs_needed};

use super::finding::{Expressed, Finding, LimitSource, Measured, Verdict};
use super::rules::{Action, Rules};

/// What is known of a rule before all rules are weighed together.
pub(super) enum Evaluation {
    /// Nothing can change it any more.
    Settled(Box<Finding>),
    /// It has a p-value.
    Tested(Box<Tested>),
}

impl Evaluation {
    /// Its p-value, when it shares the level of the gate.
    pub(super) fn shared_p(&self) -> Option<f64> {
        match self {
            Evaluation::Tested(tested) if tested.alpha.is_none() => Some(tested.p),
            _ => None,
        }
    }
}

/// A rule with its data and its p-value.
pub(super) struct Tested {
    pub(super) finding: Finding,
    pub(super) weighed: Weighed,
    pub(super) p: f64,
    pub(super) unit: Unit,
    pub(super) alpha: Option<f64>,
    pub(super) max_detectable: Option<f64>,
    pub(super) action: Action,
}

/// What goes into a test.
pub(super) struct Weighed {
    pub(super) effect: Effect,
    pub(super) scale: Scale,
    pub(super) levels: Option<[f64; 2]>,
    pub(super) pairs: usize,
    /// On the effect's scale and with its sign.
    pub(super) limit: f64,
    pub(super) limit_source: LimitSource,
    pub(super) expressed: Expressed,
    pub(super) more_is_worse: bool,
    /// Where the time went, for a regression.
    pub(super) place: Option<String>,
}

impl Tested {
    /// The verdict. `p` is the rule's p-value after Holm's correction, `family` how many
    /// rules share the gate's level.
    pub(super) fn decide(self, p: f64, rules: &Rules, family: usize) -> Finding {
        let alpha = self.alpha.unwrap_or(rules.alpha);
        // Alone among all the rules: the hardest that Holm's order can make it.
        let own_level = self.alpha.unwrap_or(rules.alpha / family as f64);
        let power = Power::of(&self.weighed, own_level, rules.power);
        let measured = self.weighed.measured(p, alpha, power);
        let words = Words {
            measured: &measured,
            unit: self.unit,
            more_is_worse: self.weighed.more_is_worse,
        };
        let undecided = match self.action {
            Action::Fail => Verdict::Inconclusive,
            Action::Warn => Verdict::Warn,
        };
        let (verdict, reason) = if p <= alpha {
            self.beyond_the_limit(&words)
        } else if let Some(why) = self.blindness(&words, power, own_level) {
            (undecided, format!("{}; {why}", words.could_be()))
        } else if self.weighed.point_beyond() {
            (Verdict::Warn, words.perhaps_beyond())
        } else {
            (Verdict::Pass, words.what())
        };
        Finding {
            verdict,
            reason,
            measured: Some(measured),
            ..self.finding
        }
    }

    fn beyond_the_limit(&self, words: &Words) -> (Verdict, String) {
        let place = self.weighed.place.as_ref();
        let place = place.map_or_else(String::new, |place| format!("; {place}"));
        let verdict = match self.action {
            Action::Fail => Verdict::Regression,
            Action::Warn => Verdict::Warn,
        };
        (verdict, format!("{}{place}", words.beyond()))
    }

    /// Why a pass would say nothing; `None` when it says what it should.
    fn blindness(&self, words: &Words, power: Option<Power>, level: f64) -> Option<String> {
        if power.is_none() {
            // No change, however large, could have reached the level.
            let effect = &self.weighed.effect;
            return Some(effect.estimate().reason.unwrap_or_else(|| {
                let tasks = plural(effect.n, "task");
                format!("{tasks} can show no change of any size at the level of {level:.2e}")
            }));
        }
        let (seen, most) = words.measured.detectable.zip(self.max_detectable)?;
        (seen.abs() > most).then(|| {
            format!(
                "the smallest regression this would have found is {}, and max_detectable is {}",
                words.measured.show(seen, self.unit),
                words.measured.show(most, self.unit)
            )
        })
    }
}

/// What a rule could have seen.
#[derive(Clone, Copy)]
struct Power {
    /// The smallest true value in the worse direction that is found, on the scale.
    detectable: f64,
    /// Tasks for a change of twice the limit.
    tasks_needed: Option<usize>,
}

impl Power {
    /// `None` when the level is out of reach: no interval exists there.
    fn of(weighed: &Weighed, level: f64, power: f64) -> Option<Self> {
        let effect: &Effect = &weighed.effect;
        let (low, high) = effect.interval(1.0 - 2.0 * level)?;
        let worse = if weighed.more_is_worse { 1.0 } else { -1.0 };
        // How far beyond the limit an estimate has to be.
        let critical = if weighed.more_is_worse {
            effect.point - low
        } else {
            high - effect.point
        };
        let beyond = critical + Normal::standard().inverse_cdf(power) * effect.standard_error()?;
        let change = weighed.expressed != Expressed::Own && weighed.limit != 0.0;
        let twice = match weighed.scale {
            Scale::Log => (1.0 + 2.0 * weighed.limit.exp_m1())
                .max(f64::MIN_POSITIVE)
                .ln(),
            Scale::Difference => 2.0 * weighed.limit,
        };
        let deviation = effect.standard_error()? * (effect.n as f64).sqrt();
        let test = OneSidedTest {
            alpha: level,
            power,
        };
        let needed = pairs_needed(deviation, (twice - weighed.limit).abs(), test)
            .filter(|_| change)
            .and_then(|needed| usize::try_from(needed).ok());
        Some(Power {
            detectable: weighed.limit + worse * beyond,
            tasks_needed: needed,
        })
    }
}

impl Weighed {
    fn point_beyond(&self) -> bool {
        if self.more_is_worse {
            self.effect.point > self.limit
        } else {
            self.effect.point < self.limit
        }
    }

    /// From the effect's scale to what people read.
    fn natural(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Log => value.exp_m1(),
            Scale::Difference => value,
        }
    }

    fn measured(&self, p: f64, alpha: f64, power: Option<Power>) -> Measured {
        let interval = self.effect.interval(CONFIDENCE);
        Measured {
            expressed: self.expressed,
            change: self.natural(self.effect.point),
            low: interval.map(|(low, _)| self.natural(low)),
            high: interval.map(|(_, high)| self.natural(high)),
            limit: self.natural(self.limit),
            limit_source: self.limit_source,
            p,
            alpha,
            detectable: power.map(|power| self.natural(power.detectable)),
            tasks_needed: power.and_then(|power| power.tasks_needed),
            candidate: self.levels.map(|[candidate, _]| candidate),
            baseline: self.levels.map(|[_, baseline]| baseline),
            tasks: self.effect.n,
            pairs: self.pairs,
        }
    }
}

/// The sentences of a finding.
struct Words<'a> {
    measured: &'a Measured,
    unit: Unit,
    more_is_worse: bool,
}

impl Words<'_> {
    fn what(&self) -> String {
        format!(
            "{} (95 % interval {})",
            self.measured.show(self.measured.change, self.unit),
            self.measured.interval(self.unit)
        )
    }

    /// What was measured, and how bad it may be all the same: nothing found is not nothing
    /// there.
    fn could_be(&self) -> String {
        let (end, worse) = if self.more_is_worse {
            (self.measured.high, 1.0)
        } else {
            (self.measured.low, -1.0)
        };
        let what = self.what();
        match end {
            Some(end) if self.measured.expressed == Expressed::Own => {
                format!("{what}; it could be {}", self.measured.show(end, self.unit))
            }
            Some(end) if end * worse > 0.0 => {
                let amount = self.measured.amount(end, self.unit);
                format!("{what}; it could be up to {amount} worse")
            }
            _ => what,
        }
    }

    fn limit(&self) -> String {
        let limit = self.measured.show(self.measured.limit, self.unit);
        match self.measured.limit_source {
            LimitSource::Rule => limit,
            source => format!("{limit} ({})", source.label()),
        }
    }

    fn beyond(&self) -> String {
        format!("{}, beyond the limit of {}", self.what(), self.limit())
    }

    fn perhaps_beyond(&self) -> String {
        format!(
            "{}, beyond the limit of {} but not surely (p = {:.2}, and {} is asked for)",
            self.what(),
            self.limit(),
            self.measured.p,
            self.measured.alpha
        )
    }
}
