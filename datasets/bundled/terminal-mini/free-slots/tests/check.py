"""Checks free.py against a minute-by-minute model of the day."""

import pathlib
import random
import subprocess
import sys

APP = pathlib.Path("/app")

CASES = [
    ("9:00", "17:00", []),
    ("9:00", "17:00", ["10:00-12:00 a", "10:30-11:00 b"]),
    ("9:00", "17:00", ["9:30-10:00 a", "11:15-12:00 b", "09:00-09:15 c"]),
    ("09:00", "17:00", ["7:00-8:00 early", "8:30-9:30 partly", "16:30-18:00 late", "19:00-20:00 after"]),
    ("9:00", "17:00", ["7:00-8:00 only before"]),
    ("9:00", "17:00", ["17:00-18:00 only after"]),
    ("9:00", "17:00", ["8:00-24:00 the whole day"]),
    ("9:00", "17:00", ["9:00-12:00 a", "12:00-17:00 b"]),
    ("0:00", "24:00", ["23:00-24:00 night", "0:00-0:01 start"]),
    ("9:00", "17:00", ["10:00-11:00 a", "10:00-11:00 twice", "# no meeting", "", "13:00-14:00"]),
    ("9:00", "17:00", ["10:00-10:05 a", "9:00-16:00 b", "9:05-9:10 c", "15:00-16:30 d"]),
]


def minutes(clock):
    hours, rest = clock.split(":")
    return int(hours) * 60 + int(rest)


def clock(time):
    return f"{time // 60:02}:{time % 60:02}"


def expected(opening, closing, lines):
    busy = [False] * (24 * 60)
    for line in lines:
        if line and not line.startswith("#"):
            start, end = line.split()[0].split("-")
            for minute in range(minutes(start), minutes(end)):
                busy[minute] = True
    slots, begin = [], None
    for minute in range(minutes(opening), minutes(closing) + 1):
        is_free = minute < minutes(closing) and not busy[minute]
        if is_free and begin is None:
            begin = minute
        elif not is_free and begin is not None:
            slots.append(f"{clock(begin)}-{clock(minute)}\n")
            begin = None
    return "".join(slots)


def random_cases():
    rng = random.Random(20)
    for _ in range(12):
        lines = []
        for _ in range(rng.randrange(1, 12)):
            start = rng.randrange(0, 24 * 60 - 1)
            end = min(start + rng.randrange(1, 200), 24 * 60)
            hours, rest = divmod(start, 60)
            lines.append(f"{hours}:{rest:02}-{clock(end)} meeting")
        yield "8:15", "18:45", lines


for opening, closing, lines in [*CASES, *random_cases()]:
    done = subprocess.run(
        [sys.executable, str(APP / "free.py"), opening, closing],
        input="".join(line + "\n" for line in lines),
        cwd=APP, capture_output=True, text=True, timeout=5,
    )
    assert done.returncode == 0, f"exit status {done.returncode} for {lines}"
    assert done.stdout == expected(opening, closing, lines), f"{opening}-{closing} {lines}: {done.stdout!r}"

assert (APP / "monday.out").read_text() == "09:30-10:00\n12:00-14:00\n15:00-17:00\n", "monday.out"
assert (APP / "tuesday.out").read_text() == (
    "09:00-09:30\n10:00-11:15\n12:00-13:00\n13:45-17:00\n"
), "tuesday.out"
