"""Runs dedupe.sh on trees with awkward names."""

import os
import pathlib
import subprocess
import tempfile

APP = pathlib.Path("/app")

PHOTOS = {
    "2024 summer/img 001.jpg": b"harbour at dawn\n",
    "2024 summer/img 002.jpg": b"harbour at dusk\n",
    "backup/harbour.jpg": b"harbour at dawn\n",
    "-dusk.jpg": b"harbour at dusk\n",
    "backup/latest.jpg": "harbour.jpg",
    "empty.jpg": b"",
    "backup/empty.jpg": b"",
}

# A string as content is the target of a symbolic link.
TREE = {
    "a b/one": b"same\n",
    "a b/line\nbreak": b"same\n",
    "a/z": b"same\n",
    "\nfirst": b"same\n",
    "-n": b"dash",
    "-rf": b"dash",
    "Zebra": b"case",
    "apple": b"case",
    "*": b"star",
    "star": b"star",
    "back\\slash": b"slash",
    "back\\nslash": b"slash",
    "quote'\"": b"quoted\x00",
    "sub/quote": b"quoted\x00",
    "sub/.hidden": b"hidden" * 1000,
    "sub/deep/er/.hidden too ": b"hidden" * 1000,
    "unique": b"quoted",
    "empty 1": b"",
    "empty 2": b"",
    "link to unique": "unique",
    "link to directory": "sub",
    "dangling": "nowhere",
    " trailing ": b"dash",
}
REMOVED = {
    "a b/one", "a b/line\nbreak", "a/z",  # "\nfirst" sorts first
    "-n", "-rf",  # " trailing " sorts first
    "apple", "star",
    "back\\slash",  # "n" sorts before "s"
    "sub/quote",
    "sub/deep/er/.hidden too ",
}


def build(folder, tree):
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def scan(folder):
    found = {}
    for top, directories, files in os.walk(folder):
        for name in [*files, *directories]:
            path = pathlib.Path(top) / name
            key = str(path.relative_to(folder))
            if path.is_symlink():
                found[key] = os.readlink(path)
            elif path.is_file():
                found[key] = path.read_bytes()
    return found


def dedupe(cwd, *arguments):
    return subprocess.run(
        ["bash", str(APP / "dedupe.sh"), *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=10,
    )


def expect(cwd, arguments, line):
    done = dedupe(cwd, *arguments)
    assert done.returncode == 0, f"{arguments}: exit status {done.returncode}: {done.stderr}"
    assert done.stdout == line + "\n", f"{arguments}: {done.stdout!r}, expected {line!r}"


def check_tree(scratch, name):
    folder = scratch / name
    build(folder, TREE)
    size = sum(len(TREE[path]) for path in REMOVED)
    expect(scratch, ["-n", name], f"would remove {len(REMOVED)} files, {size} bytes")
    assert scan(folder) == TREE, "-n changed the tree"
    expect(scratch, [name], f"removed {len(REMOVED)} files, {size} bytes")
    left = {path: content for path, content in TREE.items() if path not in REMOVED}
    assert scan(folder) == left, f"left: {sorted(scan(folder))}"
    expect(scratch, [name], "removed 0 files, 0 bytes")


def check_misuse(scratch):
    folder = scratch / "misuse"
    build(folder, {"one": b"x", "two": b"x"})
    for arguments in ([], ["-n"], ["missing"], ["misuse/one"], ["misuse", "misuse"], ["-n", "misuse", "more"], [""]):
        done = dedupe(scratch, *arguments)
        assert done.returncode == 2, f"{arguments}: exit status {done.returncode}"
        assert done.stdout == "" and done.stderr != "", f"{arguments}: output"
    assert len(scan(folder)) == 2, "misuse deleted files"


assert scan(APP / "photos") == PHOTOS, "photos/ changed"
with tempfile.TemporaryDirectory() as name:
    scratch = pathlib.Path(name)
    check_tree(scratch, "plain")
    check_tree(scratch, "-odd *\ndir")
    (scratch / "empty").mkdir()
    expect(scratch, [scratch / "empty"], "removed 0 files, 0 bytes")
    check_misuse(scratch)
