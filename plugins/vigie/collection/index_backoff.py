"""How long a run waited for the log index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vigie.catalogue import ES_BACKOFF
from vigie.records import Sample
from vigie.roles import BusyIndex

if TYPE_CHECKING:
    from vigie.roles import Services


def index_backoff(services: Services, worker: int = 0) -> tuple[Sample, ...]:
    """Return the waits since the last report, 0 if there were none; nothing of the embedded index.

    Parameters
    ----------
    services
        Only ``index`` is used.
    worker
        Tells the tasks of one run apart.
    """
    index = services.index
    if not isinstance(index, BusyIndex):
        return ()
    return (Sample(ES_BACKOFF, index.take_backoff_s(), {"worker": str(worker)}),)
