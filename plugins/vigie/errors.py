"""The errors of vigie, grouped by how the caller must react.

::

    VigieError
    ├── PermanentError        fix the input, code or settings · Airflow: no retry · exit code 2
    │   ├── SettingsError
    │   ├── RefusedMessageError
    │   └── DataError
    │       └── UnknownTransactionError
    ├── TransientError        a service did not answer · Airflow: retry · exit code 3
    │   ├── DiskFullError     free disk space first
    │   └── UndeliveredError
    ├── ConflictError         another process was first · Airflow: no retry · exit code 4
    └── NotEnoughDataError    nothing to do yet · Airflow: skip · exit code 0
"""

from __future__ import annotations


class VigieError(Exception):
    """Base class of vigie's own errors."""

    exit_code = 2


class PermanentError(VigieError):
    """A retry fails until the input, the code or the settings are corrected."""


class SettingsError(PermanentError):
    """A setting is missing or wrong."""


class RefusedMessageError(PermanentError):
    """The stream permanently refused a message.

    ``first`` is the index of the refused message among the messages of the call. It is unknown
    whether later messages were written.
    """

    def __init__(self, message: str, *, first: int, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.first = first
        self.is_too_large = is_too_large


class DataError(PermanentError):
    """An input does not have the expected structure, type or range."""


class UnknownTransactionError(DataError):
    """No stored prediction has the transaction id of the feedback."""

    def __init__(self, transaction_id: str) -> None:
        super().__init__(
            f"no prediction has the transaction id {transaction_id!r}; "
            "send the transaction_id from the response of POST /predict"
        )
        self.transaction_id = transaction_id


class TransientError(VigieError):
    """A service is unavailable; a retry may succeed."""

    exit_code = 3


class DiskFullError(TransientError):
    """A local disk or the disk of a server is full; existing data is intact."""


class UndeliveredError(TransientError):
    """An unconfirmed write; messages from list index ``first`` on may not be stored."""

    def __init__(self, message: str, *, first: int) -> None:
        super().__init__(message)
        self.first = first


class ConflictError(VigieError):
    """Another process changed the data first, or holds the required lock."""

    exit_code = 4


class NotEnoughDataError(VigieError):
    """There is nothing to do, or not enough data yet; this is not a failure."""

    exit_code = 0

    def __init__(
        self, message: str, *, found: int | None = None, needed: int | None = None
    ) -> None:
        super().__init__(message)
        self.found = found
        self.needed = needed
