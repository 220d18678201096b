"""Checks toc.py on the manual and on files it has never seen."""

import pathlib
import subprocess
import sys
import tempfile

APP = pathlib.Path("/app")

GUIDE = """\
- [Getting started](#getting-started)
  - [What's in the box?](#whats-in-the-box)
  - [Setup](#setup)
- [Reading the display](#reading-the-display)
    - [Setup](#setup-1)
- [FAQ & troubleshooting](#faq--troubleshooting)
"""

OPERATIONS = """\
- [Daily_checks](#daily_checks)
  - [Setup](#setup)
  - [Setup](#setup-1)
- [Alarm levels (1-3)](#alarm-levels-1-3)
- [Café pump](#café-pump)
"""

HIDDEN = """\
# Title
## Before the markers
<!-- toc -->
stale
stale too
<!-- /toc -->
# Level one does not count
## One
##No space
##### Level five does not count
```python
~~~
## inside backticks
~~~
### still inside
```
### Two (2)
~~~
```
## inside tildes
```
~~~
~~~
### only tildes
~~~ 
#### One
## One
## Well-known -- thing
## Über_alles & more!
<!-- /toc -->
## After a second closing marker
"""

HIDDEN_TOC = """\
- [One](#one)
  - [Two (2)](#two-2)
    - [One](#one-1)
- [One](#one-2)
- [Well-known -- thing](#well-known----thing)
- [Über_alles & more!](#über_alles--more)
- [After a second closing marker](#after-a-second-closing-marker)
"""

UNTOUCHED = {
    "no_markers.md": b"# A\r\n\r\n## B\r\nno line break at the end",
    "only_open.md": b"<!-- toc -->\n## B\n",
    "only_close.md": b"## B\n<!-- /toc -->\n## C\n",
    "wrong order.md": b"<!-- /toc -->\n## B\n<!-- toc -->\n## C",
}


def run(*files):
    return subprocess.run(
        [sys.executable, str(APP / "toc.py"), *map(str, files)],
        cwd=APP, capture_output=True, timeout=10,
    ).returncode


def between_markers(text):
    after = text.split("<!-- toc -->\n", 1)[1]
    return after.split("<!-- /toc -->\n", 1)[0]


def check_manual():
    for name, expected in (("guide.md", GUIDE), ("operations.md", OPERATIONS)):
        text = (APP / "docs" / name).read_text(encoding="utf-8")
        assert between_markers(text) == expected, f"table of contents of {name}"
    guide = (APP / "docs/guide.md").read_text(encoding="utf-8")
    assert guide.endswith("## FAQ & troubleshooting\n\nSee also the operations manual.\n"), "body of guide.md"
    notes = (APP / "docs/notes.md").read_bytes()
    assert notes == b"# Notes\n\n## No markers here\n\nThis file is maintained by hand.\n", "notes.md changed"


def check_hidden(folder):
    hidden = folder / "hidden file.md"
    hidden.write_text(HIDDEN, encoding="utf-8")
    for name, content in UNTOUCHED.items():
        (folder / name).write_bytes(content)
    files = [hidden, *(folder / name for name in UNTOUCHED)]
    expected = HIDDEN.replace("stale\nstale too\n", HIDDEN_TOC)
    for attempt in ("first", "second"):
        assert run(*files) == 0, f"exit status of the {attempt} run"
        assert hidden.read_text(encoding="utf-8") == expected, f"hidden file after the {attempt} run"
        for name, content in UNTOUCHED.items():
            assert (folder / name).read_bytes() == content, f"{name} after the {attempt} run"


def check_without_headings(folder):
    path = folder / "bare.md"
    path.write_text("<!-- toc -->\nold\n<!-- /toc -->\ntext\n", encoding="utf-8")
    assert run(path) == 0
    assert path.read_text(encoding="utf-8") == "<!-- toc -->\n<!-- /toc -->\ntext\n", "file without headings"


check_manual()
with tempfile.TemporaryDirectory() as scratch:
    check_hidden(pathlib.Path(scratch))
    check_without_headings(pathlib.Path(scratch))
