"""Write lines of one file to the stream, or say which is the first that is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.anomaly.ingest.files import LogLine
from vigie.anomaly.ingest.tail import TailPosition
from vigie.errors import (
    ConflictError,
    DataError,
    PermanentError,
    RefusedMessageError,
    SettingsError,
    TransientError,
    UndeliveredError,
    VigieError,
)
from vigie.records import Message

if TYPE_CHECKING:
    from vigie.roles import Services

_KINDS = (TransientError, ConflictError, SettingsError, DataError, PermanentError)


def produce_lines(
    services: Services,
    where: tuple[str, int],
    path: Path,
    source: str,
    position: TailPosition,
    lines: Sequence[LogLine],
) -> None:
    """Write ``lines`` to ``where``, a topic and its partition, each with its id.

    Raises
    ------
    VigieError
        As the stream raised it, with file and byte of the first line that is missing. Lines behind
        it may be there; written again they have the same ids.
    """
    topic, partition = where
    try:
        messages = [_message(position, source, line) for line in lines]
        services.stream.produce(topic, messages, partition)
    except VigieError as exc:
        place = exc.first if isinstance(exc, UndeliveredError | RefusedMessageError) else 0
        raise _as(exc)(
            f"{path}: the line at byte {lines[place].offset} was not written; the next run begins "
            f"with its batch ({exc})"
        ) from exc


def _as(error: VigieError) -> type[VigieError]:
    """Return what the caller must do, without the kinds that carry more than a text."""
    return next((kind for kind in _KINDS if isinstance(error, kind)), VigieError)


def _message(position: TailPosition, source: str, line: LogLine) -> Message:
    headers = {"source": source, "line_id": position.line_id(line.offset, line.raw)}
    if line.sha256 is not None:
        headers |= {"sha256": line.sha256, "original_length": str(line.length)}
    return Message(line.raw, headers)
