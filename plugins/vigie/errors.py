"""Errors, ordered by what the caller must do.

::

    VigieError
    ├── PermanentError        fix the input, code or settings · Airflow: no retry · exit code 2
    │   ├── SettingsError
    │   ├── RefusedMessageError
    │   └── DataError
    │       └── UnknownTransactionError
    ├── TransientError        a service did not answer · Airflow: retry · exit code 3
    │   ├── DiskFullError     it works again when there is room
    │   └── UndeliveredError
    ├── ConflictError         someone else was faster · Airflow: no retry · exit code 4
    └── NotEnoughDataError    nothing to do yet · Airflow: skip · exit code 0
"""

from __future__ import annotations


class VigieError(Exception):
    """Root of every error that vigie raises on purpose."""

    exit_code = 2


class PermanentError(VigieError):
    """The same call would fail again: the input, the code or the settings must change."""


class SettingsError(PermanentError):
    """A setting is missing or wrong."""


class RefusedMessageError(PermanentError):
    """A stream refuses the message at place ``first`` of a call for good; later ones may be missing
    too.
    """

    def __init__(self, message: str, *, first: int, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.first = first
        self.is_too_large = is_too_large


class DataError(PermanentError):
    """An input does not have the promised shape, type or range."""


class UnknownTransactionError(DataError):
    """Feedback names a transaction that was never answered."""

    def __init__(self, transaction_id: str) -> None:
        super().__init__(
            f"no prediction has the transaction id {transaction_id!r}; "
            "send the transaction_id that POST /predict answered"
        )
        self.transaction_id = transaction_id


class TransientError(VigieError):
    """A service did not answer; the same call may succeed later."""

    exit_code = 3


class DiskFullError(TransientError):
    """There is no room, here or on the server's disk; what was there before is intact."""


class UndeliveredError(TransientError):
    """Messages may be missing from the stream from ``first`` on (its place in the call)."""

    def __init__(self, message: str, *, first: int) -> None:
        super().__init__(message)
        self.first = first


class ConflictError(VigieError):
    """Another process was faster, or holds the lock."""

    exit_code = 4


class NotEnoughDataError(VigieError):
    """There is nothing to do yet; not a failure."""

    exit_code = 0

    def __init__(
        self, message: str, *, found: int | None = None, needed: int | None = None
    ) -> None:
        super().__init__(message)
        self.found = found
        self.needed = needed
