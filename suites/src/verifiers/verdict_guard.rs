//! Lets a test script have the last word: what else is alive stands still from the moment
//! that the script's own shell writes the reward until it goes on to something else.
//!
//! Programs that a script tests may be of the same user as the script, and leave processes
//! behind that write a reward of their own as soon as the script has written its. Nothing
//! but time tells the two apart. A script that ends with the reward, as is the custom, ends
//! while nobody else moves; what goes on to run a program has the others go on, too, as it
//! may need them. Rewards that a program writes, not the shell, are not guarded.

use std::fs;
use std::path::Path;

use crate::workspace::quoted;

/// Arguments: the script as `$0`, and this machine's own process namespace, in which nobody
/// is ever stopped. A pending stop is waited for, as a system call under way is finished
/// first. What runs in this shell alone needs nobody else. The tested script finds the
/// options, traps and variables of a fresh shell but for one function.
const GUARD: &str = r#"
timeslip_guard() {
  local - command=$1; set +xeu
  [ "$BASHPID" = "$$" ] || return 0
  case $command in
    (*\$\(*|*\`*|*\<\(*|*\>\(*) timeslip_thaw ;;
    (echo\ *\>*[Rr][Ee][Ww][Aa][Rr][Dd]*|printf\ *\>*[Rr][Ee][Ww][Aa][Rr][Dd]*) timeslip_freeze ;;
    (echo|echo\ *|printf\ *|exit|exit\ *|return|return\ *|:|true|false) ;;
    (*) timeslip_thaw ;;
  esac
  return 0
}
timeslip_thaw() {
  [ -z "$timeslip_frozen" ] || { kill -CONT -1; timeslip_frozen=; }
}
timeslip_freeze() {
  local file line state id own=" " tries=0 moving=yes
  kill -STOP -1; timeslip_frozen=yes
  id=$BASHPID
  while [ "${id:-0}" -gt 0 ]; do
    own="$own$id "; kill -CONT "$id"
    read -r line <"/proc/$id/stat" || break
    line=${line##*) }; line=${line#* }; id=${line%% *}
  done
  while [ -n "$moving" ] && [ "$tries" -lt 200 ]; do
    moving=; tries=$((tries + 1))
    for file in /proc/[0-9]*/task/[0-9]*/stat; do
      id=${file#/proc/}; id=${id%%/*}
      case $own in (*" $id "*) continue ;; esac
      [ "$id" -gt 1 ] && read -r line <"$file" || continue
      state=${line##*) }
      case ${state%% *} in (T|t|Z|X) ;; (*) moving=yes ;; esac
    done
  done
}
timeslip_frozen=
[ "$(readlink /proc/self/ns/pid)" = "$1" ] || [ ! -e /proc/self/ns/pid ] ||
  { set -T; trap '{ timeslip_guard "$BASH_COMMAND"; } 2>/dev/null' DEBUG; }
shift
. "$0"
"#;

/// The command that runs `script`, guarded.
pub(super) fn guarded(script: &str) -> String {
    let Ok(here) = fs::read_link("/proc/self/ns/pid") else {
        return format!("bash {script}");
    };
    let here = quoted(&here.to_string_lossy());
    format!("bash -c {} {script} {here}", quoted(GUARD))
}

/// Whether tests name a file; what cannot be read names nothing.
pub(super) fn is_named(name: &str, tests: &Path) -> bool {
    if tests.is_dir() {
        let entries = fs::read_dir(tests).into_iter().flatten().flatten();
        let mut paths = entries.map(|entry| entry.path());
        return paths.any(|path| is_named(name, &path));
    }
    let text = match tests.is_file() {
        true => fs::read(tests).unwrap_or_default(),
        false => return false,
    };
    let mut windows = text.windows(name.len());
    windows.any(|window| window == name.as_bytes())
}
