//! Names from outside as names of files.

use sha2::{Digest, Sha256};

/// Longest file name that is made from a name.
const MAX_NAME: usize = 64;

/// A name that is safe as a file name: task and endpoint names come from outside. A
/// name that had to be changed gets a hash, so that two never become one.
pub(super) fn file_name(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() <= MAX_NAME && name.chars().all(safe) && !name.starts_with('.') {
        return name.to_owned();
    }
    let kept: String = name
        .chars()
        .map(|c| if safe(c) { c } else { '_' })
        .take(MAX_NAME - 9)
        .collect();
    let hash = Sha256::digest(name);
    let hash: String = hash
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{hash}", kept.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_apart_and_inside() {
        assert_eq!(file_name("django__django-11001"), "django__django-11001");
        for name in ["a b", "a_b/", "../../etc", ".hidden", "", &"x".repeat(300)] {
            let file = file_name(name);
            assert!(
                file.len() <= MAX_NAME && !file.contains('/') && !file.starts_with('.'),
                "{file}"
            );
        }
        assert_ne!(file_name("a b"), file_name("a_b"));
        assert_ne!(file_name("ä"), file_name("ö"));
    }
}
