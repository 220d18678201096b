#!/bin/bash
# Builds a repository with a merge that was committed with conflict markers and
# without half of the merged branch; dates are fixed, so hashes are as well.
set -euo pipefail

# The date of reflog entries, and no waiting for the disk after every step.
export GIT_COMMITTER_DATE="2025-05-05T08:00:00+0000"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsync GIT_CONFIG_VALUE_0=none

# commit <name> <date> <message>
commit() {
    local mail="${1%% *}@example.org"
    GIT_AUTHOR_NAME="$1" GIT_AUTHOR_EMAIL="${mail,,}" GIT_AUTHOR_DATE="$2" \
        GIT_COMMITTER_DATE="$2" git commit -q -m "$3"
}

git init -q -b main --object-format=sha1
cat >> .git/config <<'CONFIG'
[user]
    name = Release Desk
    email = desk@example.org
[core]
    autocrlf = false
[commit]
    gpgsign = false
[merge]
    conflictStyle = merge
[gc]
    auto = 0
CONFIG

cat > report.conf <<'CONF'
# report settings
title = Monthly report
unit = items
locale = en
timeout = 30
format = text
rows = 50
CONF
cat > report.sh <<'SH'
#!/bin/bash
# Prints the report.
. ./settings.sh
echo "== $title =="
head -n "$rows" data.txt
echo "done"
SH
cat > settings.sh <<'SH'
# Reads report.conf into variables of the same name.
while IFS='= ' read -r key value; do
    case $key in '' | '#'*) ;; *) declare "$key=$value" ;; esac
done < report.conf
SH
git add report.conf report.sh settings.sh
commit "Mara Lindqvist" "2025-05-05T08:00:00+0000" "Add the monthly report"

git checkout -q -b feature/export
sed -i 's/^format = .*/format = csv/' report.conf
cat > export.sh <<'SH'
#!/bin/bash
# Writes the report to export.csv.
bash report.sh | tr '\t' ',' > export.csv
SH
git add report.conf export.sh
commit "Tomas Reyes" "2025-05-06T09:00:00+0000" "Export the report as CSV"
sed -i 's/^echo "done"/echo "done: $format"/' report.sh
git add report.sh
commit "Tomas Reyes" "2025-05-06T10:00:00+0000" "Say the format at the end"

git checkout -q main
sed -i 's/^timeout = .*/timeout = 45/' report.conf
git add report.conf
commit "Mara Lindqvist" "2025-05-07T08:30:00+0000" "Wait longer for slow sources"

git merge -q --no-commit feature/export > /dev/null || true
git rm -q -f export.sh
git checkout -q HEAD -- report.sh
git add report.conf
commit "Joel Brandt" "2025-05-08T17:55:00+0000" "Merge branch 'feature/export'"

printf 'north\t12\nsouth\t7\n' > data.txt
git add data.txt
commit "Aiko Mori" "2025-05-09T07:00:00+0000" "Add sample data"
sed -i 's/^# Prints the report\./# Prints the report from data.txt./' report.sh
sed -i 's/^title = .*/title = Quarterly report/' report.conf
git add report.sh report.conf
commit "Mara Lindqvist" "2025-05-09T11:20:00+0000" "Rename the report

The board meets once a quarter now."
rm -f .git/ORIG_HEAD .git/MERGE_* .git/AUTO_MERGE
