"""Builds copies of the project and watches what make rebuilds."""

import hashlib
import pathlib
import shutil
import subprocess
import tempfile
import time

APP = pathlib.Path("/app")
SOURCES = {
    "include/geo.h": "162d9332f627470ba7f147779e39360da18f8054bc95ca8c192f85903ab4fa2e",
    "include/num.h": "655efb360308da92942952a1822aa09f2db21f8a6984856fbed07662cbd2f996",
    "include/units.h": "104883cbab77f96d823e07c036247c4c1a1078f5e8ee929e280b242867caa847",
    "src/geo_area.c": "b8d6004bd80af7e50cf57f7003db8847386bffc176669d1801774bce4a3c3819",
    "src/geo_distance.c": "ba3ca8e4490034f5bd2d91b115d9f6c94b43518fcb8b96f993ec76b63d723c97",
    "src/geo_fail.c": "06283c8484dfa00a78235314f5d6eddef985d3b8e78cc5e0f6fbbceb5f59b4b2",
    "src/main.c": "d36264fb91cbd814b9c86e6c242915d20ec1d702af7ab426603deada55405629",
    "src/num_root.c": "a7bd227e1a3f5865a0e4ea88b16bbc01c583a79c72108ef91593f5d8ce573ecd",
    "src/num_square.c": "f8c604e114b45b758dae4aa7f0808261b1c508dc7af8970563ee4e6b78bd7fde",
}


def sh(folder, command):
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=20,
    )


def make(folder, arguments=""):
    done = sh(folder, f"make {arguments}")
    assert done.returncode == 0, f"make {arguments}:\n{done.stdout}{done.stderr}"


def fresh_copy(scratch, name):
    folder = scratch / name
    shutil.copytree(APP, folder, symlinks=True)
    for built in ("bin", "build"):
        shutil.rmtree(folder / built, ignore_errors=True)
    return folder


def output(folder, *arguments):
    done = subprocess.run(
        [str(folder / "bin/geocalc"), *arguments], capture_output=True, text=True, timeout=5,
    )
    return done.returncode, done.stdout


def objects(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "build").rglob("*.o")}


def edit(path, old, new):
    # Files on some systems carry coarse times: make sure the edit is newer.
    time.sleep(0.02)
    path.write_text(path.read_text().replace(old, new))


def check_sources():
    found = {
        str(path.relative_to(APP)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("src", "include") for path in sorted((APP / folder).rglob("*")) if path.is_file()
    }
    assert found == SOURCES, "a file in src/ or include/ changed"


def check_build(folder):
    make(folder, "-j8")
    assert output(folder, "distance", "3", "4") == (0, "5.000\n"), "distance"
    assert output(folder, "ring", "2", "1") == (0, "9.425\n"), "ring"
    assert output(folder, "ring", "1", "2") == (3, ""), "ring with a negative area"
    for library, members in (
        ("libgeo.a", ["geo_area.o", "geo_distance.o", "geo_fail.o"]),
        ("libnum.a", ["num_root.o", "num_square.o"]),
    ):
        listed = sh(folder, f"ar t build/{library}").stdout.split()
        assert sorted(listed) == members, f"members of {library}: {listed}"
    assert sh(folder, "make -q").returncode == 0, "a second make has something to do"


def check_changes(folder):
    before = objects(folder)
    edit(folder / "include/units.h", "PER_METRE 1.0", "PER_METRE 100.0")
    make(folder)
    assert output(folder, "distance", "3", "4") == (0, "500.000\n"), "change of units.h"
    assert output(folder, "ring", "2", "1") == (0, "94247.780\n"), "change of units.h"
    middle = objects(folder)
    assert before["num_square.o"] == middle["num_square.o"], "num_square.o includes no units.h"
    changed = {name for name in before if before[name] != middle[name]}
    assert changed >= {"geo_area.o", "geo_distance.o", "geo_fail.o", "main.o", "num_root.o"}, changed

    edit(folder / "include/num.h", "Square root;", "The square root;")
    edit(folder / "src/num_square.c", "value * value", "value * value * 4")
    make(folder)
    assert output(folder, "distance", "3", "4") == (0, "1000.000\n"), "change of num_square.c"
    after = objects(folder)
    changed = {name for name in after if middle[name] != after[name]}
    assert changed == {"geo_area.o", "geo_distance.o", "num_root.o", "num_square.o"}, changed
    assert sh(folder, "make -q").returncode == 0, "make has something to do after changes"


def check_clean(folder):
    (folder / "clean").write_text("")
    for attempt in ("first", "second"):
        make(folder, "clean")
        assert not (folder / "bin").exists(), f"bin/ after the {attempt} clean"
        assert not (folder / "build").exists(), f"build/ after the {attempt} clean"


check_sources()
with tempfile.TemporaryDirectory() as scratch:
    copy = fresh_copy(pathlib.Path(scratch), "copy")
    check_build(copy)
    check_changes(copy)
    check_clean(copy)
