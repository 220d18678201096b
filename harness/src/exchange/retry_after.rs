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
}
