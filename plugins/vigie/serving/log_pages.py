"""The API log as pages of lines: what ``/logs_api`` answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vigie.api_log.line import render

if TYPE_CHECKING:
    from vigie.roles import PredictionStore

MAX_LINES = 1000


def log_page(predictions: PredictionStore, limit: int, offset: int) -> dict[str, Any]:
    """Return up to ``limit`` lines from ``offset`` on, rendered from the stored events.

    ``lines[i]`` has offset ``offset + i``; ask next from ``next_offset``. ``limit`` is cut to 1000.
    """
    start = max(int(offset), 0)
    events = predictions.page(start, min(max(int(limit), 1), MAX_LINES))
    return {
        "lines": [render(event.prediction) for event in events],
        "offset": start,
        "next_offset": events[-1].offset + 1 if events else start,
        "total": predictions.count(),
    }
