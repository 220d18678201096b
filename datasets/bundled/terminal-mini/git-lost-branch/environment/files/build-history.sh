#!/bin/bash
# Builds a repository whose branch feature/retry is gone together with every
# reflog; dates are fixed, so the hashes are the same on every machine.
set -euo pipefail

# The date of reflog entries, and no waiting for the disk after every step.
export GIT_COMMITTER_DATE="2025-03-03T09:00:00+0000"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsync GIT_CONFIG_VALUE_0=none

# commit <author date> <committer date> <subject> [git commit options]
commit() {
    GIT_AUTHOR_DATE="$1" GIT_COMMITTER_DATE="$2" git commit -q -m "$3" "${@:4}"
}

git init -q -b main --object-format=sha1
cat >> .git/config <<'CONFIG'
[user]
    name = Ines Okafor
    email = ines@example.org
[core]
    autocrlf = false
[commit]
    gpgsign = false
[gc]
    auto = 0
CONFIG

cat > fetch.sh <<'SH'
#!/bin/bash
# fetch.sh URL: download one file.
curl -fsS "$1"
SH
git add fetch.sh
commit "2025-03-03T09:00:00+0000" "2025-03-03T09:00:00+0000" "Add fetch script"
echo "# fetch" > README.md
git add README.md
commit "2025-03-03T10:30:00+0000" "2025-03-03T10:30:00+0000" "Add readme"

git checkout -q -b feature/retry
cat > fetch.sh <<'SH'
#!/bin/bash
# fetch.sh URL: download one file, trying up to three times.
for attempt in 1 2 3; do
    curl -fsS "$1" && exit 0
done
exit 1
SH
commit "2025-03-04T09:00:00+0000" "2025-03-04T09:00:00+0000" "Retry failed downloads" -a

sed -i 's/^    curl.*/&\n    sleep "$attempt"/' fetch.sh
commit "2025-03-04T11:00:00+0000" "2025-03-04T11:00:00+0000" "Back off between attempts" -a
printf '\nThe script tries three times.\n' >> README.md
commit "2025-03-04T12:00:00+0000" "2025-03-04T12:00:00+0000" "Document retries" -a

# The second version: the back-off grows faster, and the documentation follows.
git reset -q --hard HEAD~2
sed -i 's/^    curl.*/&\n    sleep "$((2 ** attempt))"/' fetch.sh
commit "2025-03-04T11:00:00+0000" "2025-03-05T08:15:00+0000" "Back off between attempts" -a
printf '\nThe script tries three times, waiting 2, 4 and 8 seconds.\n' >> README.md
commit "2025-03-04T12:00:00+0000" "2025-03-05T08:20:00+0000" "Document retries" -a

# An unrelated experiment that was deleted on purpose, later than the rest.
git checkout -q main
git checkout -q -b spike/parallel
sed -i 's/^curl.*/curl -fsS --parallel "$@"/' fetch.sh
commit "2025-03-06T16:00:00+0000" "2025-03-06T16:00:00+0000" "Try parallel downloads" -a

# main moved on after the branch was started.
git checkout -q main
printf 'curl >= 7.66\n' > REQUIREMENTS
git add REQUIREMENTS
commit "2025-03-06T17:00:00+0000" "2025-03-06T17:00:00+0000" "State the required curl version"

git branch -q -D feature/retry spike/parallel
rm -f .git/ORIG_HEAD
git reflog expire --expire=now --all
