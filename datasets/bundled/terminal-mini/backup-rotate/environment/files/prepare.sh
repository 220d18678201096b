#!/bin/bash
# Forty daily backups to try the script on.
set -euo pipefail
mkdir sample
for day in {0..39}; do
    echo "dump $day" > "sample/backup-$(date -u -d "2026-04-01 + $day days" +%F).tar.gz"
done
echo "do not delete" > sample/README
