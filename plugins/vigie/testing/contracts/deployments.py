"""The contract of :class:`vigie.roles.DeploymentStore`."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from vigie.errors import ConflictError
from vigie.records import Deployment
from vigie.testing.contracts import Contract, raised, together
from vigie.testing.contracts.record_stores import CLEAN, UGLY, Records

CHECKS = Contract()


def _deploy(records: Records, version: int, expected: int, model: str = "fraud") -> Deployment:
    return records.deployments.deploy(
        model, version, expected_number=expected, actor="ann", reason="better", run_id="r1"
    )


@CHECKS
def there_is_no_champion_before_the_first_deployment(records: Records) -> None:
    assert records.deployments.champion("fraud") is None
    assert records.deployments.history("fraud") == []


@CHECKS
def the_newest_deployment_is_champion(records: Records) -> None:
    first = _deploy(records, 4, 0)
    second = _deploy(records, 2, 1)
    now = records.clock()
    assert first == Deployment("fraud", 1, 4, None, now, "ann", "better", "r1")
    assert second == Deployment("fraud", 2, 2, 4, now, "ann", "better", "r1")
    assert records.deployments.champion("fraud") == second
    assert records.deployments.history("fraud") == [second, first]
    assert records.deployments.history("fraud", limit=1) == [second]


@CHECKS
def models_have_their_own_histories(records: Records) -> None:
    _deploy(records, 1, 0)
    other = _deploy(records, 9, 0, model="lung_cancer")
    assert records.deployments.champion("lung_cancer") == other
    assert len(records.deployments.history("fraud")) == 1


@CHECKS
def a_stale_expectation_is_refused_and_changes_nothing(records: Records) -> None:
    champion = _deploy(records, 1, 0)
    for expected in (0, 2, 7, -1):
        raised(ConflictError, partial(_deploy, records, 2, expected))
    assert records.deployments.history("fraud") == [champion]


@CHECKS
def the_champion_at_a_past_instant_is_returned(records: Records) -> None:
    start = records.clock()
    first = _deploy(records, 1, 0)
    records.clock.advance(days=1)
    second = _deploy(records, 2, 1)
    at = [start - timedelta(seconds=1), start, start + timedelta(hours=23), records.clock()]
    champions = [records.deployments.champion("fraud", instant) for instant in at]
    assert champions == [None, first, first, second]


@CHECKS
def reasons_with_invalid_characters_are_cleaned(records: Records) -> None:
    done = records.deployments.deploy("m", 1, expected_number=0, actor=UGLY, reason=UGLY)
    champion = records.deployments.champion("m")
    assert champion == done
    assert (done.actor, done.reason) == (CLEAN, CLEAN)


@CHECKS
def versions_count_from_one_and_never_repeat(records: Records) -> None:
    assert [records.deployments.next_version("a") for _ in range(3)] == [1, 2, 3]
    assert records.deployments.next_version("b") == 1


@CHECKS
def concurrent_callers_get_different_versions(records: Records) -> None:
    taken = together([lambda: records.deployments.next_version("a")] * 8)
    assert sorted(taken) == list(range(1, 9))


@CHECKS
def concurrent_deployments_leave_one_linear_history(records: Records) -> None:
    def promote(version: int) -> int:
        deployed = 0
        for _ in range(10):
            champion = records.deployments.champion("fraud")
            try:
                _deploy(records, version, champion.number if champion else 0)
                deployed += 1
            except ConflictError:
                continue
        return deployed

    deployed = together([partial(promote, version) for version in (1, 2, 3)])
    history = records.deployments.history("fraud")[::-1]
    assert sum(deployed) == len(history) >= 10
    assert [d.number for d in history] == list(range(1, len(history) + 1))
    previous = [None, *(d.version for d in history[:-1])]
    assert [d.previous_version for d in history] == previous
