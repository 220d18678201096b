#!/bin/bash
set -euo pipefail

bad=$(git rev-parse 'main~2')
git tag before-repair main

git checkout -q --detach "$bad^1"
git merge --no-commit feature/export || true
git show "$bad^1:report.conf" | sed 's/^format = .*/format = csv/' > report.conf
git add report.conf
git commit -q -m "Merge branch 'feature/export'"

git rebase -q --onto HEAD "$bad" main
