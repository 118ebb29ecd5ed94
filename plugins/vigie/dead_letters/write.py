"""Write dead letters, whole or, where the index does not take the whole, cut."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vigie.dead_letters.letters import DEAD_LETTERS, SHORTER, cut
from vigie.errors import DataError
from vigie.records import Document, Rejection

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


def keep_letters(services: Services, letters: Sequence[Document]) -> None:
    """Make every letter durable.

    A letter is larger than the line that it keeps, so of a line that the index refused for its size
    it refuses the letter too: then the start of the line is kept, with the length and digest of the
    whole, which its source still has.

    Raises
    ------
    DataError
        When a letter is refused that cannot be cut, or cut as it is: whoever reads must not go on.
    """
    if not letters:
        return
    refused = services.index.create(DEAD_LETTERS.name, letters).rejected
    for size in SHORTER if refused else ():
        refused = _again(services, letters, refused, size)
    if refused:
        raise DataError(
            f"{DEAD_LETTERS.name} refused {len(refused)} documents, the first because: "
            f"{refused[0].reason}; nothing is lost, the next run begins with the same lines"
        )
    first = letters[0].body
    log.warning(
        "%d lines went to %s, the first because: %s: %.200s",
        len(letters),
        DEAD_LETTERS.name,
        first["error_type"],
        first["reason"],
    )


def _again(
    services: Services, letters: Sequence[Document], refused: Sequence[Rejection], size: int
) -> tuple[Rejection, ...]:
    """Write the refused letters cut to ``size`` bytes; return the refusals that are left."""
    ids = {rejection.id for rejection in refused}
    shorter = [cut(letter, size) for letter in letters if letter.id in ids]
    return services.index.create(DEAD_LETTERS.name, shorter).rejected if shorter else ()
