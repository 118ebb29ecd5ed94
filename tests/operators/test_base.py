"""JobOperator maps errors of vigie to outcomes of Airflow tasks."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vigie.errors import (
    ConflictError,
    DataError,
    NotEnoughDataError,
    SettingsError,
    TransientError,
    VigieError,
)
from vigie.operators.base import JobOperator, run_key
from vigie.records import JobResult
from vigie.settings import Settings
from vigie.testing import FakeServices


class _Raising(JobOperator):
    def __init__(self, *, error: VigieError | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    def run_job(self, services: Any, settings: Any, context: Any) -> JobResult:
        if self.error:
            raise self.error
        return JobResult()


def _execute(services: FakeServices, error: VigieError | None) -> dict[str, Any]:
    operator = _Raising(task_id="t", error=error)
    operator.opened = lambda _: nullcontext((services, Settings.from_env()))
    return operator.execute({})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotEnoughDataError("nothing yet"), AirflowSkipException),
        (DataError("bad"), AirflowFailException),
        (SettingsError("wrong"), AirflowFailException),
        (ConflictError("late"), AirflowFailException),
        (TransientError("down"), TransientError),
    ],
)
def test_an_error_becomes_the_outcome_of_the_task(
    services: FakeServices, error: VigieError, outcome: type[Exception]
) -> None:
    with pytest.raises(outcome, match=str(error)):
        _execute(services, error)


def test_a_result_becomes_the_xcom(services: FakeServices) -> None:
    assert _execute(services, None) == {"metrics": []}


def test_a_run_id_becomes_a_valid_file_name() -> None:
    context: Any = {"run_id": "manual__2026-11-21T10:00:00+00:00_a b"}
    assert run_key(context) == "manual__2026-11-21T10-00-00-00-00_a-b"
    assert run_key({"run_id": ".."}) == "_."
