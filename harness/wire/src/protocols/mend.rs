//! JSON whose texts are damaged: a byte order mark, half a surrogate pair, bytes that are
//! no UTF-8; and JSON with more than can be held: numbers out of range, nesting without end.
//! Only what could not be read is looked at.

mod excess;

use super::StreamError;

/// Reads a payload, and where it cannot be read, once more without what only damages its
/// texts: a byte order mark, half a surrogate pair, bytes that are no UTF-8; and without
/// numbers out of range and values nested too deep, which cost themselves alone.
pub(super) fn mended<T>(
    data: &[u8],
    mut read: impl FnMut(&[u8]) -> Result<T, StreamError>,
) -> Result<T, StreamError> {
    let result = read(data);
    if !matches!(result, Err(StreamError::Malformed { .. })) {
        return result;
    }
    let whole = mend(data);
    let text = whole.as_deref().or_else(|| std::str::from_utf8(data).ok());
    match text.and_then(excess::without).or(whole) {
        Some(mended) => read(mended.as_bytes()),
        None => result,
    }
}

/// The same JSON without what only damages its texts; `None` when there is no such thing.
pub fn mend(data: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(data);
    let whole = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut mended = String::with_capacity(whole.len());
    let mut rest = whole;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match (surrogate(escape), escape.get(6..).map(surrogate)) {
            (Some(Half::High), Some(Some(Half::Low))) => 12,
            (Some(_), _) => {
                mended.push('\u{fffd}');
                rest = &escape[6..];
                continue;
            }
            // A backslash and what it escapes belong together.
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        mended.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    mended.push_str(rest);
    (mended.as_bytes() != data).then_some(mended)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    High,
    Low,
}

/// Which half of a surrogate pair an escape at the beginning of a text is.
fn surrogate(text: &str) -> Option<Half> {
    let code = u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
    match code {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_texts_are_mended() {
        let mended = |text: &str| mend(text.as_bytes());
        for whole in [r#"{"a":"\ud83d\ude00 \\ud83d"}"#, "{}", "\\"] {
            assert_eq!(mended(whole), None, "{whole}");
        }
        for (damaged, expected) in [
            (r#""\ud83d""#, "\"\u{fffd}\""),
            (
                r#""\ude00\ud83d\ud83d\ude00""#,
                "\"\u{fffd}\u{fffd}\\ud83d\\ude00\"",
            ),
            (r#""\\\ud83dx""#, "\"\\\\\u{fffd}x\""),
            ("\u{feff}{}", "{}"),
        ] {
            assert_eq!(mended(damaged).as_deref(), Some(expected), "{damaged}");
        }
        assert_eq!(mend(b"\"\xff\"").as_deref(), Some("\"\u{fffd}\""));
    }
}
