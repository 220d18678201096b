//! What is valid JSON and yet more than a reader can hold.

/// Numbers at least as large are out of range for some readers.
const TOO_LARGE: f64 = 1e308;

/// Deepest nesting that is kept; readers give up at about 128.
const DEEPEST: usize = 100;

/// The same JSON with `null` for numbers out of range and for what is nested too deep;
/// `None` when there is no such thing.
pub(super) fn without(json: &str) -> Option<String> {
    let mut kept = String::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut found = false;
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let (token, after) = rest.split_at(length(rest, first));
        rest = after;
        let inside = depth <= DEEPEST;
        match first {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if inside && (depth > DEEPEST || out_of_range(token)) {
            found = true;
            kept.push_str("null");
        } else if inside {
            kept.push_str(token);
        }
    }
    found.then_some(kept)
}

fn out_of_range(token: &str) -> bool {
    token.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && token
            .parse::<f64>()
            .is_ok_and(|number| number.abs() >= TOO_LARGE)
}

/// Length of the string, the number or the single character at the beginning of a text.
fn length(text: &str, first: char) -> usize {
    let others = &text[first.len_utf8()..];
    let more = match first {
        '"' => {
            let mut escaped = false;
            let end = others.find(|c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(others.len(), |end| end + 1)
        }
        '-' | '0'..='9' => {
            let end = others.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)));
            end.unwrap_or(others.len())
        }
        _ => 0,
    };
    first.len_utf8() + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_is_too_much_is_null() {
        let digits = format!("{{\"a\":-{},\"b\":2}}", "9".repeat(400));
        for (json, expected) in [
            (
                r#"{"a":1e999,"b":[-1E+999,1.5e308, 2]}"#,
                r#"{"a":null,"b":[null,null, 2]}"#,
            ),
            (digits.as_str(), r#"{"a":null,"b":2}"#),
            (r#"["1e999\\\"1e999",1e999]"#, r#"["1e999\\\"1e999",null]"#),
            ("1e99999999999999999999", "null"),
        ] {
            assert_eq!(without(json).as_deref(), Some(expected), "{json}");
        }
        for fine in [
            r#"{"a":"1e999","é":[1e307,0e999,1e-999,12345678901234567890123]}"#,
            "",
            "\"",
            "]}]",
            "-",
        ] {
            assert_eq!(without(fine), None, "{fine}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_null() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [DEEPEST, DEEPEST + 1, 128, 100_000] {
                let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let json = format!("{{\"x\":{inner},\"y\":7}}");
                let kept = without(&json).unwrap_or(json);
                let value: Value = serde_json::from_str(&kept).unwrap();
                assert_eq!(value["y"], 7, "{depth}");
            }
        }
    }
}
