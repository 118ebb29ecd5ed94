"""Go on behind lines that are gone, because somebody said so."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vigie.records import Position

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


def skip_lost_lines(
    services: Services, *, topic: str, group: str, partitions: Sequence[int] | None = None
) -> int:
    """Commit the oldest line that is kept where a group stands before it, or behind the end of a
    topic that was made again; return how many lines were lost.

    A partition's state stays, so its threshold goes on; nothing else moves. How many lines a topic
    had that is no more, nobody can tell: these count as none.

    Raises
    ------
    ConflictError
        A live member of the group owns one of the partitions.
    """
    lost = 0
    with services.stream.consumer(group, topic, partitions) as consumer:
        standing = consumer.committed()
        first, ends = services.stream.first_offsets(topic), services.stream.end_offsets(topic)
        moved = _moved(standing, first, ends)
        for partition, position in moved.items():
            gone = max(0, position.offset - standing[partition].offset)
            lost += gone
            log.warning(
                "%d lines of %s/%d are lost: group %s goes on at %d, not at %d",
                gone,
                topic,
                partition,
                group,
                position.offset,
                standing[partition].offset,
            )
        if moved:
            consumer.commit(moved)
    return lost


def _moved(
    standing: Mapping[int, Position], first: Mapping[int, int], ends: Mapping[int, int]
) -> dict[int, Position]:
    """Return where to go on, of the partitions whose next line is not there."""
    return {
        partition: Position(first[partition], at.metadata)
        for partition, at in standing.items()
        if not first[partition] <= at.offset <= ends[partition]
    }
