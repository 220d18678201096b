"""Whether our change points are those of Apache Otava (needs `pip install apache-otava`).

Both get the same series, made from fixed seeds: steps of several sizes, several steps,
drift, noise alone, spikes, heavy tails, short series, series without noise. Tolerance:
the indices are equal, the means and p values agree to 1e-9 relatively (p values below
1e-12 to be as small).

Otava 0.8 drops weak points one by one, and after each judges the next two points anew;
the one before it, whose stretch grew as well, keeps the p value that it had. We judge
both neighbours. So the results are held against Otava's own first pass and its own test,
with both neighbours judged; how many series Otava decides alike as it is, is printed.
"""

import json
import math
import subprocess
import sys
import warnings

import numpy
from otava.analysis import TTestSignificanceTester, compute_change_points, split

CASES_PER_KIND = 40
SETTINGS = [(50, 0.001, 0.0), (50, 0.001, 0.05), (30, 0.01, 0.0)]


def kinds(random):
    """Name and series of every kind, drawn anew."""
    noise = lambda n: random.normal(100.0, 5.0, n)
    length = int(random.integers(8, 160))
    at = int(random.integers(2, length - 1))
    for sigmas in (0.5, 1, 2, 4, 10):
        yield f"a step of {sigmas} σ", noise(length) + 5.0 * sigmas * (numpy.arange(length) >= at)
    levels = numpy.repeat(random.normal(100.0, 15.0, 6), random.integers(3, 30, 6))
    yield "several steps", levels + random.normal(0.0, 4.0, len(levels))
    yield "noise", noise(length)
    yield "drift", noise(length) + 0.2 * numpy.arange(length)
    spiked = noise(length)
    spiked[random.integers(0, length, 3)] += 60.0
    yield "spikes", spiked
    yield "heavy tails", numpy.exp(random.normal(4.0, 0.8, length))
    yield "short", random.normal(100.0, 5.0, int(random.integers(1, 8)))
    # Widths drawn so that no two places diverge equally.
    yield "no noise", numpy.repeat([3.0, 4.0, 4.5], random.integers(3, 20, 3)).astype(float)


def otava(series, window, max_p, min_change):
    """Otava's weak points without those that its own test rejects, weakest first."""
    tester = TTestSignificanceTester(max_p)
    points = split(series, window, max_p * 10)
    while points:
        intervals = tester.get_intervals(points)
        points = [tester.change_point(p.to_candidate(), series, intervals) for p in points]
        weakest = max(points, key=lambda point: point.stats.pvalue)
        if weakest.stats.pvalue <= max_p:
            weakest = min(points, key=lambda point: point.stats.change_magnitude())
            if weakest.stats.change_magnitude() >= min_change:
                break
        points.remove(weakest)
    return points


def close(ours, theirs):
    return math.isclose(ours, theirs, rel_tol=1e-9) or max(abs(ours), abs(theirs)) < 1e-12


def same(ours, theirs):
    if [point["index"] for point in ours] != [int(point.index) for point in theirs]:
        return False
    return all(
        close(a["p"], b.stats.pvalue)
        and close(a["before_mean"], b.stats.mean_1)
        and close(a["after_mean"], b.stats.mean_2)
        for a, b in zip(ours, theirs)
    )


def main():
    random = numpy.random.default_rng(20260101)
    cases = [
        (kind, series.tolist(), setting)
        for _ in range(CASES_PER_KIND)
        for kind, series in kinds(random)
        for setting in SETTINGS
    ]
    lines = "".join(
        json.dumps(
            {
                "series": series,
                "window": window,
                "max_p": max_p,
                "min_change": min_change,
                "min_segment": 1,
            }
        )
        + "\n"
        for _, series, (window, max_p, min_change) in cases
    )
    command = ["cargo", "run", "-q", "-p", "timeslip-reports", "--example", "change_points"]
    output = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    answers = [json.loads(line) for line in output.stdout.splitlines()]
    assert len(answers) == len(cases)
    tally, points, as_it_is = {}, 0, 0
    for (kind, series, setting), ours in zip(cases, answers):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = otava(series, *setting)
            unchanged, _ = compute_change_points(series, *setting)
        as_it_is += [p["index"] for p in ours] == [int(p.index) for p in unchanged]
        agreed, total = tally.get(kind, (0, 0))
        alike = same(ours, theirs)
        tally[kind] = (agreed + alike, total + 1)
        points += len(theirs)
        if not alike:
            print(f"differ on {kind}, window, p, change = {setting}: {series}")
            print(f"  ours   {[(point['index'], point['p']) for point in ours]}")
            print(f"  Otava  {[(int(point.index), float(point.stats.pvalue)) for point in theirs]}")
    for kind, (agreed, total) in tally.items():
        print(f"change points, {kind:<14} {agreed} of {total} series as Otava")
    print(f"change points in all: {points}; series that Otava decides alike as it is:")
    print(f"  {as_it_is} of {len(cases)}")
    return all(agreed == total for agreed, total in tally.values())


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
