"""Compare the time of our drift verdict on all rows with Evidently's preset, for 30 columns.

The goal is a ratio of 20 for 100,000 rows. With the argument 1000000 it is 50, and
Evidently takes minutes. D is compared with scipy. The last line has the ratio.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from scipy import stats

from vigie.drift.decision import detect_drift
from vigie.drift.reference_profile import build_profile

N_NUMERIC, N_CATEGORIES = 24, 6
SHIFTED = 5


def tables(n_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make two tables; the first columns differ by half a standard deviation."""
    rng = np.random.default_rng(0)
    frames = []
    for side in range(2):
        columns: dict[str, Any] = {}
        for i in range(N_NUMERIC):
            values = rng.gamma(2, size=n_rows) if i % 2 else rng.normal(size=n_rows)
            columns[f"n{i}"] = values + (0.5 * side * (i < SHIFTED)) * values.std()
        for i in range(N_CATEGORIES):
            columns[f"c{i}"] = rng.choice(list("abcdefgh"), n_rows)
        frames.append(pd.DataFrame(columns))
    return frames[0], frames[1]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of one call and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def evidently_drift(reference: pd.DataFrame, current: pd.DataFrame) -> set[str]:
    """Return the columns that Evidently reports as drifted."""
    shape = DataDefinition(
        numerical_columns=[c for c in reference if str(c).startswith("n")],
        categorical_columns=[c for c in reference if str(c).startswith("c")],
    )
    snapshot = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, shape), Dataset.from_pandas(reference, shape)
    )
    values = {
        m["config"]["column"]: (m["value"], m["config"]["threshold"])
        for m in snapshot.dict()["metrics"]
        if "column" in m["config"]
    }
    return {name for name, (value, threshold) in values.items() if value >= threshold}


def check_against_scipy(reference: pd.DataFrame, current: pd.DataFrame) -> float:
    """Return the largest difference between our D and scipy's; the profile holds all values."""
    types = {c: "float" for c in reference if c[0] == "n"}
    profile = build_profile(reference, types, max_sample=len(reference))
    verdict = detect_drift(profile, current, 0.3)
    expected = [
        stats.ks_2samp(reference[c.name], current[c.name], method="asymp").statistic
        for c in verdict.columns
    ]
    return max(abs(c.statistic - e) for c, e in zip(verdict.columns, expected, strict=True))


def main(n_rows: int, goal: float) -> float:
    """Run both, print their times, and return the ratio."""
    reference, current = tables(n_rows)
    types = {c: "float" if c[0] == "n" else "category" for c in reference}
    profile_s, profile = timed(lambda: build_profile(reference, types))
    detect_drift(profile, current.head(1000), 0.3)  # The first calls import libraries.
    evidently_drift(reference.head(1000), current.head(1000))
    ours_s, verdict = timed(lambda: detect_drift(profile, current, 0.3))
    theirs_s, theirs = timed(lambda: evidently_drift(reference, current))
    print(f"{n_rows:,} rows x {len(types)} columns")
    print(f"  profile, once per champion      {profile_s:8.3f} s")
    print(f"  vigie decision, all rows      {ours_s:8.3f} s")
    print(f"  evidently DataDriftPreset     {theirs_s:8.3f} s")
    print(f"  same drifted columns          {set(verdict.drifted) == theirs} ({len(theirs)})")
    print(f"  largest |D - scipy's D|       {check_against_scipy(reference, current):8.1e}")
    ratio = theirs_s / ours_s
    print(f"  ratio {ratio:.0f} (goal {goal:.0f})")
    return ratio


if __name__ == "__main__":
    sizes = [int(argument) for argument in sys.argv[1:]] or [100_000]
    ratios = [main(n, 50 if n >= 1_000_000 else 20) for n in sizes]
    print(f"ratio {ratios[-1]:.1f}")
