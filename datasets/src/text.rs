//! Numbers with their nouns, the same in every message of the workspace.

/// A whole count with thousands separated by a comma.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The count with its noun, given in the singular: `1 task`, `2 tasks`, `3 matches`.
#[must_use]
pub fn plural(n: usize, noun: &str) -> String {
    let ending = match n {
        1 => "",
        _ if noun.ends_with(['s', 'x']) || noun.ends_with("ch") || noun.ends_with("sh") => "es",
        _ => "s",
    };
    let number = count(n as u64);
    match noun.strip_suffix('y') {
        Some(stem) if n != 1 && !stem.ends_with(['a', 'e', 'o', 'u']) => {
            format!("{number} {stem}ies")
        }
        _ => format!("{number} {noun}{ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_agree_with_their_numbers() {
        for (n, noun, expected) in [
            (0, "task", "0 tasks"),
            (1, "task", "1 task"),
            (1_234_567, "trial", "1,234,567 trials"),
            (1, "entry", "1 entry"),
            (2, "entry", "2 entries"),
            (2, "day", "2 days"),
            (2, "match", "2 matches"),
        ] {
            assert_eq!(plural(n, noun), expected);
        }
    }
}
