"""Deployment of a version: publication, compare-and-swap, copies, ledger entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vigie import state_keys
from vigie.errors import ConflictError
from vigie.registry.deploy import Deploying, Draft, deploy
from vigie.testing import FakeServices

MODEL = "fraud"


def draft(run_id: str = "r1") -> Draft:
    def read() -> tuple[Mapping[str, bytes], Mapping[str, Any]]:
        return {"model.bin": b"weights"}, {"run_id": run_id}

    return Draft(state_keys.model_version(MODEL, run_id), read)


def removed(run_id: str = "r1") -> Draft:
    """Return the draft of a run whose staged files were removed."""

    def read() -> tuple[Mapping[str, bytes], Mapping[str, Any]]:
        raise AssertionError("a published version is not read again")

    return Draft(state_keys.model_version(MODEL, run_id), read)


def decision(expected: int = 0, run_id: str | None = "r1") -> Deploying:
    return Deploying(
        model=MODEL,
        kind="promote",
        expected_number=expected,
        actor="ana",
        reason="better",
        evidence={"gain": 0.1},
        run_id=run_id,
    )


def test_a_draft_is_published_deployed_and_recorded(services: FakeServices) -> None:
    result = deploy(services, draft(), decision())
    assert (result.version, result.number, result.previous_version) == (1, 1, None)
    assert services.bundles.open(MODEL, 1).files == {"model.bin": b"weights"}
    assert services.bundles.read_champion(MODEL) == services.deployments.champion(MODEL)
    [entry] = services.ledger.decisions(model=MODEL)
    assert (entry.key, entry.verdict, entry.reasons) == ("r1:fraud:promote", "yes", ("better",))
    assert entry.evidence == {"gain": 0.1, "version": 1, "previous_version": None}


def test_a_retry_reuses_version_and_deployment(services: FakeServices) -> None:
    first = deploy(services, draft(), decision())
    assert deploy(services, removed(), decision()) == first
    assert len(services.deployments.history(MODEL)) == 1
    assert len(services.ledger.rows) == 1


def test_a_late_retry_does_not_write_the_copies(services: FakeServices) -> None:
    deploy(services, draft("r1"), decision())
    deploy(services, draft("r2"), decision(expected=1, run_id="r2"))
    deploy(services, removed("r1"), decision())
    assert services.bundles.read_champion(MODEL).version == 2


@pytest.mark.parametrize("run_id", ["r2", None])
def test_a_lost_race_is_recorded_and_changes_nothing(
    services: FakeServices, run_id: str | None
) -> None:
    deploy(services, draft("r1"), decision())
    source = draft("r2") if run_id else services.bundles.open(MODEL, 1)
    with pytest.raises(ConflictError):
        deploy(services, source, decision(expected=0, run_id=run_id))
    newest = services.ledger.decisions(model=MODEL)[0]
    assert (newest.verdict, newest.actor, newest.run_id) == ("no", "ana", run_id)
    assert services.deployments.champion(MODEL).number == 1


def test_a_published_bundle_is_deployed_under_the_number_of_its_deployment(
    services: FakeServices,
) -> None:
    deploy(services, draft(), decision())
    deploy(services, services.bundles.open(MODEL, 1), decision(expected=1, run_id=None))
    assert services.ledger.decisions(model=MODEL)[0].key == "deployment:fraud:2"


def test_numbers_of_published_versions_are_skipped(services: FakeServices) -> None:
    services.bundles.publish(MODEL, 1, {"model.bin": b"old"}, {"run_id": "old"})
    assert deploy(services, draft(), decision()).version == 2
