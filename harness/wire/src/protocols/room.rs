//! How much room a JSON text takes when it is read: a value takes far more than its text.

/// Bytes of any value.
const VALUE: usize = 72;
/// Bytes of an object or a list beside its values.
const CONTAINER: usize = 500;
/// Bytes that a text may take beside its strings. The longest contexts take a fifth.
const ROOM: usize = 128 << 20;

/// Whether a JSON text takes no more room than any honest one.
pub(super) fn fits(text: &[u8]) -> bool {
    // In most texts there are fewer signs than the room has values.
    text.len() * (CONTAINER + VALUE) <= ROOM
        || room(text, true) <= ROOM
        || room(text, false) <= ROOM
}

/// The room that a text takes; `roughly`, signs in its strings count like any others.
fn room(text: &[u8], roughly: bool) -> usize {
    let (mut values, mut containers) = (0_usize, 0_usize);
    let (mut in_string, mut at) = (false, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string && !roughly,
            b',' if !in_string => values += 1,
            b'{' | b'[' if !in_string => containers += 1,
            _ => {}
        }
        at += 1;
    }
    values * VALUE + containers * (CONTAINER + VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_made_of_nothing_but_values_is_too_much() {
        let code = format!(
            "{{\"text\":\"{}\"}}",
            "if (a[0]) {{ b(\\\"x\\\", [1,2]); }}".repeat(400_000)
        );
        assert!(code.len() > 8 << 20 && fits(code.as_bytes()));
        let messages = "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]},";
        assert!(fits(messages.repeat(20_000).as_bytes()));
        for bomb in ["{\"a\":0},", "[],", "0,"] {
            assert!(
                !fits(bomb.repeat((4 << 20) / bomb.len()).as_bytes()),
                "{bomb}"
            );
        }
    }
}
