"""The contract of :class:`vigie.roles.BundleStore`."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from vigie.errors import ConflictError, DataError
from vigie.records import Deployment
from vigie.roles import BundleStore
from vigie.testing.contracts import Contract, raised, together

CHECKS = Contract()
FILES = {"model.skops": bytes(range(256)) * 8, "schema.json": b"{}", "empty": b""}
INFO = {"candidate": "xgboost", "metrics": {"roc_auc": 0.97}, "note": "é"}
DEPLOYMENT = Deployment(
    "fraud", 3, 7, 5, datetime(2026, 11, 21, 10, 30, 0, 123456, UTC), "ann", "better", "run-1"
)
BAD_NAMES = ("", "..", ".", "a/b", "../x", "/etc", "A", "a b", "x" * 65, "a\n", "a\x00", ".hidden")


@CHECKS
def a_version_is_read_as_it_was_published(store: BundleStore) -> None:
    store.publish("fraud", 1, FILES, INFO)
    bundle = store.open("fraud", 1)
    assert (bundle.model, bundle.version) == ("fraud", 1)
    assert bundle.files == FILES
    assert bundle.info == INFO
    assert len(bundle.sha256) == 64


@CHECKS
def info_is_stored_as_json(store: BundleStore) -> None:
    ugly: dict[Any, Any] = {
        "nan": math.nan,
        "small": 1e-7,
        "big": 2**53,
        "at": DEPLOYMENT.deployed_at,
        "text": "\x00 \ud800 é",
        5: (1, None),
    }
    store.publish("fraud", 1, FILES, ugly)
    assert store.open("fraud", 1).info == {
        "nan": None,
        "small": 1e-7,
        "big": 2**53,
        "at": "2026-11-21T10:30:00.123456Z",
        "text": "\\x00 \\ud800 é",
        "5": [1, None],
    }


@CHECKS
def versions_are_ascending_numbers(store: BundleStore) -> None:
    assert store.versions("fraud") == []
    for version in (10, 2, 1):
        store.publish("fraud", version, FILES, INFO)
    store.publish("other", 3, FILES, INFO)
    assert store.versions("fraud") == [1, 2, 10]


@CHECKS
def the_same_content_again_changes_nothing(store: BundleStore) -> None:
    store.publish("fraud", 1, FILES, INFO)
    before = store.open("fraud", 1)
    store.publish("fraud", 1, dict(reversed(FILES.items())), {"candidate": "a later try"})
    assert store.open("fraud", 1) == before


@CHECKS
def other_content_is_a_conflict_and_changes_nothing(store: BundleStore) -> None:
    store.publish("fraud", 1, FILES, INFO)
    for other in ({**FILES, "more": b"1"}, {**FILES, "empty": b"1"}, {"schema.json": b"{}"}):
        raised(ConflictError, partial(store.publish, "fraud", 1, other, INFO))
    assert store.open("fraud", 1).files == FILES


@CHECKS
def one_of_several_concurrent_publications_succeeds(store: BundleStore) -> None:
    contents = [{"a": str(i % 2).encode() * 10_000} for i in range(6)]
    outcomes = together([partial(store.publish, "fraud", 1, c, INFO) for c in contents])
    published = store.open("fraud", 1).files
    for content, outcome in zip(contents, outcomes, strict=True):
        assert isinstance(outcome, ConflictError) == (content != published)
    assert store.versions("fraud") == [1]


@CHECKS
def a_missing_version_is_named(store: BundleStore) -> None:
    store.publish("fraud", 1, FILES, INFO)
    error = raised(DataError, partial(store.open, "fraud", 2))
    assert "v2" in str(error)
    assert "v1" in str(error)


@CHECKS
def a_name_cannot_leave_the_store(store: BundleStore) -> None:
    for name in BAD_NAMES:
        raised(DataError, partial(store.publish, name, 1, FILES, INFO))
        raised(DataError, partial(store.open, name, 1))
        raised(DataError, partial(store.read_champion, name))
        raised(DataError, partial(store.publish, "fraud", 1, {name: b""}, INFO))
    for version in (0, -1, True, "1/../../x", 1.5):
        raised(DataError, partial(store.open, "fraud", version))  # type: ignore[arg-type]


@CHECKS
def the_champion_is_read_as_it_was_written(store: BundleStore) -> None:
    assert store.read_champion("fraud") is None
    store.write_champion(DEPLOYMENT)
    assert store.read_champion("fraud") == DEPLOYMENT
    assert store.read_champion("other") is None


@CHECKS
def an_older_deployment_does_not_replace_the_copy(store: BundleStore) -> None:
    store.write_champion(DEPLOYMENT)
    store.write_champion(dataclasses.replace(DEPLOYMENT, number=2, version=4))
    assert store.read_champion("fraud") == DEPLOYMENT
    newer = dataclasses.replace(DEPLOYMENT, number=4, version=5)
    store.write_champion(newer)
    assert store.read_champion("fraud") == newer


@CHECKS
def a_later_deployment_of_a_new_database_replaces_the_copy(store: BundleStore) -> None:
    store.write_champion(DEPLOYMENT)
    later = DEPLOYMENT.deployed_at + timedelta(days=1)
    fresh = dataclasses.replace(DEPLOYMENT, number=1, deployed_at=later)
    store.write_champion(fresh)
    assert store.read_champion("fraud") == fresh
