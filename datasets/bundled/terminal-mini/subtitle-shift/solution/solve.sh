#!/bin/bash
set -euo pipefail

cat > shift.py <<'PY'
import re
import sys

CLOCK = re.compile(r"(\d+):(\d\d):(\d\d),(\d{3})")
offset = int(sys.argv[1])


def shifted(clock):
    hours, minutes, seconds, millis = map(int, clock)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis + offset


def written(time):
    seconds, millis = divmod(max(time, 0), 1000)
    minutes, seconds = divmod(seconds, 60)
    return "%02d:%02d:%02d,%03d" % (*divmod(minutes, 60), seconds, millis)


data = sys.stdin.buffer.read().decode("utf-8")
mark = "\ufeff" if data.startswith("\ufeff") else ""
line_end = "\r\n" if "\r\n" in data else "\n"
text = data.removeprefix(mark).replace("\r\n", "\n")

cues = []
for cue in re.split(r"\n{2,}", text.strip("\n")):
    _, timing, *lines = cue.split("\n")
    start, end = map(shifted, CLOCK.findall(timing)[:2])
    if end > 0:
        rest = CLOCK.split(timing, maxsplit=2)[-1]
        head = [str(len(cues) + 1), f"{written(start)} --> {written(end)}{rest}"]
        cues.append("\n".join(head + lines))
output = mark + "\n\n".join(cues) + "\n"
sys.stdout.buffer.write(output.replace("\n", line_end).encode("utf-8"))
PY
python3 shift.py -2500 < film.srt > film.fixed.srt
