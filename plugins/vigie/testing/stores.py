"""Deployments, ledger, small state and locks in memory."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import Lock, RLock
from typing import Any

from vigie.encoding import as_stored, clean, utcnow
from vigie.errors import ConflictError
from vigie.records import Decision, Deployment
from vigie.stored_records import storable_decision


class FakeDeployments:
    """Satisfies :class:`vigie.roles.DeploymentStore`."""

    def __init__(self, now: Callable[[], datetime] = utcnow) -> None:
        self.now = now
        self.rows: list[Deployment] = []
        self.versions: defaultdict[str, int] = defaultdict(int)
        self.lock = RLock()

    def next_version(self, model: str) -> int:
        with self.lock:
            self.versions[model] += 1
            return self.versions[model]

    def champion(self, model: str, at: datetime | None = None) -> Deployment | None:
        known = (
            d for d in self.history(model, len(self.rows)) if at is None or d.deployed_at <= at
        )
        return next(known, None)

    def history(self, model: str, limit: int = 50) -> list[Deployment]:
        return [d for d in reversed(self.rows) if d.model == model][:limit]

    def deploy(
        self,
        model: str,
        version: int,
        *,
        expected_number: int,
        actor: str,
        reason: str,
        run_id: str | None = None,
    ) -> Deployment:
        with self.lock:
            newest = self.champion(model)
            found = newest.number if newest else 0
            if found != expected_number:
                raise ConflictError(f"{model}: deployment {found} is newest, not {expected_number}")
            previous = newest.version if newest else None
            said = (clean(actor), clean(reason), run_id)
            row = Deployment(model, found + 1, version, previous, self.now(), *said)
            self.rows.append(row)
            return row


class FakeLedger:
    """Satisfies :class:`vigie.roles.Ledger`; ``rows`` holds what was recorded, oldest first."""

    def __init__(self, now: Callable[[], datetime] = utcnow) -> None:
        self.now = now
        self.rows: list[Decision] = []
        self.lock = RLock()

    def record(self, decision: Decision) -> int:
        stored = storable_decision(decision, self.now())
        with self.lock:
            for number, known in enumerate(self.rows, 1):
                if known.key == decision.key:
                    return number
            self.rows.append(dataclasses.replace(stored, id=len(self.rows) + 1))
            return len(self.rows)

    def decisions(
        self,
        model: str | None = None,
        kind: str | None = None,
        run_id: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> list[Decision]:
        def wanted(d: Decision) -> bool:
            asked = ((model, d.model), (kind, d.kind), (run_id, d.run_id))
            in_time = until is None or d.at is None or d.at <= until
            return in_time and all(want in (None, found) for want, found in asked)

        return [d for d in reversed(self.rows) if wanted(d)][:limit]


class FakeState:
    """Satisfies :class:`vigie.roles.StateStore`; keeps what JSON keeps."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = as_stored(self.values.get(key))
        return value

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        self.values[key] = as_stored(value)

    def forget(self, prefix: str) -> int:
        gone = [key for key in self.values if key.startswith(prefix)]
        for key in gone:
            del self.values[key]
        return len(gone)


class FakeLocks:
    """Satisfies :class:`vigie.roles.Locks` between the threads of one process."""

    def __init__(self) -> None:
        self.locks: defaultdict[str, Lock] = defaultdict(Lock)

    @contextmanager
    def hold(self, name: str, wait_s: float = 0.0) -> Iterator[None]:
        lock = self.locks[name]
        if not lock.acquire(timeout=wait_s):
            raise ConflictError(f"lock {name!r} is held by somebody else")
        try:
            yield
        finally:
            lock.release()
