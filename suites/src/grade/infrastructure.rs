//! Tells a broken environment from a wrong change, by what is in the log.
//!
//! Advisory, as upstream: no verdict depends on it. The reasons have the names that
//! upstream's reports use.

/// What the log of a task that was not solved shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Infrastructure {
    /// What broke, in snake case.
    pub reason: &'static str,
    /// A change of the repository cannot have brought it about.
    pub certain: bool,
}

const fn sign(reason: &'static str, certain: bool, words: &'static [&'static str]) -> Sign {
    let infrastructure = Infrastructure { reason, certain };
    Sign {
        infrastructure,
        words,
    }
}

struct Sign {
    infrastructure: Infrastructure,
    words: &'static [&'static str],
}

/// The first whose words occur says what it was.
const SIGNS: &[Sign] = &[
    sign(
        "browser_launch_failed",
        true,
        &["Failed to launch", "Failed to connect to the bus"],
    ),
    sign(
        "display_unavailable",
        true,
        &[
            "cannot open display",
            "Missing X server",
            "unable to open X display",
        ],
    ),
    sign(
        "out_of_memory",
        true,
        &["Cannot allocate memory", "OutOfMemoryError", "\nKilled\n"],
    ),
    sign(
        "container_unavailable",
        true,
        &[
            "Error response from daemon",
            "Cannot connect to the Docker daemon",
        ],
    ),
    sign(
        "network_unreachable",
        true,
        &[
            "Could not resolve host",
            "Temporary failure in name resolution",
        ],
    ),
    sign(
        "not_prepared",
        false,
        &[
            "is not among those that were prepared",
            "no network here; what is",
        ],
    ),
    sign(
        "missing_module",
        false,
        &[
            "Cannot find module",
            "MODULE_NOT_FOUND",
            "ModuleNotFoundError",
        ],
    ),
    sign(
        "no_tests_collected",
        false,
        &["no tests ran", "collected 0 items"],
    ),
    sign("tests_timed_out", false, &["Timeout error: "]),
];

impl Infrastructure {
    /// What `log` shows, if anything.
    pub(crate) fn find(log: &str) -> Option<Self> {
        SIGNS
            .iter()
            .find(|sign| sign.words.iter().any(|word| log.contains(word)))
            .map(|sign| sign.infrastructure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_comes_before_what_may_be_the_change() {
        let both = "ModuleNotFoundError: x\nfork: Cannot allocate memory\n";
        let found = Infrastructure::find(both).unwrap();
        assert_eq!((found.reason, found.certain), ("out_of_memory", true));
        assert!(
            !Infrastructure::find("ModuleNotFoundError: x")
                .unwrap()
                .certain
        );
        assert_eq!(Infrastructure::find("FAILED test_x"), None);
    }
}
