//! How long a server asks to be left alone.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// Reads `retry-after-ms` (milliseconds), or else `retry-after` (seconds, or an HTTP
/// date), from whatever `header` finds by its lower-case name.
///
/// A date is counted from the response's own `date` where it has one, because then
/// both are on the server's clock; a date that has passed asks for no wait at all.
pub fn retry_after<'a>(header: impl Fn(&str) -> Option<Cow<'a, str>>) -> Option<Duration> {
    let seconds = |text: &str, unit: f64| {
        // A negative, endless or absurd number is no duration.
        Duration::try_from_secs_f64(text.trim().parse::<f64>().ok()? * unit).ok()
    };
    let milliseconds = || seconds(&header("retry-after-ms")?, 1e-3);
    let either = || {
        let value = header("retry-after")?;
        seconds(&value, 1.0).or_else(|| {
            let until = date(&value)?;
            let now = header("date").and_then(|now| date(&now));
            let now = now.unwrap_or_else(SystemTime::now);
            Some(until.duration_since(now).unwrap_or_default())
        })
    };
    milliseconds().or_else(either)
}

/// Reads the wait that a message asks for, such as `try again in 1m2.5s`.
pub fn in_words(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    let phrases = ["try again in ", "retry in "].into_iter();
    let mut rest = phrases.filter_map(|phrase| message.split_once(phrase));
    let mut rest = rest.next()?.1;
    let mut wait = None::<f64>;
    while let Some((seconds, more)) = quantity(rest) {
        wait = Some(wait.unwrap_or_default() + seconds);
        rest = more;
    }
    Duration::try_from_secs_f64(wait?).ok()
}

/// A number and its unit at the beginning of a text, in seconds, and what follows it.
fn quantity(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphabetic());
    let (unit, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let unit = match unit {
        "ms" | "milliseconds" => 1e-3,
        "s" | "second" | "seconds" => 1.0,
        "m" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * unit, rest.trim_start()))
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &'static str)]) -> Option<Duration> {
        retry_after(|name| {
            let (_, value) = headers.iter().find(|(known, _)| *known == name)?;
            Some((*value).into())
        })
    }

    #[test]
    fn seconds_milliseconds_and_dates() {
        let date = "Sat, 21 Nov 2026 10:00:00 GMT";
        let later = "Sat, 21 Nov 2026 10:00:07 GMT";
        for (headers, expected) in [
            (&[("retry-after", "3")][..], Some(Duration::from_secs(3))),
            (
                &[("retry-after", " 0.5 ")],
                Some(Duration::from_millis(500)),
            ),
            (
                &[("retry-after", "3"), ("retry-after-ms", "1500")],
                Some(Duration::from_millis(1500)),
            ),
            (
                &[("retry-after", "2"), ("retry-after-ms", "soon")],
                Some(Duration::from_secs(2)),
            ),
            (
                &[("retry-after", later), ("date", date)],
                Some(Duration::from_secs(7)),
            ),
            (
                &[("retry-after", date), ("date", later)],
                Some(Duration::ZERO),
            ),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "1e400")], None),
            (&[("retry-after", "next week")], None),
            (&[("date", date)], None),
        ] {
            assert_eq!(of(headers), expected, "{headers:?}");
        }
        let past = of(&[("retry-after", "Mon, 21 Nov 1994 10:00:00 GMT")]);
        assert_eq!(past, Some(Duration::ZERO), "by our own clock");
    }
    #[test]
    fn waits_in_words() {
        for (message, expected) in [
            ("Please try again in 1.2s. Visit us.", Some(1_200)),
            ("Try again in 450ms", Some(450)),
            ("try again in 1m2.5s.", Some(62_500)),
            ("Please retry in 26.5s", Some(26_500)),
            ("try again in 7 seconds", Some(7_000)),
            ("try again in 1 minute 5 seconds, or later", Some(65_000)),
            ("try again in a while", None),
            ("try again in 5 parsecs", None),
            ("try again in 1.2.3s", None),
            ("try again in ", None),
            ("try again", None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(in_words(message), expected, "{message}");
        }
        let endless = format!("try again in {}h", "9".repeat(400));
        assert_eq!(in_words(&endless), None);
    }
}
