//! Numbers as people read them: three significant digits, a unit, no false precision.

pub use timeslip_datasets::steers_terminal;
pub use timeslip_datasets::text::{count, plural};

use crate::stats::Estimate;

/// Shown where a value is absent.
pub const ABSENT: &str = "–";

/// Shown for a cost that a missing price or usage leaves open.
pub const UNKNOWN: &str = "unknown";

/// Nanoseconds per millisecond.
pub const NS_PER_MS: f64 = 1e6;

/// Words as a list: `a, b and c`.
#[must_use]
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A duration given in milliseconds, e.g. `812 µs`, `4.21 ms`, `1.24 s`, `2 min 05 s`.
#[must_use]
pub fn milliseconds(ms: f64) -> String {
    if !ms.is_finite() {
        return ABSENT.to_owned();
    }
    let size = ms.abs();
    if size >= 119_500.0 {
        let seconds = (size / 1e3).round();
        let minutes = (seconds / 60.0).floor();
        return format!(
            "{}{minutes} min {:02} s",
            minus(ms),
            seconds - minutes * 60.0
        );
    }
    let (value, unit) = if size >= 999.5 {
        (size / 1e3, "s")
    } else if size >= 0.9995 || size == 0.0 {
        (size, "ms")
    } else if size >= 0.000_999_5 {
        (size * 1e3, "µs")
    } else {
        (size * 1e6, "ns")
    };
    format!("{}{} {unit}", minus(ms), three_digits(value))
}

/// A duration given in milliseconds that may be infinite, as of what failed.
#[must_use]
pub fn or_beyond(ms: f64) -> String {
    if ms == f64::INFINITY {
        "beyond".to_owned()
    } else {
        milliseconds(ms)
    }
}

/// A round duration on an axis, given in milliseconds: `1 ms`, `2.5 s`, `0`.
#[must_use]
pub fn tick(ms: f64) -> String {
    if ms == 0.0 {
        return "0".to_owned();
    }
    let (value, unit) = if ms >= 1e3 {
        (ms / 1e3, "s")
    } else if ms >= 0.999_999 {
        (ms, "ms")
    } else if ms >= 0.000_999_999 {
        (ms * 1e3, "µs")
    } else {
        (ms * 1e6, "ns")
    };
    let digits = format!("{value:.3}");
    format!(
        "{} {unit}",
        digits.trim_end_matches('0').trim_end_matches('.')
    )
}

/// A round duration in words, given in milliseconds: `500 ms`, `30 s`, `15 min`, `2 h`.
#[must_use]
pub fn round_duration(ms: f64) -> String {
    let seconds = ms / 1e3;
    let whole = |unit: f64| seconds >= unit && seconds % unit == 0.0;
    if whole(3600.0) {
        format!("{} h", seconds / 3600.0)
    } else if whole(60.0) {
        format!("{} min", seconds / 60.0)
    } else {
        tick(ms)
    }
}

/// A difference given in milliseconds, with its sign: `+1.51 ms`, `−13.0 s`.
#[must_use]
pub fn signed_milliseconds(ms: f64) -> String {
    let plus = if ms > 0.0 { "+" } else { "" };
    format!("{plus}{}", milliseconds(ms))
}

/// Both ends of an interval of durations in milliseconds, e.g. `1.04–1.20 s`,
/// `940 ms–1.20 s`.
#[must_use]
pub fn milliseconds_range((low, high): (f64, f64)) -> String {
    let (low, high) = (milliseconds(low), milliseconds(high));
    // Minutes have two units and keep them.
    let parts = low.split_once(' ').zip(high.split_once(' '));
    match parts {
        Some(((digits, low_unit), (_, high_unit)))
            if low_unit == high_unit && !low_unit.contains(' ') =>
        {
            format!("{digits}–{high}")
        }
        _ => format!("{low}–{high}"),
    }
}

/// Both ends of an interval of US dollars, e.g. `$1.10–1.40`.
#[must_use]
pub fn usd_range((low, high): (f64, f64)) -> String {
    let (low, high) = (usd(low), usd(high));
    format!("{low}–{}", high.trim_start_matches('$'))
}

/// US dollars: `$0.0042`, `$1.24`, `$120`.
#[must_use]
pub fn usd(dollars: f64) -> String {
    let size = dollars.abs();
    let digits = if size >= 99.95 || size == 0.0 {
        format!("{size:.0}")
    } else if size >= 0.0995 {
        format!("{size:.2}")
    } else {
        format!("{size:.4}")
    };
    format!("{}${digits}", minus(dollars))
}

/// A measured duration beside the error of the instrument that took it: one that is
/// smaller than the error says so.
#[must_use]
pub fn measured(ms: f64, error_ms: Option<f64>) -> String {
    match error_ms {
        Some(error) if ms > 0.0 && ms < error => {
            format!(
                "{}, below the error of {}",
                milliseconds(ms),
                milliseconds(error)
            )
        }
        _ => milliseconds(ms),
    }
}

/// A duration given in whole nanoseconds.
#[must_use]
pub fn nanoseconds(ns: u64) -> String {
    milliseconds(ns as f64 / NS_PER_MS)
}

/// A ratio, e.g. `1.07×`, `2.9×`, `14.8×`, `120×`.
#[must_use]
pub fn ratio(value: f64) -> String {
    format!("{}×", ratio_digits(value))
}

/// Both ends of a ratio's interval, e.g. `2.6–3.2`.
#[must_use]
pub fn ratio_range((low, high): (f64, f64)) -> String {
    format!("{}–{}", ratio_digits(low), ratio_digits(high))
}

fn ratio_digits(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        format!("{value:.0}")
    } else if size >= 1.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A share between 0 and 1 as a whole percentage, e.g. `41 %`; `<1 %` for traces.
#[must_use]
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.005 {
        "<1 %".to_owned()
    } else {
        format!("{:.0} %", share * 100.0)
    }
}

/// Both ends of an interval of shares, e.g. `38–76 %`.
#[must_use]
pub fn percent_range((low, high): (f64, f64)) -> String {
    format!("{:.0}–{:.0} %", low * 100.0, high * 100.0)
}

/// A signed difference between shares in percentage points, e.g. `−19`, `+4`, `0`.
#[must_use]
pub fn signed_points(difference: f64) -> String {
    let points = (difference * 100.0).round();
    match points {
        p if p > 0.0 => format!("+{p:.0}"),
        p if p < 0.0 => format!("−{:.0}", p.abs()),
        _ => "0".to_owned(),
    }
}

/// A rate in tokens per second, without the unit.
#[must_use]
pub fn rate(value: f64) -> String {
    if value >= 9.95 {
        grouped(value.round())
    } else {
        three_digits(value)
    }
}

/// An amount of bytes, e.g. `512 B`, `48.2 KiB`, `164 MiB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    let mut size = value.abs();
    let sign = minus(value);
    if size < 999.5 {
        return format!("{sign}{size:.0} B");
    }
    for unit in ["KiB", "MiB"] {
        size /= 1024.0;
        if size < 999.5 {
            return format!("{sign}{} {unit}", three_digits(size));
        }
    }
    format!("{sign}{} GiB", three_digits(size / 1024.0))
}

/// An optional value through a formatter, or [`ABSENT`].
pub fn or_absent<T>(value: Option<T>, format: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| ABSENT.to_owned(), format)
}

/// An estimate with its interval, e.g. `50 % (31–69 %)`; the point alone where there is no
/// interval.
pub fn estimate(
    estimate: &Estimate,
    point: impl FnOnce(f64) -> String,
    range: impl FnOnce((f64, f64)) -> String,
) -> String {
    let interval = estimate.interval();
    let interval = interval.map_or_else(String::new, |ends| format!(" ({})", range(ends)));
    format!("{}{interval}", or_absent(estimate.point, point))
}

/// The text with its first letter in upper case.
#[must_use]
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

/// Untrusted text on one line: control characters (a terminal would obey them)
/// and bidirectional overrides become `\u{fffd}`.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if steers_terminal(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// At most `limit` characters, the last one an ellipsis when text was cut.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn minus(value: f64) -> &'static str {
    if value < 0.0 { "−" } else { "" }
}

fn grouped(value: f64) -> String {
    if (0.0..1e15).contains(&value) {
        count(value as u64)
    } else {
        format!("{value:.3e}")
    }
}

fn three_digits(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value >= 99.95 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_smaller_than_its_error_says_so() {
        assert_eq!(
            measured(0.1, Some(0.3)),
            "100 µs, below the error of 300 µs"
        );
        assert_eq!(measured(0.1, None), "100 µs");
        assert_eq!(measured(4.0, Some(0.3)), milliseconds(4.0));
        assert_eq!(measured(0.0, Some(0.3)), milliseconds(0.0));
    }

    #[test]
    fn durations_change_unit_without_a_four_digit_step() {
        for (ms, expected) in [
            (0.0, "0 ms"),
            (0.000_5, "500 ns"),
            (0.81, "810 µs"),
            (0.9999, "1.00 ms"),
            (4.213, "4.21 ms"),
            (999.6, "1.00 s"),
            (12_345.0, "12.3 s"),
            (119_400.0, "119 s"),
            (125_000.0, "2 min 05 s"),
            (-1_500.0, "−1.50 s"),
        ] {
            assert_eq!(milliseconds(ms), expected);
        }
    }

    #[test]
    fn bytes_have_three_digits() {
        for (value, expected) in [
            (0.0, "0 B"),
            (999.4, "999 B"),
            (999.6, "0.98 KiB"),
            (49_152.0, "48.0 KiB"),
            (172_000_000.0, "164 MiB"),
            (-1_572_864.0, "−1.50 MiB"),
            (2_147_483_648.0, "2.00 GiB"),
        ] {
            assert_eq!(bytes(value), expected);
        }
    }

    #[test]
    fn whole_minutes_and_hours_are_named() {
        for (ms, expected) in [
            (500.0, "500 ms"),
            (90_000.0, "90 s"),
            (900_000.0, "15 min"),
            (7_200_000.0, "2 h"),
        ] {
            assert_eq!(round_duration(ms), expected);
        }
        assert_eq!(signed_milliseconds(1.51), "+1.51 ms");
        assert_eq!(signed_milliseconds(-13_000.0), "−13.0 s");
        assert_eq!(milliseconds_range((940.0, 1200.0)), "940 ms–1.20 s");
        assert_eq!(milliseconds_range((1040.0, 1200.0)), "1.04–1.20 s");
        assert_eq!(
            milliseconds_range((125_000.0, 185_000.0)),
            "2 min 05 s–3 min 05 s"
        );
        assert_eq!(usd_range((1.1, 1.4)), "$1.10–1.40");
        assert_eq!(usd(0.0042), "$0.0042");
        assert_eq!(usd(1.236), "$1.24");
    }

    #[test]
    fn ticks_have_no_needless_zeros() {
        for (ms, expected) in [
            (1.0, "1 ms"),
            (2500.0, "2.5 s"),
            (0.0, "0"),
            (0.02, "20 µs"),
        ] {
            assert_eq!(tick(ms), expected);
        }
    }

    #[test]
    fn ratios_and_points() {
        assert_eq!(ratio(2.94), "2.9×");
        assert_eq!(ratio(1.074), "1.07×");
        assert_eq!(ratio(14.83), "14.8×");
        assert_eq!(signed_points(-0.19), "−19");
        assert_eq!(signed_points(-0.001), "0");
        assert_eq!(percent(0.001), "<1 %");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn terminal_control_never_passes() {
        assert_eq!(
            one_line("a\u{1b}[31mb\nc\u{202e}"),
            "a\u{fffd}[31mb c\u{fffd}"
        );
        assert_eq!(shorten("abcdef", 4), "abc…");
    }

    proptest! {
        #[test]
        fn durations_stay_short(ms in -1e9..1e9_f64) {
            prop_assert!(milliseconds(ms).chars().count() <= 16);
        }

        #[test]
        fn one_line_has_no_control(text in ".{0,80}") {
            prop_assert!(!one_line(&text).chars().any(char::is_control));
        }
    }
}
