//! The hidden tests as a script puts them in place: a patch that `git apply` reads from
//! the script itself.
//!
//! A change that has made a file which the patch makes, too, has `git apply` refuse the
//! whole patch, and the tests of the change would be run in the place of the hidden ones.

use crate::workspace::quoted;

/// Printed where the patch cannot be applied.
pub(super) const REFUSED: &str = ">>>>> Test Patch Failed";

/// The script, made to remove what its patches are about to make, and to stop where one
/// of them cannot be applied.
pub(super) fn guarded(script: &str) -> String {
    let mut text = String::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        let Some(tag) = applied_until(line) else {
            push(&mut text, line);
            continue;
        };
        let patch: Vec<&str> = lines.by_ref().take_while(|line| *line != tag).collect();
        let made: Vec<String> = made_files(&patch).iter().map(|file| quoted(file)).collect();
        if !made.is_empty() {
            push(&mut text, &format!("rm -rf -- {}", made.join(" ")));
        }
        push(&mut text, line);
        patch.iter().for_each(|line| push(&mut text, line));
        push(&mut text, tag);
        push(
            &mut text,
            &format!("[ $? = 0 ] || {{ echo '{REFUSED}'; exit 1; }}"),
        );
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// What ends the patch that a line of a script applies, if it does.
fn applied_until(line: &str) -> Option<&str> {
    let command = line.trim_start();
    if !command.starts_with("git apply ") {
        return None;
    }
    let (_, word) = command.split_once("<<")?;
    Some(word.trim().trim_matches(['\'', '"'])).filter(|tag| !tag.is_empty())
}

/// The files that a patch makes: new ones, and those that others are renamed or copied to.
fn made_files(patch: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    let mut named = None;
    let mut in_header = false;
    for line in patch {
        if let Some(names) = line.strip_prefix("diff --git ") {
            (named, in_header) = (Some(names), true);
        } else if line.starts_with("@@ ") || *line == "GIT binary patch" {
            in_header = false;
        } else if !in_header {
        } else if line.starts_with("new file mode ") {
            files.extend(named.and_then(same_name));
        } else if let Some(to) = ["rename to ", "copy to "]
            .iter()
            .find_map(|word| line.strip_prefix(word))
        {
            files.extend(unquoted(to));
        }
    }
    files
}

/// The name that is on both sides of a header: `a/name b/name`, each quoted if need be.
fn same_name(names: &str) -> Option<String> {
    // The two are equally long, and there is a blank between them.
    let new = names.get(names.len() / 2 + 1..)?;
    unquoted(new)?.strip_prefix("b/").map(str::to_owned)
}

/// A name as git writes it: unusual ones in quotes, as in C.
fn unquoted(name: &str) -> Option<String> {
    let Some(inner) = name.strip_prefix('"') else {
        return Some(name.to_owned());
    };
    let mut bytes = Vec::new();
    let mut rest = inner.strip_suffix('"')?.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'a' => 7,
                b'b' => 8,
                b'v' => 11,
                b'f' => 12,
                digit @ b'0'..=b'3' => {
                    let mut value = digit - b'0';
                    for _ in 0..2 {
                        let digit = rest.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                        value = value * 8 + (digit - b'0');
                    }
                    value
                }
                itself => itself,
            },
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_patch_makes_is_removed_and_its_failure_ends_the_script() {
        let script = "cd /testbed\n\
            git apply -v - <<'EOF_1'\n\
            diff --git a/t/old.py b/t/old.py\n--- a/t/old.py\n+++ b/t/old.py\n@@ -1 +1,2 @@\n a\n+new file mode\n\
            diff --git a/t/a new.py b/t/a new.py\nnew file mode 100644\n--- /dev/null\n+++ b/t/a new.py\n@@ -0,0 +1 @@\n+x\n\
            diff --git \"a/t/\\303\\244'.py\" \"b/t/\\303\\244'.py\"\nnew file mode 100644\nindex 0000000..e69de29\n\
            diff --git a/x b/y z\nsimilarity index 100%\nrename from x\nrename to y z\n\
            EOF_1\n\
            run\n";
        let guarded = guarded(script);
        let (before, after) = guarded.split_once("git apply").unwrap();
        insta::assert_snapshot!(before, @r"
        cd /testbed
        rm -rf -- 't/a new.py' 't/ä'\''.py' 'y z'
        ");
        let (_, after) = after.split_once("\nEOF_1\n").unwrap();
        insta::assert_snapshot!(after, @"
        [ $? = 0 ] || { echo '>>>>> Test Patch Failed'; exit 1; }
        run
        ");
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let script = "git checkout x\necho git apply <<<x\ngit apply file.patch\n";
        assert_eq!(guarded(script), script);
    }
}
