"""Builds copies of the project, changes and breaks the definitions."""

import hashlib
import pathlib
import shutil
import subprocess
import tempfile
import time

APP = pathlib.Path("/app")
SOURCES = {
    "main.c": "5707bb42e924d5305457133799ad345d27bdb55974b0ff06b2cd6f747c50ab86",
    "names.c": "3ccd948e2a275110ce428305a2818e90d5e6a83304b54d8de1c7f5a510f30a40",
    "opcodes.def": "64065152fae03f80d7e6f1fc187788c8162475b95cc17113f1e61957331bc752",
    "tools/genops.py": "99ce8b4a38ac17883808b63e2af337c2bd07e296509439499d8671f924535ef1",
    "vm.c": "a3899ba9e05ec7ff1cf040f223e5ac5f8b4b7b0ea66440ad23f136f1290c0917",
    "vm.h": "4d21808feb7fb78acddbf38f7c036fffb725057fa47e4acab6f7498adc894eeb",
}
OBJECTS = ("main.o", "vm.o", "names.o")


def make(folder, *arguments):
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=20,
    )


def must_make(folder, *arguments):
    done = make(folder, *arguments)
    assert done.returncode == 0, f"make {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


def fresh_copy(scratch, name):
    folder = scratch / name
    folder.mkdir()
    for source in ("Makefile", *SOURCES):
        (folder / source).parent.mkdir(exist_ok=True)
        shutil.copyfile(APP / source, folder / source)
    return folder


def toyvm(folder, *arguments):
    return subprocess.run(
        [str(folder / "toyvm"), *arguments], capture_output=True, text=True, timeout=5,
    ).stdout


def times(folder):
    return {name: (folder / name).stat().st_mtime_ns for name in OBJECTS}


def rebuilt(folder, before):
    return {name for name, time_ns in times(folder).items() if before[name] != time_ns}


def write(path, text):
    # Files on some systems carry coarse times: make sure the edit is newer.
    time.sleep(0.02)
    path.write_text(text)


def check_sources():
    for source, digest in SOURCES.items():
        found = hashlib.sha256((APP / source).read_bytes()).hexdigest()
        assert found == digest, f"{source} changed"


def check_changes(folder):
    must_make(folder, "-j8")
    assert toyvm(folder, *"push 6 push 7 mul print".split()) == "42\n", "program"
    assert make(folder, "-q").returncode == 0, "a second make has something to do"

    before = times(folder)
    generator = folder / "tools/genops.py"
    write(generator, generator.read_text().replace('"{name}"', '"{name.upper()}"'))
    must_make(folder, "-j8")
    assert toyvm(folder, "--list").startswith("0 PUSH/1\n"), "changed generator"
    assert rebuilt(folder, before) == {"vm.o", "names.o"}, "objects after a changed generator"

    before = times(folder)
    write(folder / "vm.h", (folder / "vm.h").read_text() + "\n")
    must_make(folder)
    assert rebuilt(folder, before) == set(OBJECTS), "objects after a changed vm.h"


def check_failing_generator(folder):
    header, definitions = folder / "gen/opcodes.h", folder / "opcodes.def"
    complete, good = header.read_text(), definitions.read_text()
    write(definitions, "halt 0\nbroken\n" + good)
    for attempt in ("first", "second"):
        assert make(folder, "-j8").returncode != 0, f"{attempt} make with a failing generator"
        left = header.read_text() if header.exists() else complete
        assert left == complete, f"half-written header after the {attempt} make"
    before = times(folder)
    write(definitions, "halt 0\n" + good)
    must_make(folder)
    assert toyvm(folder, "--list").startswith("0 HALT/0\n1 PUSH/1\n"), "after the correction"
    # The changed generator writes the names in capitals.
    assert toyvm(folder, *"PUSH 6 PUSH 7 MUL PRINT".split()) == "42\n", "program with a new opcode"
    assert rebuilt(folder, before) == {"vm.o", "names.o"}, "objects after a new opcode"
    assert make(folder, "-q").returncode == 0, "make has something to do after a new opcode"


def check_clean(folder):
    must_make(folder, "clean")
    left = [name for name in (*OBJECTS, "toyvm", "gen") if (folder / name).exists()]
    assert not left, f"left by make clean: {left}"


def check_failing_first_build(folder):
    good = (folder / "opcodes.def").read_text()
    write(folder / "opcodes.def", "push 1\nbroken\n")
    for _ in range(2):
        assert make(folder, "toyvm").returncode != 0, "first build with a failing generator"
        assert not (folder / "gen/opcodes.h").exists(), "half-written header in a first build"
    write(folder / "opcodes.def", good)
    must_make(folder, "toyvm")
    assert toyvm(folder, "push", "5", "print") == "5\n", "make toyvm"


check_sources()
with tempfile.TemporaryDirectory() as scratch:
    changed = fresh_copy(pathlib.Path(scratch), "changed")
    check_changes(changed)
    check_failing_generator(changed)
    check_clean(changed)
    check_failing_first_build(fresh_copy(pathlib.Path(scratch), "first"))
