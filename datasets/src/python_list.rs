//! Lists of strings as Python prints them, for columns that hold `repr` instead of
//! JSON.

/// The strings of `['a', "b"]`, or of a JSON list; an error completes "the column …".
pub(crate) fn parse(text: &str) -> Result<Vec<String>, String> {
    if let Ok(list) = serde_json::from_str(text) {
        return Ok(list);
    }
    let mut rest = text
        .trim()
        .strip_prefix('[')
        .ok_or("is not a list: it does not begin with [")?
        .trim_start();
    let mut list = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']') {
            return match after.trim() {
                "" => Ok(list),
                more => Err(format!("goes on behind the list: {more:.20}")),
            };
        }
        let (string, after) = string(rest)?;
        list.push(string);
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.starts_with(']') => rest,
            None => return Err("lacks a comma or ] behind a string".to_owned()),
        };
    }
}

/// The string that `text` begins with, and what follows.
fn string(text: &str) -> Result<(String, &str), String> {
    let mut chars = text.char_indices();
    let quote = match chars.next() {
        Some((_, quote @ ('\'' | '"'))) => quote,
        _ => return Err("has an element that is not a string".to_owned()),
    };
    let mut string = String::new();
    while let Some((at, char)) = chars.next() {
        if char == quote {
            return Ok((string, &text[at + quote.len_utf8()..]));
        }
        if char != '\\' {
            string.push(char);
            continue;
        }
        let escape = chars.next().map(|(_, char)| char);
        let digits = match escape {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some(char @ ('\\' | '\'' | '"')) => Ok(char),
            Some('x') => Err(2),
            Some('u') => Err(4),
            Some('U') => Err(8),
            _ => return Err("has an escape that Python does not print".to_owned()),
        };
        match digits {
            Ok(char) => string.push(char),
            Err(count) => {
                let hex: String = chars.by_ref().take(count).map(|(_, char)| char).collect();
                let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                string.push(code.ok_or_else(|| format!("has the escape {hex:?} of no character"))?);
            }
        }
    }
    Err("has a string without an end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_notations() {
        let list = |text: &str| parse(text).unwrap();
        assert_eq!(list("[]"), [""; 0]);
        assert_eq!(list(r#"["a", "b\n"]"#), ["a", "b\n"]);
        assert_eq!(
            list(r#"['a', "it's", 'say "x"', 'it\'s', 'b\\n', '\x41\u00e4\U0001f600',]"#),
            ["a", "it's", "say \"x\"", "it's", "b\\n", "Aä😀"]
        );
    }

    #[test]
    fn what_is_no_list_is_said() {
        let error = |text: &str| parse(text).unwrap_err();
        insta::assert_snapshot!(error("x"), @"is not a list: it does not begin with [");
        insta::assert_snapshot!(error("['a' 'b']"), @"lacks a comma or ] behind a string");
        insta::assert_snapshot!(error("['a'] + x"), @"goes on behind the list: + x");
        insta::assert_snapshot!(error("[1]"), @"has an element that is not a string");
        insta::assert_snapshot!(error("['a"), @"has a string without an end");
        insta::assert_snapshot!(error(r"['\ud800']"), @r#"has the escape "d800" of no character"#);
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"\[?(['"\\,xuU]|[0-9a-f]|ä| |\]){0,30}"#) {
            let _ = parse(&text);
        }
    }
}
