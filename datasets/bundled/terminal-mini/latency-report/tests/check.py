"""Counts the logs again, without regular expressions, and compares."""

import collections
import gzip
import hashlib
import pathlib

APP = pathlib.Path("/app")
DIGEST = "304e7e7446069f8e38f54c48a31f13ee8b9e50ac9498c22a5dc917c0244f0d37"


def parse(line):
    """Method, path, status and tenths of a millisecond, or None."""
    if line.count('"') < 4 or not line.endswith('"'):
        return None
    head, request, rest = line.split('"', 2)
    middle, _ = rest.split('"', 1)
    if len(head.split()) != 2 or len(request.split()) != 3 or len(middle.split()) != 2:
        return None
    method, target, _ = request.split()
    status, duration = middle.split()
    for unit, tenths in (("ms", 10), ("s", 10_000)):
        number = duration.removesuffix(unit)
        if number != duration and number.replace(".", "", 1).isdigit():
            return method, target.split("?")[0], int(status), round(float(number) * tenths)
    return None


def endpoint(method, path):
    segments = [":id" if segment.isdigit() else segment for segment in path.split("/")]
    return f"{method} {'/'.join(segments)}"


def expected(text):
    durations, errors = collections.defaultdict(list), collections.Counter()
    for line in text.splitlines():
        parsed = parse(line)
        if parsed is None or parsed[1] == "/healthz":
            continue
        method, path, status, tenths = parsed
        durations[endpoint(method, path)].append(tenths)
        errors[endpoint(method, path)] += status >= 500
    rows = ["endpoint,requests,errors,p50_ms,p95_ms"]
    for name, values in sorted(durations.items(), key=lambda item: (-len(item[1]), item[0])):
        values.sort()
        ranks = [values[-(-percent * len(values) // 100) - 1] for percent in (50, 95)]
        p50, p95 = (f"{tenths // 10}.{tenths % 10}" for tenths in ranks)
        rows.append(f"{name},{len(values)},{errors[name]},{p50},{p95}")
    return rows


text = gzip.decompress((APP / "logs/access.log.2.gz").read_bytes()).decode()
for name in ("access.log.1", "access.log"):
    text += (APP / "logs" / name).read_text()
assert hashlib.sha256(text.encode()).hexdigest() == DIGEST, "the logs changed"
assert sorted(path.name for path in (APP / "logs").iterdir()) == [
    "access.log", "access.log.1", "access.log.2.gz",
], "files in logs/"

found = (APP / "latency.csv").read_text().splitlines()
rows = expected(text)
assert len(rows) == 8, rows
assert found == rows, "\n".join(["found", *found, "expected", *rows])
