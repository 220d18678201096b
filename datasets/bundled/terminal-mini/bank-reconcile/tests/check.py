"""Checks reconcile.py on the given and on unknown payments."""

import json
import pathlib
import subprocess
import sys
import tempfile

APP = pathlib.Path("/app")

GIVEN = {
    "matched": 5,
    "mismatched": [{"ref": "INV-1005", "bank_cents": 3500, "ledger_cents": 3050}],
    "only_bank": ["INV-1007"],
    "only_ledger": ["INV-1006"],
    "duplicates": ["INV-1002"],
}

BANK = (
    "\ufeffamount,description,reference,date\r\n"
    '"(1,000,000.01)","line one\r\nline two, with ""quotes""",b-2,2026-01-01\r\n'
    "0.29,float trap,A-1,2026-01-01\r\n"
    "1.15,float trap, a-3 ,2026-01-02\r\n"
    "4.35,first of two,A-2,2026-01-02\r\n"
    "9.99,second of two,a-2,2026-01-03\r\n"
    "9.99,third of two,A-2,2026-01-03\r\n"
    "-3.5,negative,C-1,2026-01-04\r\n"
    "5,blank reference,   ,2026-01-04\r\n"
    "(12.00),duplicate without ledger entry,Z-9,2026-01-05\r\n"
    "12.00,again,z-9,2026-01-05\r\n"
    "0.07,zero or not,007,2026-01-06\r\n"
    "0,zero,D-0,2026-01-06\r\n"
)
LEDGER = {
    "entries": [
        {"ref": "A-1", "cents": 29},
        {"ref": "a-2", "cents": 435},
        {"ref": "A-3", "cents": 116},
        {"ref": " B-2 ", "cents": -100000001},
        {"ref": "c-1", "cents": 350},
        {"ref": "7", "cents": 7},
        {"ref": "D-0", "cents": 0},
    ]
}
HIDDEN = {
    "matched": 4,
    "mismatched": [
        {"ref": "A-3", "bank_cents": 115, "ledger_cents": 116},
        {"ref": "C-1", "bank_cents": -350, "ledger_cents": 350},
    ],
    "only_bank": ["007", "Z-9"],
    "only_ledger": ["7"],
    "duplicates": ["A-2", "Z-9"],
}
NOTHING = {"matched": 0, "mismatched": [], "only_bank": [], "only_ledger": [], "duplicates": []}


def every_cent():
    """Every amount below 12.00, which floating point gets wrong here and there."""
    rows = [f"2026-01-01,R{cents:04},x,{cents // 100}.{cents % 100:02}" for cents in range(1200)]
    bank = "date,reference,description,amount\n" + "\n".join(rows) + "\n"
    ledger = {"entries": [{"ref": f"R{cents:04}", "cents": cents} for cents in range(1200)]}
    return bank, ledger, {**NOTHING, "matched": 1200}


def reconcile(folder, bank, ledger):
    (folder / "b.csv").write_bytes(bank.encode())
    (folder / "l.json").write_text(json.dumps(ledger))
    done = subprocess.run(
        [sys.executable, str(APP / "reconcile.py"), str(folder / "b.csv"), str(folder / "l.json")],
        cwd=APP, capture_output=True, text=True, timeout=10,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


assert json.loads((APP / "report.json").read_text()) == GIVEN, "report.json"
with tempfile.TemporaryDirectory() as scratch:
    for bank, ledger, expected in (
        (BANK, LEDGER, HIDDEN),
        every_cent(),
        ("date,reference,description,amount\n", {"entries": []}, NOTHING),
    ):
        found = reconcile(pathlib.Path(scratch), bank, ledger)
        assert found == expected, f"{found}\nexpected {expected}"
