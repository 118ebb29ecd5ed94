"""Advisory locks of PostgreSQL; a lock ends with the session that holds it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, func, select, text

from vigie.adapters.postgres.engine import own_session
from vigie.adapters.postgres.errors import translated
from vigie.errors import ConflictError

_HOLDER = text("""
    SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND classid::bigint = :high AND objid::bigint = :low
""")


class SqlLocks:
    """Implement :class:`vigie.roles.Locks`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def hold(self, name: str, wait_s: float = 0.0) -> Iterator[None]:
        with own_session(self._engine) as session:
            if not acquire(session, name, wait_s):
                raise ConflictError(f"lock {name!r} is held by {holder(session, name)}")
            yield


def acquire(session: Connection, name: str, wait_s: float = 0.0) -> bool:
    """Try for up to ``wait_s`` seconds to acquire a session lock; return whether this succeeded.

    The client polls, because a wait in the server would delay signals.
    """
    attempt = select(func.pg_try_advisory_lock(lock_key(name)))
    deadline, pause_s = time.monotonic() + wait_s, 0.02
    with translated():
        while not session.execute(attempt).scalar_one():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, 0.5)
    return True


def holder(session: Connection, name: str) -> str:
    """Return the application name (process id and host) of a lock's holder.

    If it is unknown, return ``another process``.
    """
    key = lock_key(name)
    halves = {"high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
    with translated():
        found = session.execute(_HOLDER, halves).scalars().first()
    return found or "another process"


def lock_key(name: str) -> int:
    """Return the 64-bit key of a lock, derived from a hash of its name.

    Examples
    --------
    >>> lock_key("retrain:fraud") == lock_key("retrain:fraud") != lock_key("retrain:lung_cancer")
    True
    """
    digest = hashlib.sha256(f"vigie:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
