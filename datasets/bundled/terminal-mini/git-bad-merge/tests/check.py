"""Checks the repaired history commit by commit."""

import os
import subprocess

APP = "/app"
OLD_MAIN = "14ce77156728696296af63874b2d5996e54ae97b"
FIRST_PARENT = "767f2a0988f6e8991a71d25c136195fb5fecec18"
EXPORT = "78ece8556e46f908ec2ceeb5052187c334c620b7"

MERGED_CONF = """\
# report settings
title = Monthly report
unit = items
locale = en
timeout = 45
format = csv
rows = 50
"""

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
    return done.stdout


def files(commit):
    names = git("ls-tree", "-r", "--name-only", commit).splitlines()
    return {name: git("show", f"{commit}:{name}") for name in names}


def identity(commit):
    return git("show", "-s", "--format=%an%n%ae%n%ad%n%B", "--date=raw", commit)


assert git("rev-parse", "before-repair^{commit}").strip() == OLD_MAIN, "before-repair"
assert git("rev-parse", "refs/heads/feature/export").strip() == EXPORT, "feature/export moved"
assert git("symbolic-ref", "HEAD").strip() == "refs/heads/main", "main is not checked out"
assert git("status", "--porcelain", "--untracked-files=all") == "", "the working tree is not clean"
heads = git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
assert sorted(heads) == ["feature/export", "main"], f"branches: {heads}"

graph = [line.split() for line in git("rev-list", "--parents", "-3", "--first-parent", "main").splitlines()]
assert [len(line) for line in graph] == [2, 2, 3], "shape of the history"
rename, data, merge = (line[0] for line in graph)
assert graph[2][1:] == [FIRST_PARENT, EXPORT], "parents of the merge"
message = git("show", "-s", "--format=%B", merge).strip()
assert message == "Merge branch 'feature/export'", f"message of the merge: {message}"

base, branch = files(FIRST_PARENT), files(EXPORT)
expected = {**base, **branch, "report.conf": MERGED_CONF}
assert files(merge) == expected, "content of the merge"

assert identity(data) == identity(f"{OLD_MAIN}~1"), "author, date or message of the sample data"
expected["data.txt"] = git("show", f"{OLD_MAIN}:data.txt")
assert files(data) == expected, "content of the sample data commit"

assert identity(rename) == identity(OLD_MAIN), "author, date or message of the renaming"
expected["report.conf"] = MERGED_CONF.replace("Monthly", "Quarterly")
expected["report.sh"] = branch["report.sh"].replace("the report.", "the report from data.txt.")
assert files(rename) == expected, "content of the renaming"
