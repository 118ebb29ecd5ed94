"""The contracts of the stores, on the fakes and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vigie.testing.contracts import deployments, labels, ledger, locks, predictions
from vigie.testing.contracts.record_stores import Records

_Check = Callable[[Records], None]


@pytest.mark.parametrize("check", predictions.CHECKS, ids=lambda check: check.__name__)
def test_predictions(check: _Check, records: Records) -> None:
    check(records)


@pytest.mark.parametrize("check", labels.CHECKS, ids=lambda check: check.__name__)
def test_labels(check: _Check, records: Records) -> None:
    check(records)


@pytest.mark.parametrize("check", deployments.CHECKS, ids=lambda check: check.__name__)
def test_deployments(check: _Check, records: Records) -> None:
    check(records)


@pytest.mark.parametrize("check", ledger.LEDGER_CHECKS, ids=lambda check: check.__name__)
def test_ledger(check: _Check, records: Records) -> None:
    check(records)


@pytest.mark.parametrize("check", ledger.STATE_CHECKS, ids=lambda check: check.__name__)
def test_state(check: _Check, records: Records) -> None:
    check(records)


@pytest.mark.parametrize("check", locks.CHECKS, ids=lambda check: check.__name__)
def test_locks(check: _Check, records: Records) -> None:
    check(records)
