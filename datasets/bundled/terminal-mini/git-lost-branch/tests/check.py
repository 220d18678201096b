"""Checks that the deleted branch is back, with its own commits."""

import os
import pathlib
import subprocess

APP = pathlib.Path("/app")
MAIN = "0b6b1355e5ee4a8e99dd7da7822ec690afa662a7"
TIP = "1465b8cddd0c6fa7793f04eb3c9378f6ad738c58"

ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_NO_REPLACE_OBJECTS": "1",
}


def git(*arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=APP, env=ENVIRONMENT,
        capture_output=True, text=True, timeout=10,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout.strip()


assert git("rev-parse", "refs/heads/feature/retry") == TIP, "tip of feature/retry"
subjects = git("log", "--reverse", "--format=%s", "main..feature/retry").splitlines()
assert subjects == [
    "Retry failed downloads", "Back off between attempts", "Document retries",
], f"commits of the branch: {subjects}"
assert "2 ** attempt" in git("show", "feature/retry:fetch.sh"), "fetch.sh on the branch"

assert git("cat-file", "-t", "refs/tags/recovered") == "tag", "recovered is no annotated tag"
assert git("rev-parse", "recovered^{commit}") == TIP, "recovered points elsewhere"
assert git("tag", "-l", "--format=%(contents)", "recovered").strip() == (
    "Recovered feature/retry"
), "message of the tag"

assert git("rev-parse", "refs/heads/main") == MAIN, "main moved"
assert git("symbolic-ref", "HEAD") == "refs/heads/main", "main is not checked out"
assert git("status", "--porcelain", "--untracked-files=all") == "", "the working tree is not clean"
heads = git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()
assert sorted(heads) == ["feature/retry", "main"], f"branches: {heads}"
assert (APP / ".git/recovery.txt").read_text() in (TIP, TIP + "\n"), "recovery.txt"
