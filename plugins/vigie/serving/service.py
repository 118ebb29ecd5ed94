"""The prediction service that the routes and the page share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vigie.errors import PermanentError, TransientError
from vigie.serving.champion import Champions, Served, Slot
from vigie.serving.predict import PredictResult, Usage, predict
from vigie.serving.record_feedback import FeedbackResult, record_feedback

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services
    from vigie.serving.telemetry import Telemetry

STALE_S = 15.0  # The service is not ready if the deployments were not read for this time.


class UnknownModelError(PermanentError):
    """A request names a model that has no valid model file."""


class NotServedError(TransientError):
    """No version of the model is served yet."""


@dataclass(frozen=True, eq=False)
class Serving:
    """The prediction service without HTTP.

    Parameters
    ----------
    services
        All roles; ``tracker``, ``index`` and ``stream`` are not used.
    default_model
        The model of a request that names none; None: the first served model by name.
    usage
        Function that returns the CPU and memory use of the process.
    """

    services: Services
    champions: Champions
    telemetry: Telemetry
    default_model: str | None = None
    usage: Callable[[], Usage] = Usage

    @property
    def models(self) -> dict[str, ModelFile]:
        """Return each model, as described by the served version or, without one, by its file."""
        return {slot.model.name: slot.described for slot in self.champions}

    @property
    def served(self) -> list[Served]:
        """Return the served versions in the order of their models' names."""
        return [slot.served for slot in self.champions if slot.served]

    def slot(self, name: str | None = None) -> Slot:
        """Return the slot of a model, or of the default model.

        Raises
        ------
        UnknownModelError
            If the model has no file; the message lists all models.
        NotServedError
            If no model is named and none is served.
        """
        name = name or self.default_model or next((s.model.name for s in self.served), None)
        if name is None:
            raise NotServedError(self._nothing())
        slot = self.champions.slot(name)
        if slot is None:
            known = ", ".join(self.models) or "none"
            raise UnknownModelError(f"no model is named {name[:80]!r}; available: {known}")
        return slot

    def champion(self, name: str | None = None) -> Served:
        """Return the served version of a model, or of the default model.

        Raises
        ------
        UnknownModelError
            If the model has no file.
        NotServedError
            If no version of the model is served.
        """
        slot = self.slot(name)
        if slot.served is None:
            why = f": {slot.failure.error}" if slot.failure else ""
            hint = f"train one with: vigie retrain --model {slot.model.name}"
            raise NotServedError(f"no version of {slot.model.name} is served yet{why}; {hint}")
        return slot.served

    def predict(self, model: str | None, features: Mapping[str, Any]) -> PredictResult:
        """Make a prediction with the served version, store it, and return it."""
        served = self.champion(model)
        result = predict(
            self.services.predictions,
            now=self.services.now,
            model=served.model,
            version=served.version,
            servable=served.servable,
            features=features,
            usage=self.usage(),
        )
        self.telemetry.predictions.labels(served.model.name, result.prediction.prediction).inc()
        return result

    def feedback(self, transaction_id: object, actual: object, source: str) -> FeedbackResult:
        """Record the label of a prediction and count it in the metrics."""
        result = record_feedback(
            self.services.predictions,
            self.services.labels,
            models=self.models,
            transaction_id=transaction_id,
            actual=actual,
            source=source,
        )
        self.telemetry.feedback.labels(result.model, result.outcome.value).inc()
        return result

    def problems(self) -> list[str]:
        """Return the reasons why predictions are not possible now, or an empty list."""
        problems = []
        looked = self.champions.looked_at
        if looked is None or time.monotonic() - looked > STALE_S:
            problems.append("the deployments have not been read recently")
        if self.champions.database_error:
            problems.append(f"database: {self.champions.database_error}")
        if not self.served:
            problems.append(self._nothing())
        return problems

    def _nothing(self) -> str:
        failures = [
            f"{slot.model.name} v{slot.failure.version}: {slot.failure.error}"
            for slot in self.champions
            if slot.failure
        ]
        why = f" ({'; '.join(failures)})" if failures else ""
        return f"no model is served yet{why}; train one with: vigie retrain --model MODEL"
