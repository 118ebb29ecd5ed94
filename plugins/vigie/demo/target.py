"""Where a demo acts: the addresses of a platform that is up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """A platform's addresses and Airflow login; ``logs`` is a folder of lines to score.

    ``password_from`` and ``stop_with`` are said at the end: where a person finds the password, and
    what stops the platform.
    """

    airflow_url: str
    airflow_user: str
    airflow_password: str = field(repr=False)
    serving_url: str
    logs: Path
    password_from: str
    stop_with: str
