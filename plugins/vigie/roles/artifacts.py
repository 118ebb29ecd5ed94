"""The bundle role: immutable, verified model versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vigie.records import Deployment


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model version: its files' bytes and the facts recorded at publication."""

    model: str
    version: int
    files: Mapping[str, bytes]
    info: Mapping[str, Any]  # metrics, candidate, data hash, MLflow run, run_id, created_at …
    sha256: str  # of the manifest: names the content of the whole bundle


class BundleStore(Protocol):
    """Directories ``ROOT/MODEL/vN``, published by rename, read only after their manifest checked
    out.
    """

    def publish(
        self, model: str, version: int, files: Mapping[str, bytes], info: Mapping[str, Any]
    ) -> Path:
        """Publish a version atomically: readers see nothing or all of it. The same content again
        is a no-op.

        Raises ConflictError when the version exists with other content.
        """

    def open(self, model: str, version: int) -> Bundle:
        """Read and verify a version. Raises DataError naming the file that is missing or
        altered.
        """

    def versions(self, model: str) -> list[int]:
        """Return published versions, ascending."""

    def write_champion(self, deployment: Deployment) -> None:
        """Write the copy of the champion's deployment that serving uses only while SQL is down."""

    def read_champion(self, model: str) -> Deployment | None: ...
