//! Variables that a task asks of the host: only what the suite allows is passed on,
//! because an untrusted task could ask for a key.

use timeslip_datasets::harbor::{HarborTask, Variables};

use crate::{Error, Result};

/// Puts values in the place of `${NAME}` and `${NAME:-default}`, everywhere in a task.
pub(super) fn resolve(task: &mut HarborTask, passed: &[String]) -> Result<()> {
    let name = task.name.clone();
    let steps = task.steps.iter_mut().map(|step| &mut step.verifier.env);
    let tables = [&mut task.environment.env, &mut task.solution_env];
    for variables in tables.into_iter().chain(steps) {
        resolve_table(variables, &name, &|variable| {
            let allowed = passed.iter().any(|name| name == variable);
            allowed.then(|| std::env::var(variable).ok()).flatten()
        })?;
    }
    Ok(())
}

fn resolve_table(
    variables: &mut Variables,
    task: &str,
    host: &dyn Fn(&str) -> Option<String>,
) -> Result<()> {
    for (name, value) in variables {
        let valid = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let unsupported = |message: String| Error::Unsupported {
            task: task.to_owned(),
            message,
        };
        if !valid || value.contains('\0') {
            return Err(unsupported(format!(
                "the variable {name:?} has a name or a value that no program can be given"
            )));
        }
        let Some(asked) = value
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
        else {
            continue;
        };
        let (variable, default) = match asked.split_once(":-") {
            Some((variable, default)) => (variable, Some(default.to_owned())),
            None => (asked, None),
        };
        *value = host(variable).or(default).ok_or_else(|| {
            unsupported(format!(
                "asks for the variable {variable} of this machine; set it, and allow it with `pass_env = [\"{variable}\"]` in the suite file"
            ))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_is_passed_on() {
        let host = |name: &str| (name == "ALLOWED").then(|| "value".to_owned());
        let resolved = |value: &str| {
            let mut variables = Variables::from([("A".to_owned(), value.to_owned())]);
            resolve_table(&mut variables, "t", &host)
                .map(|()| variables.remove("A").unwrap())
                .map_err(|error| error.to_string())
        };
        assert_eq!(resolved("plain $X").unwrap(), "plain $X");
        assert_eq!(resolved("${ALLOWED}").unwrap(), "value");
        assert_eq!(resolved("${ALLOWED:-other}").unwrap(), "value");
        assert_eq!(resolved("${SECRET:-none}").unwrap(), "none");
        insta::assert_snapshot!(resolved("${SECRET}").unwrap_err(), @r#"t: asks for the variable SECRET of this machine; set it, and allow it with `pass_env = ["SECRET"]` in the suite file"#);
        let mut bad = Variables::from([("A=B".to_owned(), String::new())]);
        assert!(resolve_table(&mut bad, "t", &host).is_err());
    }
}
