#!/bin/bash
set -euo pipefail

cat > dedupe.sh <<'SH'
#!/bin/bash
# usage: dedupe.sh [-n] DIR
set -euo pipefail
export LC_ALL=C

verb="removed"
if [[ ${1-} == -n ]]; then
    verb="would remove"
    shift
fi
if [[ $# -ne 1 || ! -d $1 ]]; then
    echo "usage: dedupe.sh [-n] DIR" >&2
    exit 2
fi
# Below "." no path begins with a dash.
cd -- "$1"

declare -A kept
files=0 bytes=0
while IFS= read -r -d '' path; do
    sum=$(sha256sum < "$path")
    if [[ -z ${kept[$sum]-} ]]; then
        kept[$sum]=1
        continue
    fi
    size=$(stat -c %s "$path")
    files=$((files + 1)) bytes=$((bytes + size))
    [[ $verb == "would remove" ]] || rm -f "$path"
done < <(find . -type f -size +0 -print0 | sort -z)
echo "$verb $files files, $bytes bytes"
SH
