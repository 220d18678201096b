#!/bin/bash
set -euo pipefail

python3 - <<'PY'
import pathlib

path = pathlib.Path("free.py")
source = path.read_text()
for old, new in (
    # Times are compared as numbers: as text, "10:00" sorts before "9:00".
    ("meetings.append((start, end))", "meetings.append((minutes(start), minutes(end)))"),
    ("minutes(start) <= minutes(merged[-1][1])", "start <= merged[-1][1]"),
    # A meeting inside another one must not shorten it.
    ("(merged[-1][0], end)", "(merged[-1][0], max(end, merged[-1][1]))"),
    # Nothing outside the working day moves the cursor or makes a slot.
    ("if minutes(start) > cursor:\n            yield cursor, minutes(start)",
     "start = min(start, minutes(closing))\n"
     "        if start > cursor:\n            yield cursor, start"),
    ("cursor = minutes(end)", "cursor = max(cursor, end)"),
):
    assert source.count(old) == 1, old
    source = source.replace(old, new)
path.write_text(source)
PY
for day in monday tuesday; do
    python3 free.py 9:00 17:00 < "$day.txt" > "$day.out"
done
