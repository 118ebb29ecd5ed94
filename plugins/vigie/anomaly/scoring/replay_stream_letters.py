"""Try lines of the stream again that the index refused, after a fix."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.base import LSTM_AUTOENCODER
from vigie.anomaly.scoring.cache import GenerationCache
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.score_records import RecordScorer
from vigie.anomaly.scoring.scored_documents import anomaly_index
from vigie.anomaly.scoring.scorer import CachedScorer
from vigie.anomaly.scoring.threshold import DynamicThreshold
from vigie.collection.ingest_logs import BATCH_SIZE
from vigie.dead_letters.letters import DEAD_LETTERS, original_bytes
from vigie.errors import NotEnoughDataError
from vigie.records import Document, StreamRecord

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


def replay_stream_letters(services: Services, letters: Sequence[Document]) -> int:
    """Score and index the lines of these letters; those that pass leave the list. Return how many.

    A letter keeps the line, not the document that was refused (which may have been our mistake), so
    the champion of today scores it, under the id that it had: trying again, or a crash, makes no
    second document. Nothing is learned from it, and it is not judged (``warming_up``): its
    partition's threshold has gone on since.

    Without a deployed detector nothing is tried, with a warning.
    """
    groups: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for letter in letters:
        detector = letter.body.get("extra", {}).get("detector", LSTM_AUTOENCODER)
        groups[detector, letter.body["target_index"]].append(letter)
    passed = 0
    for (detector, index), own in groups.items():
        try:
            champion = champion_detector(services, detector)
        except NotEnoughDataError as exc:
            log.warning("%d lines of the stream were not tried: %s", len(own), exc)
            continue
        cached = CachedScorer(champion.detector, GenerationCache())
        scorer = RecordScorer(cached, champion.version, services.now)
        services.index.ensure(anomaly_index(index))
        for start in range(0, len(own), BATCH_SIZE):
            passed += _replay(services, scorer, index, own[start : start + BATCH_SIZE])
    return passed


def record_of(letter: Document) -> StreamRecord:
    """Return the message that a letter keeps."""
    body, extra = letter.body, letter.body.get("extra", {})
    at = extra.get("timestamp", body["@timestamp"])  # older letters do not have it
    return StreamRecord(
        topic=extra.get("topic", body["source"]),
        partition=body.get("source_partition", 0),
        offset=body["source_offset"],
        value=original_bytes(body),
        headers={**extra.get("headers", {}), "source": body["source"]},
        timestamp=datetime.fromisoformat(at),
    )


def _replay(
    services: Services, scorer: RecordScorer, index: str, letters: Sequence[Document]
) -> int:
    documents = [
        Document(letter.id, scored.body)
        for letter in letters
        for scored in _scored(scorer, record_of(letter))
    ]
    refused = {rejection.id for rejection in services.index.create(index, documents).rejected}
    done = [document.id for document in documents if document.id not in refused]
    return services.index.delete(DEAD_LETTERS.name, done) if done else 0


def _scored(scorer: RecordScorer, record: StreamRecord) -> list[Document]:
    """Return the line's document, or nothing if it is no line; alone: it learns from no other."""
    return scorer.score([record], {record.partition: DynamicThreshold()}).documents
