"""What scripts/parity and scripts/parity-pro share: grading a task untouched and with its
fix, and holding that against what its authors found."""

import json
import subprocess
import sys


def grade(program, suite, subject, task, output):
    """The verdict on a task's `base` or `gold`."""
    command = [program, "grade", "--suite", suite, f"--{subject}", "--output", output, "--task", task]
    # The verdicts decide, not the exit code.
    run = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if run.returncode not in (0, 5):
        sys.exit(f"{program} grade ended with code {run.returncode}")
    return json.loads((output / subject / task / "verdict.json").read_text())


def counts(base, gold):
    """(passed, of how many) of FAIL_TO_PASS and PASS_TO_PASS, untouched and fixed."""
    return [
        verdict[tests] or (0, 0)
        for verdict in (base, gold)
        for tests in ("fail_to_pass", "pass_to_pass")
    ]


def mismatches(base, gold, untouched):
    """What is otherwise than the authors found; `untouched` are the outcomes that the
    untouched state may have."""
    wrong = []
    failing, passing = counts(base, gold)[:2]
    if base["outcome"] not in untouched:
        wrong.append(f"base is {base['outcome']}")
    if base["outcome"] != "no_verdict" and failing[0]:
        wrong.append(f"base passes {failing[0]} that should fail")
    if base["outcome"] != "no_verdict" and passing[0] != passing[1]:
        wrong.append(f"base fails {passing[1] - passing[0]} that should pass")
    if gold["outcome"] != "resolved":
        wrong.append(f"gold is {gold['outcome']}, {len(gold['failed_tests'])} tests")
    return wrong
