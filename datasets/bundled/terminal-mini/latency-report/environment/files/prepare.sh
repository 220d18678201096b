#!/bin/bash
# Generates three rotated access logs, the same on every machine.
set -euo pipefail
mkdir logs
python3 make_logs.py
gzip -n logs/access.log.2
rm make_logs.py
