#!/bin/bash
set -euo pipefail

cat > reconcile.py <<'PY'
import csv
import json
import sys
from decimal import Decimal


def cents(text):
    text = text.strip().replace(",", "")
    if text.startswith("("):
        text = "-" + text.strip("()")
    return int(Decimal(text) * 100)


def key(reference):
    return reference.strip().upper()


bank, duplicates = {}, set()
with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
    for row in csv.DictReader(file):
        ref = key(row["reference"])
        if ref in bank:
            duplicates.add(ref)
        elif ref:
            bank[ref] = cents(row["amount"])
with open(sys.argv[2], encoding="utf-8") as file:
    ledger = {key(entry["ref"]): entry["cents"] for entry in json.load(file)["entries"]}

both = sorted(bank.keys() & ledger.keys())
different = [ref for ref in both if bank[ref] != ledger[ref]]
report = {
    "matched": len(both) - len(different),
    "mismatched": [
        {"ref": ref, "bank_cents": bank[ref], "ledger_cents": ledger[ref]} for ref in different
    ],
    "only_bank": sorted(bank.keys() - ledger.keys()),
    "only_ledger": sorted(ledger.keys() - bank.keys()),
    "duplicates": sorted(duplicates),
}
print(json.dumps(report, indent=2))
PY
python3 reconcile.py bank.csv ledger.json > report.json
