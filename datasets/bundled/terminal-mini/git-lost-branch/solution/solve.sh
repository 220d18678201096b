#!/bin/bash
set -euo pipefail

# The newest unreachable commit with the subject of the branch's last commit.
tip=$(git fsck --unreachable --no-reflogs 2>/dev/null \
    | awk '$2 == "commit" { print $3 }' \
    | git log --no-walk --stdin --grep='^Document retries$' --format='%ct %H' \
    | sort -n | tail -n 1 | cut -d ' ' -f 2)

git branch feature/retry "$tip"
git tag -a recovered -m "Recovered feature/retry" "$tip"
echo "$tip" > .git/recovery.txt
