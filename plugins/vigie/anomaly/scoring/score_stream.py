"""Score the lines of the stream and index them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vigie.anomaly.detectors.base import LSTM_AUTOENCODER
from vigie.anomaly.scoring.champion_detector import champion_detector
from vigie.anomaly.scoring.result import ScoreReport, score_report
from vigie.anomaly.scoring.score_run import ScoreRun
from vigie.anomaly.scoring.scored_documents import anomaly_index
from vigie.anomaly.scoring.skip_lost_lines import skip_lost_lines
from vigie.anomaly.scoring.threshold import FACTOR, DynamicThreshold
from vigie.catalogue import ES_BACKOFF
from vigie.dead_letters.letters import DEAD_LETTERS
from vigie.errors import DataError, NotEnoughDataError
from vigie.records import Sample

if TYPE_CHECKING:
    from vigie.roles import Services

MAX_LINES = 1_000_000


def score_stream(
    services: Services,
    *,
    topic: str,
    group: str,
    index: str,
    detector: str = LSTM_AUTOENCODER,
    factor: float = FACTOR,
    threshold: float | None = None,
    update: str = "all",
    max_lines: int = MAX_LINES,
    batch_size: int = 1000,
    partitions: Sequence[int] | None = None,
    dead_letter_topic: str | None = None,
    allow_gap: bool = False,
) -> ScoreReport:
    """Drain the partitions: each line becomes a document of ``index`` or a dead letter, once.

    An offset moves only after its lines are stored, and carries the threshold's state. After a
    crash at any point a rerun repeats at most one batch, from the state before it: the same
    documents, the same thresholds.

    Parameters
    ----------
    services
        ``stream``, ``index``, ``state``, ``deployments`` and ``bundles`` are used.
    topic, group, partitions
        What to read, as whom; None: every partition.
    index
        Where the documents go.
    detector
        Whose champion scores. Scores of another version start a new state: they are not comparable.
    factor, threshold, update
        See :class:`vigie.anomaly.scoring.threshold.DynamicThreshold`.
    max_lines, batch_size
        Lines at most, and lines a batch.
    dead_letter_topic
        Where other readers of the stream find dead letters too; None: only in the index.
    allow_gap
        Go on behind lines that retention dropped before they were read, and count them.

    Raises
    ------
    DataError
        Lines were lost, without ``allow_gap``.
    NotEnoughDataError
        No such topic, or no detector is deployed.
    ConflictError
        Another live member owns a partition.
    """
    if batch_size < 1 or max_lines < 1:
        raise DataError(f"batch and max_lines must be at least 1, not {batch_size}, {max_lines}")
    rule = DynamicThreshold(factor, threshold, update)
    if not services.stream.partitions(topic):
        raise NotEnoughDataError(f"there is no topic {topic!r}; create it: vigie stream topic")
    champion = champion_detector(services, detector)
    for spec in (anomaly_index(index), DEAD_LETTERS):
        services.index.ensure(spec)
    started = time.monotonic()
    lost = 0
    if allow_gap:
        lost = skip_lost_lines(services, topic=topic, group=group, partitions=partitions)
    with services.stream.consumer(group, topic, partitions) as consumer:
        run = ScoreRun(services, consumer, champion, rule, topic, index, dead_letter_topic)
        while run.counts.read < max_lines:
            records = consumer.poll(min(batch_size, max_lines - run.counts.read))
            if not records:
                break
            run.process(records)
    services.stream.trim(topic)  # what every group has committed: the log does not grow for ever
    worker = str(min(run.thresholds, default=0))
    return score_report(
        run.counts,
        run.thresholds,
        lag=services.stream.lag(group, topic),
        lost=lost,
        topic=topic,
        group=group,
        index=index,
        detector=detector,
        model_version=champion.version,
        seconds=time.monotonic() - started,
        more=[Sample(ES_BACKOFF, services.index.take_backoff_s(), {"worker": worker})],
    )
