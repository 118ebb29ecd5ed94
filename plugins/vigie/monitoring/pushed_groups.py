"""What earlier runs of a DAG pushed: a Pushgateway keeps a group until somebody deletes it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie import state_keys
from vigie.anomaly.detectors.base import DETECTORS
from vigie.errors import VigieError
from vigie.models.names import model_names

if TYPE_CHECKING:
    from vigie.roles import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PushedGroups:
    """The models that have a group, and how many pushes failed so far (None: not known)."""

    dag_id: str
    models: frozenset[str]
    failures: int | None

    @classmethod
    def recall(cls, services: Services, dag_id: str) -> PushedGroups:
        """Read what :meth:`remember` kept; a database that does not answer is no reason to fail."""
        try:
            kept = services.state.get(state_keys.pushed_groups(dag_id)) or {}
        except VigieError as exc:
            log.warning("what was pushed before is not known: %s", exc)
            return cls(dag_id, frozenset(), None)
        return cls(dag_id, frozenset(kept.get("models", ())), int(kept.get("failures", 0)))

    def retired(self, services: Services, current: Collection[str]) -> list[str]:
        """Return the models that have a group and no file; none while the folder is empty.

        Detectors have no file and never retire. An empty folder is a volume that is not
        mounted, rather than the end of every model.
        """
        present = model_names(services.paths.models)
        return sorted(self.models - {*present, *current, *DETECTORS}) if present else []

    def remember(
        self,
        services: Services,
        *,
        pushed: Collection[str],
        retired: Collection[str],
        failures: int,
    ) -> None:
        """Keep what there is now; skipped when the past is not known."""
        if self.failures is None:
            return
        models = sorted((self.models | {*pushed}) - {*retired})
        value = {"models": models, "failures": self.failures + failures}
        try:
            services.state.put(state_keys.pushed_groups(self.dag_id), value)
        except VigieError as exc:
            log.warning("what was pushed is not remembered: %s", exc)
