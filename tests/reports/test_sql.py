"""Reports end to end with real PostgreSQL, a real bundle and real Evidently."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vigie.drift.reference_profile import build_profile
from vigie.encoding import dumps
from vigie.models.catalog import get_model
from vigie.models.reference import load_reference, unseen_rows
from vigie.records import Prediction
from vigie.reports.decide_drift import report_on_model
from vigie.reports.window import Period, ReportRun
from vigie.settings import Settings
from vigie.wiring import LazyServices, open_services

NAME = "breast_cancer"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def opened(
    database_url: str, tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LazyServices]:
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    monkeypatch.setenv("VIGIE_DATABASE_URL", database_url)
    (tmp_path / "models").mkdir()
    shutil.copy(project_root / "models" / f"{NAME}.toml", tmp_path / "models")
    with open_services(Settings.from_env()) as services:
        yield services


def test_shifted_traffic_is_reported_recorded_and_explained(opened: LazyServices) -> None:
    model = get_model(opened.paths.models, NAME)
    profile = build_profile(load_reference(model, opened.paths.data), model.feature_types)
    opened.bundles.publish(NAME, 1, {"profile.json": dumps(profile)}, {"threshold": 0.5})
    opened.deployments.deploy(NAME, 1, expected_number=0, actor="test", reason="first")
    rows = unseen_rows(model, opened.paths.data).head(120)
    actual = rows.pop(model.target)
    rows += 2 * rows.std()
    for i, (row, was) in enumerate(zip(rows.to_dict("records"), actual, strict=True)):
        at = NOW - timedelta(minutes=i)
        p = 0.9 if was == model.positive_label else 0.2
        opened.predictions.add(Prediction(f"t{i}", NAME, 1, row, was, p, "", at, 1.0))
        opened.labels.add(f"t{i}", was)
    period = Period(NOW - timedelta(hours=6), NOW + timedelta(seconds=1))
    run = ReportRun(model=model, period=period, run_id="r1")
    done = report_on_model(opened, run=run)
    again = report_on_model(opened, run=run)
    assert (done.decision.is_drifted, done.decision.is_degraded) == (True, False)
    assert again.decision == done.decision
    assert again.pages == done.pages
    assert [os.path.getsize(page) > 1_000_000 for page in done.pages] == [True] * 3
    decisions = opened.ledger.decisions(model=NAME, run_id="r1")
    assert {(d.kind, d.verdict) for d in decisions} == {("drift", "yes"), ("performance", "no")}
