#!/bin/bash
set -euo pipefail

cat > rotate.sh <<'SH'
#!/bin/bash
# usage: rotate.sh [--dry-run] DIR
set -euo pipefail
shopt -s nullglob

dry=
if [[ ${1-} == --dry-run ]]; then
    dry=1
    shift
fi
if [[ $# -ne 1 || ! -d $1 ]]; then
    echo "usage: rotate.sh [--dry-run] DIR" >&2
    exit 2
fi
cd -- "$1"

dates=()
for file in backup-????-??-??.tar.gz; do
    day=${file:7:10}
    # Only an existing date comes back unchanged.
    if [[ -f $file && $(date -u -d "$day" +%F 2> /dev/null) == "$day" ]]; then
        dates+=("$day")
    fi
done

declare -A weeks=() months=()
removed=() seen=0
for ((i = ${#dates[@]} - 1; i >= 0; i--)); do
    day=${dates[i]} keep=
    week=$(date -u -d "$day" +%G-%V) month=${day%-*}
    if ((++seen <= 7)); then
        keep=1
    fi
    if [[ -z ${weeks[$week]-} ]] && ((${#weeks[@]} < 4)); then
        weeks[$week]=1 keep=1
    fi
    if [[ -z ${months[$month]-} ]] && ((${#months[@]} < 6)); then
        months[$month]=1 keep=1
    fi
    if [[ -z $keep ]]; then
        removed=("backup-$day.tar.gz" "${removed[@]}")
    fi
done

for file in "${removed[@]}"; do
    [[ $dry ]] || rm -f "$file"
    echo "$file"
done
SH
bash rotate.sh --dry-run sample
