//! A verifier apart from the agent: an environment that got nothing of the agent's but
//! the artifacts that its task names.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::path_guard::PathRefusal;
use crate::sandbox::TMP;
use crate::workspace::{copy, quoted};
use crate::{Error, Image, Result, Sandbox, Workspace};

/// What a verifier runs in apart from the agent.
#[derive(Clone, Debug)]
pub(crate) struct Separate {
    /// An environment of its own, in which its tests are already; otherwise a fresh copy
    /// of the agent's.
    pub(crate) image: Option<Image>,
    /// Absolute paths inside that are handed over.
    pub(crate) artifacts: Vec<String>,
}

/// Below `/tmp`: the artifacts on their way from one container to the other.
const HANDED: &str = ".timeslip-handed";

/// Gathers artifacts in a container: as they are, but without what could reach beyond
/// them (links that leave them, special files, other users' rights).
const GATHER: &str = r#"
rm -rf "$to"; mkdir "$to"
take() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  [ "$(realpath -m "$1")" = "$1" ] || { echo "$1 goes through a symbolic link"; exit 4; }
  rm -rf "$to$1"; mkdir -p "$to${1%/*}"; cp -a "$1" "$to$1"
  find "$to$1" -type l | while IFS= read -r link; do
    case $(realpath -m "$link") in "$to$1"/*) ;; *) rm -f "$link" ;; esac
  done
  find "$to$1" ! -type f ! -type d ! -type l -exec rm -rf {} +
  find "$to$1" ! -type l -exec chmod u-s,g-s {} +
}
"#;

/// Puts them in their places in another one; a directory that is there makes way.
const LAY: &str = r#"
lay() {
  [ -e "$from$1" ] || return 0
  rm -rf "$1"; mkdir -p "${1%/*}/"; cp -a "$from$1" "$1"
}
"#;

impl Separate {
    pub(super) fn has_own_image(&self) -> bool {
        self.image.is_some()
    }

    /// Prepares the verifier's environment; `Err` says why what the agent left cannot be
    /// taken over.
    pub(super) fn prepare(
        &self,
        workspace: &Workspace,
        sandbox: &Sandbox,
        directory: &Path,
    ) -> Result<Result<Workspace, String>> {
        let spec = workspace.spec();
        let unsupported = |message: String| Error::Unsupported {
            task: spec.task.clone(),
            message,
        };
        let fresh = match &self.image {
            Some(image) => Workspace::in_image(spec, image, sandbox, directory)?,
            None => Workspace::for_verifier(spec, sandbox, directory)?,
        };
        if workspace.in_container() {
            let handed = hand_over(&self.artifacts, workspace, &fresh, sandbox)?;
            return Ok(handed.map(|()| fresh));
        }
        let (Some((from, inside)), Some((to, _))) = (workspace.mounted(), fresh.mounted()) else {
            return Err(unsupported(
                "hands files from one kind of sandbox to another".to_owned(),
            ));
        };
        for artifact in &self.artifacts {
            let Some(relative) = below(artifact, inside) else {
                return Err(unsupported(format!(
                    "hands {artifact} to its verifier, which is outside {inside}; that needs a root file system of its own"
                )));
            };
            match take_over(from, to, &relative) {
                // What the agent did not make is for the verifier to miss.
                Ok(()) | Err(PathRefusal::Missing) => {}
                Err(refusal) => return Ok(Err(format!("{artifact} {refusal}"))),
            }
        }
        Ok(Ok(fresh))
    }
}

/// Carries artifacts from one container to another.
fn hand_over(
    artifacts: &[String],
    workspace: &Workspace,
    fresh: &Workspace,
    sandbox: &Sandbox,
) -> Result<Result<(), String>> {
    let mut names = String::new();
    for artifact in artifacts {
        let relative = below(artifact, "/").filter(|path| path.components().next().is_some());
        let Some(relative) = relative else {
            return Err(Error::Unsupported {
                task: workspace.spec().task.clone(),
                message: format!(
                    "hands {artifact:?} to its verifier, which is no absolute path below /"
                ),
            });
        };
        names.push(' ');
        names.push_str(&quoted(&format!("/{}", relative.display())));
    }
    if names.is_empty() {
        return Ok(Ok(()));
    }
    let place = format!("{TMP}/{HANDED}");
    let each = |what: &str| format!("for artifact in{names}; do {what} \"$artifact\"; done");
    let gather = format!("set -e; to={place}{GATHER}{}", each("take"));
    if let Err(why) = workspace.manage(&gather, sandbox)? {
        return Ok(Err(format!("the artifacts cannot be taken over: {why}")));
    }
    // Renamed, not copied: nothing in it is followed.
    let [from, to] = [workspace, fresh].map(|workspace| workspace.tmp().join(HANDED));
    fs::rename(&from, &to).map_err(Error::io("cannot be handed over", &from))?;
    let lay = format!("set -e; from={place}{LAY}{}; rm -rf {place}", each("lay"));
    let laid = fresh.manage(&lay, sandbox)?;
    laid.map_err(|why| Error::Prepare {
        task: workspace.spec().task.clone(),
        message: format!("the artifacts cannot be put into the verifier's container: {why}"),
    })?;
    Ok(Ok(()))
}

/// Copies a file or directory of an agent to the same place in another tree.
fn take_over(from: &Path, to: &Path, relative: &Path) -> Result<(), PathRefusal> {
    // No part of the way may be a link: it would be followed on this machine.
    let mut path = from.to_path_buf();
    for part in relative.components() {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(kind) if kind.is_symlink() => return Err(PathRefusal::Link),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(PathRefusal::Missing);
            }
            Err(error) => return Err(error.into()),
        }
    }
    copy(&path, to, relative)
}

/// `path` below the directory `top`, both as seen inside.
fn below(path: &str, top: &str) -> Option<PathBuf> {
    let relative = Path::new(path).strip_prefix(top).ok()?;
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    relative
        .components()
        .all(plain)
        .then(|| relative.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn artifacts_are_taken_over_without_following_links() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("d")).unwrap();
        fs::write(from.path().join("d/f"), "x").unwrap();
        symlink("/etc", from.path().join("link")).unwrap();
        let take = |path: &str| take_over(from.path(), to.path(), Path::new(path));
        take("d").unwrap();
        assert_eq!(fs::read(to.path().join("d/f")).unwrap(), b"x");
        assert!(matches!(take("none"), Err(PathRefusal::Missing)));
        assert!(matches!(take("link/passwd"), Err(PathRefusal::Link)));
        assert!(matches!(take("link"), Err(PathRefusal::Link)));
        assert_eq!(below("/app/../etc", "/app"), None);
        assert_eq!(below("/app/a/b", "/app"), Some(PathBuf::from("a/b")));
    }
}
