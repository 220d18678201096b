//! Axes with round ticks, linear or logarithmic, as plotters coordinates.
//!
//! Values beyond an axis are held at its ends.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::format::{percent, tick};

/// How values map to positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spacing {
    Linear,
    Log,
}

/// One axis: its range, its ticks and how they are labelled.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    spacing: Spacing,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    label: fn(f64) -> String,
}

/// Ticks a linear time axis aims for.
const LINEAR_TICKS: f64 = 7.0;

/// Above this many 1–2–5 ticks a logarithmic axis shows decades only.
const MAX_LOG_TICKS: usize = 11;

impl Axis {
    /// Durations in milliseconds from 0 to `high`.
    pub(super) fn linear_ms(high: f64) -> Self {
        let high = if high.is_finite() && high > 0.0 {
            high
        } else {
            1.0
        };
        let step = round_step(high / LINEAR_TICKS);
        let ticks = (0..)
            .map(|index| f64::from(index) * step)
            .take_while(|value| *value <= high * (1.0 + 1e-9))
            .collect();
        Axis {
            spacing: Spacing::Linear,
            low: 0.0,
            high,
            ticks,
            label: tick,
        }
    }

    /// Durations in milliseconds on a logarithmic scale that holds both values,
    /// with some air around them.
    pub(super) fn log_ms(low: f64, high: f64) -> Self {
        // One nanosecond to some 3,000 years: what a duration can be.
        let held = |value: f64| {
            if value.is_finite() {
                value.clamp(1e-6, 1e14)
            } else {
                1e-6
            }
        };
        let low = held(low);
        let high = held(high).max(low);
        // At least a factor of three, so that a constant still has an axis.
        let air = (3.0 * low / high).max(1.0).sqrt() * 1.08;
        let (low, high) = (low / air, high * air);
        let ticks = log_ticks(low, high);
        Axis {
            spacing: Spacing::Log,
            low,
            high,
            ticks,
            label: tick,
        }
    }

    /// Shares from 0 to 100 %.
    pub(super) fn shares() -> Self {
        Axis {
            spacing: Spacing::Linear,
            low: 0.0,
            high: 1.0,
            ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0],
            label: percent,
        }
    }

    /// Rows without ticks, from 0 at the top to `count` at the bottom.
    pub(super) fn rows(count: f64) -> Self {
        Axis {
            spacing: Spacing::Linear,
            low: count,
            high: 0.0,
            ticks: Vec::new(),
            label: |_| String::new(),
        }
    }

    /// Position of a value as a part of the axis, held between 0 and 1.
    fn position(&self, value: f64) -> f64 {
        let along = |value: f64| match self.spacing {
            Spacing::Linear => value,
            Spacing::Log => value.max(f64::MIN_POSITIVE).ln(),
        };
        let (low, high) = (along(self.low), along(self.high));
        ((along(value) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (f64::from(end - start) * self.position(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.label)(*value)
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let within = |digits: &[f64]| -> Vec<f64> {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        (first..=last)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)))
            .filter(|value| (low..=high).contains(value))
            .collect()
    };
    let ticks = within(&[1.0, 2.0, 5.0]);
    if ticks.len() > MAX_LOG_TICKS {
        within(&[1.0])
    } else if ticks.len() < 3 {
        within(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0])
    } else {
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            Axis::linear_ms(13_400.0).ticks,
            [0.0, 2000.0, 4000.0, 6000.0, 8000.0, 10_000.0, 12_000.0]
        );
        let axis = Axis::log_ms(40.0, 900.0);
        assert_eq!(axis.ticks, [50.0, 100.0, 200.0, 500.0]);
        assert_eq!(axis.format_ext(&100.0), "100 ms");
    }

    proptest! {
        #[test]
        fn any_data_gives_a_usable_axis(
            low in prop::num::f64::ANY, high in prop::num::f64::ANY, value in prop::num::f64::ANY,
        ) {
            for axis in [Axis::log_ms(low.abs().min(1e15), high.abs().min(1e15)), Axis::linear_ms(high.min(1e15))] {
                let Range { start, end } = axis.range();
                prop_assert!(start < end && start.is_finite() && end.is_finite());
                prop_assert!(axis.ticks.len() <= 22, "{:?}", axis.ticks);
                if !value.is_nan() {
                    prop_assert!((0..=1000).contains(&axis.map(&value, (0, 1000))));
                }
            }
        }
    }
}
