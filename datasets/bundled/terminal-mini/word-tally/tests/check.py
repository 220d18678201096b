"""Compares tally, built anew, with a count in Python."""

import collections
import os
import pathlib
import re
import subprocess
import tempfile

APP = pathlib.Path("/app")
# Freed memory is overwritten, so that using it shows.
ENVIRONMENT = {**os.environ, "MALLOC_PERTURB_": "165"}


def expected(data):
    words = [word.lower() for word in re.findall(rb"[A-Za-z']+", data)]
    counts = collections.Counter(words)
    order = sorted(counts)
    order.sort(key=counts.get, reverse=True)  # stable: equal counts stay in byte order
    lines = [b"%7d %s\n" % (counts[word], word) for word in order]
    average = len(words) // len(counts) if counts else 0
    lines.append(b"%d words, %d distinct, %d on average\n" % (len(words), len(counts), average))
    return b"".join(lines)


def name(number):
    letters = ""
    while True:
        number, digit = divmod(number, 26)
        letters += chr(97 + digit)
        if number == 0:
            return letters


INPUTS = {
    "short sample": b"The tide turns and the boats turn with the tide.\nIt's the moon's doing.\n",
    "empty": b"",
    "no words": b" \n 12 + 30 = 42\n\xff\xfe\x00",
    "no line break at the end": b"one two two",
    "thresholds": " ".join(name(i) for i in range(60)).encode(),
    "any bytes": bytes(range(256)) * 3 + b"caf\xc3\xa9\xff after\x00the\x00end",
    "word of 31 letters": b"a" * 31 + b" b",
    "word of 32 letters": b"a" * 32 + b" b",
    "word of a megabyte": b"x" * (1 << 20) + b" y " + b"X" * (1 << 20),
    "word of three megabytes": b"z" * (3 << 20) + b"\n",
    "many lengths": b" ".join(b"q" * n for n in range(1, 600)),
    "many words": " ".join(name(i * 7 % 100_003) for i in range(105_000)).encode(),
}


def check(program, title, data):
    done = subprocess.run(
        [str(program)], input=data, capture_output=True, timeout=5, env=ENVIRONMENT,
    )
    assert done.returncode == 0, f"{title}: exit status {done.returncode}"
    assert done.stdout == expected(data), f"{title}: wrong output"


with tempfile.TemporaryDirectory() as scratch:
    built = pathlib.Path(scratch) / "tally"
    compiled = subprocess.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(built), str(APP / "tally.c")],
        capture_output=True, text=True, timeout=20,
    )
    assert compiled.returncode == 0, compiled.stderr
    for title, data in INPUTS.items():
        check(built, title, data)
    check(built, "large sample", (APP / "samples/large.txt").read_bytes())
check(APP / "tally", "tally as left in the directory", INPUTS["any bytes"])
