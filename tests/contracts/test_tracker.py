"""The contract of trackers with a registry (MLflow, the fake), and tests of the null tracker.

tests/adapters/tracking has the same suite on a real MLflow server.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vigie.adapters.tracking.null import NullTracker
from vigie.errors import TransientError
from vigie.roles import Tracker
from vigie.testing.contracts import tracker as contract
from vigie.testing.contracts.tracker import TrackerSubject
from vigie.testing.telemetry import FakeTracker


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a real MLflow store in a file; its tables are created once per session."""
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
    from vigie.adapters.tracking.tracker import MlflowTracker

    monkeypatch.chdir(tmp_path)  # a store without a server keeps artifacts below the working folder
    yield MlflowTracker(request.getfixturevalue("mlflow_store"))


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_tracker(
    check: Callable[[TrackerSubject], None],
    tracker: Tracker,
    fitted: tuple[object, object],
    tmp_path: Path,
) -> None:
    check(TrackerSubject(tracker, f"model_{secrets.token_hex(6)}", *fitted, tmp_path))


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


def test_a_server_that_is_down_raises_at_once() -> None:
    from vigie.adapters.tracking.tracker import MlflowTracker

    tracker = MlflowTracker("http://127.0.0.1:9", connect_timeout_s=0.5)
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        tracker.alias("m", "champion")
    with pytest.raises(TransientError), tracker.run("e", "n"):
        pass
