"""One suite for every tracker: with a registry (MLflow, the fake) and without (null)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vigie.adapters.null_tracker import NullTracker
from vigie.errors import PermanentError, TransientError
from vigie.roles import Tracker
from vigie.testing.telemetry import FakeTracker

Make = Callable[[], Tracker]


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a real MLflow store in a file: its tables are made once."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MlflowClient(tracking_uri=uri).search_experiments()
    return uri


@pytest.fixture(params=["fake", "mlflow"])
def tracker(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tracker]:
    if request.param == "fake":
        yield FakeTracker()
        return
    from vigie.adapters.mlflow_tracker import MlflowTracker

    monkeypatch.chdir(tmp_path)  # a store without a server keeps artifacts below the working folder
    yield MlflowTracker(request.getfixturevalue("mlflow_store"))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Return a model name of this test alone: the MLflow store is shared."""
    return "model_" + str(abs(hash(request.node.name)))


@pytest.fixture
def fitted() -> tuple[Any, pd.DataFrame]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1, 0, 1, 0]})
    model = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=2, random_state=0))
    return model.fit(rows, [0, 0, 1, 1]), rows


def test_the_same_key_reopens_the_same_run(tracker: Tracker, name: str) -> None:
    with tracker.run(name, "first", key="r1:logistic") as run:
        first = run.run_id
    with tracker.run(name, "second", key="r1:logistic") as run:
        assert run.run_id == first
    with tracker.run(name, "third", key="r2:logistic") as run:
        assert run.run_id != first


def test_a_retry_may_log_the_same_things_again(
    tracker: Tracker, name: str, fitted: tuple[Any, pd.DataFrame], tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("x")
    for _ in range(2):
        with tracker.run(name, "n", {"data": "h"}, key="k") as run:
            run.log_params({"threshold": 0.4, "candidate": "random_forest"})
            run.log_metrics({"f1": 0.9, "auc": float("nan")})
            run.log_file(note)
            run.log_model("random_forest", *fitted)
    assert tracker.register(name, 1, run.run_id) == tracker.register(name, 1, run.run_id)


def test_an_alias_names_our_bundle_version(
    tracker: Tracker, name: str, fitted: tuple[Any, pd.DataFrame]
) -> None:
    for version in (3, 7):
        with tracker.run(name, "n", key=f"k{version}") as run:
            run.log_model("m", *fitted)
        tracker.register(name, version, run.run_id)
    tracker.set_alias(name, "champion", 7)
    assert tracker.alias(name, "champion") == 7
    tracker.set_alias(name, "champion", 3)
    assert tracker.alias(name, "champion") == 3


def test_an_unknown_alias_is_none(tracker: Tracker, name: str) -> None:
    assert tracker.alias(name, "champion") is None


def test_an_alias_to_a_version_that_is_not_registered_is_refused(
    tracker: Tracker, name: str
) -> None:
    with pytest.raises(PermanentError):
        tracker.set_alias(name, "champion", 99)


def test_an_error_inside_a_run_comes_out_unchanged(tracker: Tracker, name: str) -> None:
    with pytest.raises(ZeroDivisionError), tracker.run(name, "n", key="k"):
        _ = 1 / 0


def test_the_null_tracker_has_no_effect(tmp_path: Path) -> None:
    tracker: Tracker = NullTracker()
    with tracker.run("e", "n", key="k") as run:
        run.log_params({"a": 1})
        run.log_metrics({"b": 2.0})
        run.set_tags({"c": "d"})
        run.log_file(tmp_path / "absent")
        run.log_model("m", object(), None)
    tracker.set_alias("m", "champion", 1)
    assert tracker.register("m", 1, run.run_id) is None
    assert tracker.alias("m", "champion") is None
    assert tracker.run_url(run.run_id) is None


def test_a_server_that_is_down_is_told_at_once() -> None:
    from vigie.adapters.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker("http://127.0.0.1:9", connect_timeout_s=0.5)
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        tracker.alias("m", "champion")
    with pytest.raises(TransientError), tracker.run("e", "n"):
        pass
