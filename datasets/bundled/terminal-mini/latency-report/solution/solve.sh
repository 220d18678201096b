#!/bin/bash
set -euo pipefail

cat > report.py <<'PY'
import collections
import re
import sys
from decimal import Decimal

LINE = re.compile(
    r'\S+ \S+ "(?P<method>\S+) (?P<target>\S+) \S+" (?P<status>\d+) '
    r'(?P<value>\d+(?:\.\d+)?)(?P<unit>ms|s) ".*"$'
)

durations = collections.defaultdict(list)
errors = collections.Counter()
for line in sys.stdin:
    found = LINE.match(line)
    if not found:
        continue
    path = found["target"].split("?")[0]
    if path == "/healthz":
        continue
    name = found["method"] + " " + re.sub(r"(?<=/)\d+(?=/|$)", ":id", path)
    durations[name].append(Decimal(found["value"]) * (1000 if found["unit"] == "s" else 1))
    errors[name] += int(found["status"]) >= 500


def percentile(values, percent):
    return sorted(values)[-(-percent * len(values) // 100) - 1]


print("endpoint,requests,errors,p50_ms,p95_ms")
for name, values in sorted(durations.items(), key=lambda item: (-len(item[1]), item[0])):
    p50, p95 = (percentile(values, percent) for percent in (50, 95))
    print(f"{name},{len(values)},{errors[name]},{p50:.1f},{p95:.1f}")
PY
zcat -f logs/* | python3 report.py > latency.csv
rm report.py
