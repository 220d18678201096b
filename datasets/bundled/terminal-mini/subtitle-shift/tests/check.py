"""Checks shift.py and the shifted film, comparing bytes."""

import pathlib
import subprocess
import sys

APP = pathlib.Path("/app")
BOM = b"\xef\xbb\xbf"

FILM = """\
1
00:00:00,000 --> 00:00:02,300
Lighthouse to harbour, do you read?

2
00:00:02,750 --> 00:00:05,500 X1:40 X2:600 Y1:20 Y2:50
Loud and clear.
What time do you have?

3
00:00:05,900 --> 00:00:07,400
1947

4
00:59:57,400 --> 00:59:59,999
— Then it is later than I thought.

5
01:09:57,500 --> 01:10:00,625
Log entry follows:
00:00:07,000 --> 00:00:09,000
End of entry.
"""

HIDDEN = """\
7
00:00:00,000 --> 00:00:01,000
ends exactly at zero

8
00:00:00,999 --> 00:00:01,001
ends one millisecond later



12
00:01:00,000 --> 00:01:01,500 align:start
42
00:00:00,000 --> 00:00:01,000 is not a time

13
23:59:59,999 --> 24:00:01,000
  two spaces and a naïve café → ok
"""

BACK = """\
1
00:00:00,000 --> 00:00:00,001
ends one millisecond later

2
00:00:59,000 --> 00:01:00,500 align:start
42
00:00:00,000 --> 00:00:01,000 is not a time

3
23:59:58,999 --> 24:00:00,000
  two spaces and a naïve café → ok
"""

FORTH = """\
1
00:00:01,500 --> 00:00:02,500
ends exactly at zero

2
00:00:02,499 --> 00:00:02,501
ends one millisecond later

3
00:01:01,500 --> 00:01:03,000 align:start
42
00:00:00,000 --> 00:00:01,000 is not a time

4
24:00:01,499 --> 24:00:02,500
  two spaces and a naïve café → ok
"""


def shift(offset, data):
    done = subprocess.run(
        [sys.executable, str(APP / "shift.py"), str(offset)],
        input=data, cwd=APP, capture_output=True, timeout=10,
    )
    assert done.returncode == 0, f"exit status {done.returncode} for {offset}"
    return done.stdout


def crlf(text):
    return text.replace("\n", "\r\n").encode()


fixed = (APP / "film.fixed.srt").read_bytes()
assert fixed == BOM + crlf(FILM), "film.fixed.srt"
original = (APP / "film.srt").read_bytes()
assert original.startswith(BOM + b"1\r\n00:00:00,200 --> "), "film.srt changed"

for offset, expected in ((-1000, BACK), (1500, FORTH)):
    assert shift(offset, HIDDEN.encode()) == expected.encode(), f"plain, {offset}"
    assert shift(offset, crlf(HIDDEN)) == crlf(expected), f"CRLF, {offset}"
    assert shift(offset, BOM + HIDDEN.encode()) == BOM + expected.encode(), f"byte order mark, {offset}"
assert shift(-1000, HIDDEN.rstrip("\n").encode()) == BACK.encode(), "no line break at the end"
