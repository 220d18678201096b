#!/bin/bash
set -euo pipefail

cat > toc.py <<'PY'
import re
import sys


def headings(lines):
    fence = None
    for line in lines:
        mark = line[:3]
        if mark in ("```", "~~~"):
            if fence is None:
                fence = mark
            elif fence == mark:
                fence = None
        elif fence is None and (found := re.match(r"(#{2,4}) (.*)", line)):
            yield len(found[1]), found[2].strip()


def contents(lines):
    used = {}
    for level, title in headings(lines):
        anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        count = used.get(anchor, 0)
        used[anchor] = count + 1
        suffix = f"-{count}" if count else ""
        yield f"{'  ' * (level - 2)}- [{title}](#{anchor}{suffix})"


for path in sys.argv[1:]:
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")
    try:
        opening = lines.index("<!-- toc -->")
        closing = lines.index("<!-- /toc -->", opening)
    except ValueError:
        continue
    lines[opening + 1:closing] = contents(lines[closing + 1:])
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write("\n".join(lines))
PY
python3 toc.py docs/*.md
