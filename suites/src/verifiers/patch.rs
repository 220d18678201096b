//! What an agent changed in a repository, as a patch.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::grade::{Infrastructure, PatchStatus, last_lines};
use crate::task::{PatchAttempt, StepAttempt};
use crate::workspace::quoted;
use crate::{Error, Grade, Limits, Result, Workspace};

/// The largest change that is graded; upstream has no bound, this machine's memory has.
const PATCH_BYTES: usize = 256 * 1024 * 1024;

/// Everything since the commit `$base`, new files too. The agent may have planted hooks and
/// filters that run programs, which is why this happens inside. What it may have planted to
/// change the format of the patch or what is compared (settings, attributes, replaced
/// objects) is out of the way: the two trees are compared from a repository of their own.
/// A file that git cannot take in (unreadable, a repository without a commit) is not part
/// of the change, and neither keeps others from being nor does the lock of a git that was
/// killed.
const DIFF: &str = r#"
git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }
export GIT_NO_REPLACE_OBJECTS=1
aside=$(mktemp -d /tmp/.timeslip-XXXXXXXXXXXX) || exit
trap 'rm -rf "$aside"' EXIT
exec 2>"$aside/said"
both() {
  rm -f -- "$(git rev-parse --git-path index.lock)"
  git add -A --ignore-errors
  base=$(git rev-parse --verify "$base^{tree}") && tree=$(git write-tree) &&
    objects=$(cd "$(git rev-parse --git-path objects)" && pwd)
}
compared() {
  export HOME=$aside XDG_CONFIG_HOME=$aside GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1
  git init -q --bare "$aside/git" && mkdir -p "$aside/git/info" &&
    echo "$attributes" >"$aside/git/info/attributes" &&
    GIT_OBJECT_DIRECTORY=$objects git --git-dir="$aside/git" --no-pager diff --binary "$base" "$tree"
}
both && compared || { tail -c 1000 "$aside/said"; exit 1; }
"#;

/// Has git take every file for a binary one.
const ALL_BINARY: &str = "* -diff";

/// Takes the change since `base`, or since the state that its image had, from a workspace
/// and has it graded.
pub(super) fn taken(
    attempt: &StepAttempt<'_>,
    base: &str,
    grade: impl FnOnce(&PatchAttempt<'_>) -> Result<Grade>,
) -> Result<Grade> {
    let StepAttempt {
        task,
        step,
        workspace,
        sandbox,
    } = *attempt;
    let limits = Limits {
        wall: step.verifier_time,
        output_bytes: PATCH_BYTES,
        memory_mb: task.workspace.needs.memory_mb,
    };
    let base = workspace.starts_at(base);
    let compare = |attributes: &str| {
        let diff = format!("base={base} attributes={}\n{DIFF}", quoted(attributes));
        let execution = sandbox.run(&workspace.invocation(&diff, limits).with_disk_anew())?;
        Ok::<_, Error>(if execution.output_total_bytes > PATCH_BYTES as u64 {
            Err(format!("the change is larger than {PATCH_BYTES} bytes"))
        } else if !execution.succeeded() {
            Err(format!(
                "the repository was left in a state in which git finds no change ({}): {}",
                execution.exit,
                last_lines(&execution.text())
            ))
        } else {
            Ok(execution.output)
        })
    };
    let found = match compare("")? {
        Ok(patch) => match String::from_utf8(patch) {
            Ok(text) => Ok(text),
            Err(bytes) => compare(ALL_BINARY)?.map(|binary| as_text(bytes.as_bytes(), &binary)),
        },
        Err(why) => Err(why),
    };
    let patch = match found {
        Ok(patch) => patch,
        Err(why) => return Ok(Grade::unresolved(why)),
    };
    let grade = grade(&PatchAttempt {
        task,
        step,
        patch: Some(patch.as_bytes()),
        place: workspace.directory(),
        sandbox,
    })?;
    Ok(Grade {
        patch: Some(patch),
        ..grade
    })
}

/// A patch whose bytes are all text, as predictions are: where a file's part of it is not
/// UTF-8, its part of the same patch with every file as a binary one stands in. Only the
/// targets of symbolic links can be neither; what is not UTF-8 in those is replaced.
fn as_text(patch: &[u8], binary: &[u8]) -> String {
    let header = |section: &[u8]| {
        section
            .split(|byte| *byte == b'\n')
            .next()
            .map(<[u8]>::to_vec)
    };
    let all = sections(binary);
    let as_binary: BTreeMap<_, _> = all.iter().map(|part| (header(part), *part)).collect();
    let mut text = String::new();
    for section in sections(patch) {
        let of_file = match std::str::from_utf8(section) {
            Ok(_) => section,
            Err(_) => match as_binary.get(&header(section)) {
                Some(section) => section,
                // Renames are found otherwise among binary files.
                None => return String::from_utf8_lossy(binary).into_owned(),
            },
        };
        text.push_str(&String::from_utf8_lossy(of_file));
    }
    text
}

/// What a patch says of each file, the line that begins it with it. No other line of git's
/// can begin alike.
pub(super) fn sections(patch: &[u8]) -> Vec<&[u8]> {
    let mut sections = Vec::new();
    let (mut from, mut at) = (0, 0);
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"diff --git ") && at > from {
            sections.push(&patch[from..at]);
            from = at;
        }
        at += line.len();
    }
    if at > from {
        sections.push(&patch[from..at]);
    }
    sections
}

/// Applies a patch in a fresh workspace with the command `apply`, which finds it as
/// `/tmp/patch.diff`; gives the verdict where that fails.
pub(super) fn refused(
    attempt: &PatchAttempt<'_>,
    patch: &[u8],
    apply: &str,
    fresh: &Workspace,
    limits: Limits,
) -> Result<Option<Grade>> {
    let file = fresh.tmp().join("patch.diff");
    fs::write(&file, patch).map_err(Error::io("cannot be written", &file))?;
    let applied = attempt.sandbox.run(&fresh.invocation(apply, limits))?;
    if applied.succeeded() {
        return Ok(None);
    }
    let log = applied.text();
    let detail = format!(
        "the change does not apply to a fresh checkout: {}",
        last_lines(&log)
    );
    let grade = Grade {
        change: PatchStatus::DoesNotApply,
        ..Grade::unresolved(detail)
    };
    Ok(Some(grade.with_log(log)))
}

/// The verdict that was read from what the tests printed, with what else is known.
pub(super) fn concluded(grade: Grade, patched: bool, log: String) -> Grade {
    Grade {
        change: match patched {
            true => PatchStatus::Applied,
            false => PatchStatus::None,
        },
        infrastructure: Infrastructure::find(&log).filter(|_| !grade.resolved),
        ..grade
    }
    .with_log(log)
}

/// Makes a directory for scripts in a temporary place, and writes them.
pub(super) fn write_scripts(directory: &Path, scripts: &[(&str, &[u8])]) -> Result<()> {
    fs::create_dir(directory).map_err(Error::io("cannot be created", directory))?;
    for (name, content) in scripts {
        let file = directory.join(name);
        fs::write(&file, content).map_err(Error::io("cannot be written", &file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_as_a_binary_file() {
        let text = b"diff --git a/a b/a\n-x\n+diff --git\n".as_slice();
        let latin = b"diff --git a/b b/b\n+caf\xe9\n".as_slice();
        let binary = "diff --git a/a b/a\nGIT binary patch\nA\n\ndiff --git a/b b/b\nGIT binary patch\nB\n\n";
        let all = binary.as_bytes();
        insta::assert_snapshot!(as_text(&[text, latin].concat(), all), @r"
        diff --git a/a b/a
        -x
        +diff --git
        diff --git a/b b/b
        GIT binary patch
        B
        ");
        let renamed = b"diff --git a/a b/c\n+caf\xe9\n".as_slice();
        assert_eq!(as_text(&[text, renamed].concat(), all), binary);
    }
}
