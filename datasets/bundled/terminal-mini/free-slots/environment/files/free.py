"""Prints the free slots of a working day.

usage: python3 free.py OPENING CLOSING < meetings

Each line of the input is a meeting, "START-END title"; empty lines and lines
that start with "#" are skipped.
"""

import sys


def minutes(clock):
    hours, _, rest = clock.partition(":")
    return int(hours) * 60 + int(rest)


def read(lines):
    meetings = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            start, _, end = line.split()[0].partition("-")
            meetings.append((start, end))
    return meetings


def merge(meetings):
    """Joins meetings that overlap or touch."""
    merged = []
    for start, end in sorted(meetings):
        if merged and minutes(start) <= minutes(merged[-1][1]):
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def free(meetings, opening, closing):
    cursor = minutes(opening)
    for start, end in merge(meetings):
        if minutes(start) > cursor:
            yield cursor, minutes(start)
        cursor = minutes(end)
    if cursor < minutes(closing):
        yield cursor, minutes(closing)


def clock(time):
    return f"{time // 60:02}:{time % 60:02}"


if __name__ == "__main__":
    opening, closing = sys.argv[1:]
    for start, end in free(read(sys.stdin), opening, closing):
        print(f"{clock(start)}-{clock(end)}")
