//! Which sandbox a run uses, and what its reader has to know of that.

use timeslip_suites::{BACKENDS, Sandbox, sandbox};

use crate::error::Error;

/// Takes the strongest that works.
pub(super) const AUTO: &str = "auto";

/// A chosen sandbox.
pub(super) struct Chosen {
    pub sandbox: Sandbox,
    pub warnings: Vec<String>,
}

/// The sandbox of a name, tried out.
pub(super) fn choose(name: &str) -> Result<Chosen, Error> {
    let wrong = |problem: String| Error::Config {
        place: "sandbox".into(),
        problem,
    };
    let (backend, why) = if name == AUTO {
        let detection = sandbox::detect()
            .ok_or_else(|| wrong("none works here; `timeslip doctor` says why".to_owned()))?;
        (detection.backend, detection.why)
    } else {
        let backend = sandbox::by_name(name).ok_or_else(|| {
            let known: Vec<&str> = BACKENDS.iter().map(|backend| backend.name()).collect();
            let known = known.join(", ");
            wrong(format!("'{name}' is not known; known are {AUTO}, {known}"))
        })?;
        let why = backend.check()?;
        (backend, why)
    };
    let sandbox = Sandbox::new(backend)?;
    let mut warnings = sandbox.warnings();
    if !backend.capabilities().isolated {
        warnings.push(format!(
            "tools and graders run WITHOUT a sandbox, with your rights and your network ({why}); `timeslip doctor` says how to get one"
        ));
    }
    Ok(Chosen { sandbox, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_known_by_its_name_and_none_is_warned_of() {
        let unknown = choose("chroot").err().unwrap();
        insta::assert_snapshot!(unknown, @"sandbox: 'chroot' is not known; known are auto, bubblewrap, docker, process");
        let chosen = choose("process").unwrap();
        assert_eq!(chosen.sandbox.backend().name(), "process");
        assert!(
            chosen
                .warnings
                .iter()
                .any(|words| words.contains("WITHOUT a sandbox"))
        );
    }
}
