"""Measure a prediction of a model version against ``predict_proba`` of the same pipeline.

Run: ``.venv/bin/python -I benchmarks/bench_predict.py``. Prints the median time of
one row and of 10,000 rows for each candidate, and the ratio to ``pipeline.predict_proba``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from vigie.models.catalog import get_model
from vigie.models.reference import load_reference
from vigie.models.request import validate_features
from vigie.training.design_matrix import Design
from vigie.training.fitting import fit_candidate
from vigie.training.servable_files import pack, unpack

ROOT = Path(__file__).resolve().parents[1]
TARGET_MS = 10.0


def median_ms(action: Callable[[], object], n: int) -> float:
    times = []
    for _ in range(n):
        started = time.perf_counter()
        action()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def main() -> None:
    model = get_model(ROOT / "models", "breast_cancer")
    frame = load_reference(model, ROOT / "data")
    row = {k: float(v) for k, v in frame.iloc[0].drop(model.target).items()}
    checking = median_ms(lambda: validate_features(model, row), 500)
    print(f"{'validate a request':24} {checking:8.3f} ms")
    design = Design.of(model)
    many = pd.concat([frame] * 30, ignore_index=True).head(10_000)
    for name in model.training.candidates:
        fitted = fit_candidate(name, model, frame)
        files = pack(
            fitted.pipeline,
            model,
            candidate=name,
            threshold=fitted.threshold,
            profile={},
            sample=frame,
        )
        loading = median_ms(lambda files=files: unpack(files), 3)
        servable = unpack(files)
        ours = median_ms(lambda s=servable: s.predict([row]), 200)
        theirs = median_ms(
            lambda s=servable: s.pipeline.predict_proba(design.table(pd.DataFrame([row]))), 200
        )
        table = median_ms(lambda s=servable: s.predict_frame(many), 3)
        verdict = "holds" if ours < TARGET_MS else "MISSED"
        print(
            f"{name:24} {ours:8.2f} ms per row ({ours / theirs:.2f} of predict_proba, target "
            f"{TARGET_MS:.0f} ms {verdict}), {table:.0f} ms for 10,000 rows, loaded and "
            f"self-tested in {loading:.0f} ms, {sum(map(len, files.values())) / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
