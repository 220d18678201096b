"""Compares rotate.sh with the rule written in Python."""

import datetime
import pathlib
import subprocess
import tempfile

APP = pathlib.Path("/app")
OTHERS = [
    "README", "backup-2026-02-30.tar.gz", "backup-2025-13-01.tar.gz", "backup-2026-1-5.tar.gz",
    "backup-2026-01-05.tar.gz.part", "old-backup-2020-01-05.tar.gz", "backup-2026-01-0a.tar.gz",
    "backup-2026-01-1a.tar.gz", "backup-last-we-ek.tar.gz",
    "backup-2027-02-29.tar.gz", "backup-yesterday.tar.gz",
]
DAY = datetime.timedelta(days=1)


def name(date):
    return f"backup-{date.isoformat()}.tar.gz"


def newest_of(dates, group, limit):
    newest = {}
    for date in sorted(dates):
        newest[group(date)] = date
    return set(sorted(newest.values())[-limit:])


def expected(dates):
    kept = set(sorted(dates)[-7:])
    kept |= newest_of(dates, lambda date: date.isocalendar()[:2], 4)
    kept |= newest_of(dates, lambda date: (date.year, date.month), 6)
    return [name(date) for date in sorted(set(dates) - kept)]


def rotate(cwd, *arguments):
    return subprocess.run(
        ["bash", str(APP / "rotate.sh"), *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=15,
    )


def check(scratch, folder_name, dates, dry_run=False):
    folder = scratch / folder_name
    folder.mkdir()
    for date in dates:
        (folder / name(date)).write_text(date.isoformat())
    for other in OTHERS:
        (folder / other).write_text("other")
    (folder / "backup-2019-01-01.tar.gz").mkdir()
    (folder / "below").mkdir()
    (folder / "below" / "backup-2019-01-02.tar.gz").write_text("below")
    removed = expected(dates)
    every = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    runs = [(["--dry-run", folder_name], every)] if dry_run else []
    runs.append(([folder_name], every - set(removed)))
    for arguments, left in runs:
        done = rotate(scratch, *arguments)
        assert done.returncode == 0, f"{arguments}: exit status {done.returncode}: {done.stderr}"
        assert done.stdout == "".join(line + "\n" for line in removed), (
            f"{arguments}: {sorted(set(done.stdout.split()) ^ set(removed))}"
        )
        found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
        assert found == left, f"{arguments}: {sorted(found ^ left)}"


def days(first, count, step=1):
    start = datetime.date.fromisoformat(first)
    return [start + DAY * step * number for number in range(count)]


def check_misuse(scratch):
    (scratch / "file").write_text("")
    (scratch / "misuse").mkdir()
    for arguments in ([], ["--dry-run"], ["missing"], ["file"], ["misuse", "misuse"], ["--dry-run", "misuse", "x"]):
        done = rotate(scratch, *arguments)
        assert done.returncode == 2, f"{arguments}: exit status {done.returncode}"
        assert done.stdout == "" and done.stderr != "", f"{arguments}: output"


def check_sample():
    sample = {path.name: path.read_text() for path in (APP / "sample").iterdir()}
    wanted = {name(date): f"dump {number}\n" for number, date in enumerate(days("2026-04-01", 40))}
    assert sample == {**wanted, "README": "do not delete\n"}, "sample/ changed"


check_sample()
with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    # The ISO week of 31 December 2026 ends on 3 January 2027.
    check(scratch, "turn of the year", days("2026-12-05", 30), dry_run=True)
    # The last days of December 2024 are in the first ISO week of 2025.
    check(scratch, "other turn", days("2024-12-12", 25))
    check(scratch, "-sparse dir", days("2025-01-31", 14, step=19))
    # The same months occur in several years.
    months = ("2023-03-14", "2024-09-01", "2024-12-30", "2025-03-09", "2025-06-20")
    check(scratch, "gaps", [*days("2026-03-01", 10), *(day for month in months for day in days(month, 2))])
    check(scratch, "no backups", [], dry_run=True)
    check(scratch, "few", days("2026-02-25", 6))
    check_misuse(scratch)
