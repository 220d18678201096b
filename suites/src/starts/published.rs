//! What an agent begins with where an image holds the task's repository.
//!
//! A published image has the repository as it was cloned: with the fix and whatever
//! came after it. Before the agent starts, its `.git` is made anew out of the base
//! commit, what that is made of, and the tags among it. What the image has changed in
//! the files (installed versions that were pinned, say) becomes one commit on top, so
//! that it is not taken for the agent's work.

use std::time::Duration;

use super::clone::{EXCLUDED, IDENTITY};
use crate::workspace::CommandVariables;
use crate::{Error, Execution, Limits, Result, Sandbox, Workspace};

/// Packing a large history takes minutes on a slow disk.
const TIME: Duration = Duration::from_secs(1800);

/// Room for the variables, and for what is quoted of a failure.
const OUTPUT_BYTES: usize = 32 * 1024;

/// Begins every script. Files may belong to another user than the one of the commands,
/// which git takes for an attack unless its own configuration says otherwise.
const BEGIN: &str = r#"set -eu
stop() { echo "$*"; exit 3; }
command -v git >/dev/null || stop "its image has no git, so there is no telling what was changed; use an image with git, or clones (\`repositories\` in the suite file)"
git() { command git -c core.hooksPath=/dev/null "$@"; }
[ -d .git ] && [ ! -L .git ] || stop "its image has no git repository in $PWD"
HOME=$(mktemp -d); export HOME; trap 'rm -rf "$HOME"' EXIT
printf '[safe]\n\tdirectory = *\n' >"$HOME/.gitconfig"
git cat-file -e "$base^{commit}" || stop "the repository of its image does not hold the base commit $base"
"#;

/// Puts the files at the base commit, which is where the evaluation starts upstream.
const RESET: &str = r#"git reset -q --hard "$base"; git checkout -q "$base""#;

/// Writes a pack of what the start is made of beside the old objects, removes everything
/// that is not known to be harmless, and puts the pack in its place. Submodules keep
/// their own histories.
const FORGET: &str = r#"mkdir -p .git/info; rm -f .git/index.lock
printf %s "$excluded" >>.git/info/exclude
git config user.name >/dev/null && git config user.email >/dev/null || printf %s "$identity" >>.git/config
git add -A
tree=$(git write-tree)
start=$(git rev-parse "$base^{commit}")
if [ "$tree" != "$(git rev-parse "$base^{tree}")" ]; then
  when=$(git show -s --format=%cI "$base")
  start=$(GIT_AUTHOR_DATE=$when GIT_COMMITTER_DATE=$when git commit-tree -p "$start" -m 'The state of the environment' "$tree")
fi
branch=$(git symbolic-ref -q HEAD) || branch=refs/heads/main
tags=$(git for-each-ref --merged="$base" --format='create %(refname) %(objectname)' refs/tags)
rm -rf .git/fresh; mkdir .git/fresh
{ echo "$start"; printf '%s\n' "$tags" | cut -d ' ' -f 3 | grep . || true; } |
  git pack-objects -q --revs --delta-base-offset .git/fresh/pack >/dev/null
shopt -s dotglob nullglob
for entry in .git/* .git/info/*; do
  case $entry in
  .git/config | .git/shallow | .git/hooks | .git/modules | .git/fresh | .git/info) ;;
  .git/info/exclude | .git/info/attributes | .git/info/sparse-checkout) ;;
  *) rm -rf "$entry" ;;
  esac
done
mkdir -p .git/objects/info .git/objects/pack .git/refs/heads .git/refs/tags
mv .git/fresh/* .git/objects/pack/; rmdir .git/fresh
echo "ref: $branch" >.git/HEAD
git update-ref "$branch" "$start"
printf '%s\n' "$tags" | { grep . || true; } | git update-ref --stdin
git reset -q
rm -rf .git/logs .git/ORIG_HEAD
echo "start $start""#;

/// What commands see in the environment that published images have their code installed
/// in. Activating it for each of them would take part of their time.
const ACTIVATED: &str = r#"if [ -f /opt/miniconda3/bin/activate ]; then
  . /opt/miniconda3/bin/activate >/dev/null && conda activate testbed >/dev/null || { echo "its image has no conda environment \`testbed\`"; exit 3; }
  for name in PATH CONDA_PREFIX CONDA_DEFAULT_ENV; do printf '%s=%s\n' "$name" "${!name-}"; done
fi"#;

/// Puts the repository of an image at the commit `base`.
pub(super) fn reset(base: &str, workspace: &Workspace, sandbox: &Sandbox) -> Result<()> {
    let script = format!("base={base}\n{BEGIN}{RESET}");
    run(&script, workspace, sandbox).map(drop)
}

/// Takes everything after the commit `base` out of the repository of an image; gives the
/// commit that agents then start from.
pub(super) fn forget(base: &str, draft: &Workspace, sandbox: &Sandbox) -> Result<String> {
    let script =
        format!("base={base} excluded='{EXCLUDED}' identity='{IDENTITY}'\n{BEGIN}{FORGET}");
    let forgotten = run(&script, draft, sandbox)?;
    let printed = forgotten.text();
    let commit = printed
        .lines()
        .find_map(|line| line.strip_prefix("start "))
        .filter(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match commit {
        Some(commit) => Ok(commit.to_owned()),
        None => Err(failed(draft, &forgotten)),
    }
}

/// What commands see in the conda environment of an image.
pub(super) fn activated(draft: &Workspace, sandbox: &Sandbox) -> Result<CommandVariables> {
    Ok(variables(&run(ACTIVATED, draft, sandbox)?.text()))
}

fn variables(printed: &str) -> CommandVariables {
    let pairs = printed.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(_, value)| !value.is_empty());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn run(script: &str, workspace: &Workspace, sandbox: &Sandbox) -> Result<Execution> {
    let limits = Limits {
        wall: TIME,
        output_bytes: OUTPUT_BYTES,
        memory_mb: workspace.spec().needs.memory_mb,
    };
    let execution = sandbox.run(&workspace.invocation(script, limits))?;
    if !execution.succeeded() {
        return Err(failed(workspace, &execution));
    }
    Ok(execution)
}

fn failed(workspace: &Workspace, execution: &Execution) -> Error {
    Error::Prepare {
        task: workspace.spec().task.clone(),
        message: match (execution.exit, execution.text().trim()) {
            (crate::Exit::Code(3), why) => why.to_owned(),
            (exit, printed) => {
                format!("its image's repository cannot be made ready ({exit:?}): {printed}")
            }
        },
    }
}
