//! pytest's short summary where parameters may be paths.

use super::{Statuses, pytest};

/// As [`pytest::parse`], but of a parameter that is an absolute path only the last
/// component is kept: the rest depends on where the repository was.
pub(super) fn parse(log: &str) -> Statuses {
    log.lines()
        .filter_map(pytest::result)
        .map(|(name, status)| (shortened(name), status))
        .collect()
}

fn shortened(name: &str) -> String {
    let Some((main, rest)) = name.split_once('[') else {
        return name.to_owned();
    };
    // What follows the parameter is not part of the name.
    let Some((option, _)) = rest.rsplit_once(']') else {
        return name.to_owned();
    };
    let is_path = option.starts_with('/') && !option.starts_with("//") && !option.contains('*');
    match option.rsplit_once('/') {
        Some((_, last)) if is_path => format!("{main}[/{last}]"),
        _ => format!("{main}[{option}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_directory() {
        for (name, expected) in [
            ("t.py::a[/home/x/cert.pem]", "t.py::a[/cert.pem]"),
            ("t.py::a[//network/share]", "t.py::a[//network/share]"),
            ("t.py::a[/x/*.py]", "t.py::a[/x/*.py]"),
            ("t.py::a[b[/c/d]]", "t.py::a[b[/c/d]]"),
            ("t.py::a[x]tail", "t.py::a[x]"),
            ("t.py::a[cut", "t.py::a[cut"),
            ("t.py::a", "t.py::a"),
        ] {
            assert_eq!(shortened(name), expected);
        }
    }
}
