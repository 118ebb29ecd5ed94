"""Data classes that use cases and roles exchange; all are frozen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from vigie.errors import DataError

MAX_LINE = 256 * 1024
"""Maximum length of a log line in bytes; a longer line is truncated."""


@dataclass(frozen=True, slots=True)
class ProjectPaths:
    """The root folder of the project, and its folders for data, artifacts and reports."""

    root: Path
    data: Path
    artifacts: Path
    reports: Path

    @property
    def models(self) -> Path:
        """The folder that contains the model files."""
        return self.root / "models"

    @property
    def local(self) -> Path:
        """The folder in which the local platform stores its files."""
        return self.root / "data" / "local"


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction that the model returned for a request, with input and resource usage."""

    transaction_id: str
    model: str
    model_version: int
    features: Mapping[str, Any]
    prediction: str  # the model's label, e.g. YES / NO
    probability: float  # of the positive label, 0 to 1
    message: str
    created_at: datetime  # UTC, aware
    latency_ms: float
    cpu_percent: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """A prediction with its offset in the API log; offsets are consecutive and start at 0."""

    offset: int
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Label:
    """The true outcome of a prediction; each correction increases ``seq`` by 1, from 1."""

    transaction_id: str
    actual: str
    seq: int
    at: datetime
    source: str


class LabelOutcome(StrEnum):
    """The outcome of storing a label: a new label, no change, or a correction."""

    RECORDED = "recorded"
    ALREADY_THERE = "already_there"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class LabelledPrediction:
    """A prediction and its latest label; without one, ``actual`` and ``labelled_at`` are None."""

    prediction: Prediction
    actual: str | None
    labelled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment of a model version; the newest deployment determines the champion."""

    model: str
    number: int  # 1, 2, 3 … per model; the highest number is the newest
    version: int
    previous_version: int | None
    deployed_at: datetime
    actor: str
    reason: str
    run_id: str | None = None

    def is_older_than(self, other: Deployment) -> bool:
        """Return whether this deployment has a lower number or an earlier time than ``other``.

        The time is compared because the numbers start at 1 again in a new database.
        """
        return self.number < other.number or self.deployed_at < other.deployed_at


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry of the ledger: a verdict with its reasons and evidence.

    A second decision with the same ``key`` is not recorded.
    """

    key: str  # e.g. f"{run_id}:{model}:{kind}"
    model: str
    kind: str  # trigger, merge, select, gate, promote, rollback, drift, performance, reconcile, …
    verdict: str  # yes, no, skipped, unknown
    reasons: tuple[str, ...]  # sentences
    # The compared values, and the thresholds with their sources.
    evidence: Mapping[str, Any] = field(default_factory=dict)
    actor: str = "vigie"
    run_id: str | None = None
    at: datetime | None = None  # set by the ledger
    id: int | None = None  # set by the ledger


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index of documents with a strict mapping: its name, and the type of each field.

    The types are Elasticsearch types: date, keyword, text, integer, long, float, boolean or
    flattened.
    """

    name: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A document of an index; of documents with the same id, only the first is stored."""

    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document that the index rejected permanently."""

    id: str
    kind: str  # Elasticsearch's error type, e.g. document_parsing_exception
    reason: str


@dataclass(frozen=True, slots=True)
class IndexOutcome:
    """The outcome of storing a batch; each document is created, already there or rejected."""

    created: int
    already_there: int
    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class LineCounts:
    """The number of lines per outcome; ``read`` is the sum of the other four fields.

    Examples
    --------
    >>> LineCounts(read=3, indexed=1, filtered=2) + LineCounts(read=1, already_there=1)
    LineCounts(read=4, indexed=1, already_there=1, filtered=2, dead_lettered=0)
    """

    read: int = 0
    indexed: int = 0
    already_there: int = 0
    filtered: int = 0
    dead_lettered: int = 0

    def __add__(self, other: Self) -> Self:
        """Return the sums of all fields, including the fields of a subclass."""
        names = [f.name for f in dataclasses.fields(self)]
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def checked(self, index: str) -> Self:
        """Return these counts, or raise DataError if they do not add up to ``read``.

        The error means that a line was lost or counted twice; its message contains ``index``.
        """
        total = self.indexed + self.already_there + self.filtered + self.dead_lettered
        if total != self.read:
            sums = f"{self.read} lines were read, but {total} were counted"
            raise DataError(f"{index}: {sums}: {self}")
        return self


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be written to a stream."""

    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A message read from a stream, with its topic, partition and offset."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Mapping[str, str]
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """A committed position: the *next* offset to read, and up to 3 KB of the consumer's state."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class LogBatch:
    """A batch of API log lines: ``lines[i]`` has offset ``offset + i``."""

    offset: int
    lines: tuple[str, ...]
    next_offset: int
    total: int | None = None  # number of lines in the whole log; None if unknown


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a metric that :mod:`vigie.catalogue` defines."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The result of ``vigie check`` for a role or for a comparison of settings."""

    role: str
    backend: str  # embedded PostgreSQL, Kafka, …
    ok: bool
    detail: str  # result of the probe, or its error
    latency_ms: float | None = None
    source: str = "default"  # where the setting comes from
    advice: str = ""  # how to resolve the error
    is_permanent: bool = False  # a setting is wrong, so retrying does not help


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """Base class of the results of use cases; subclasses add counts, paths and ids."""

    metrics: Sequence[Sample] = ()

    def as_xcom(self) -> dict[str, Any]:
        """Return the result as JSON types; the task ``push_metrics`` reads the key ``metrics``."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def _plain(value: Any) -> Any:
    """Convert a value to JSON types; values of unknown types become text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
