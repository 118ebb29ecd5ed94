"""What the routes and the page share: choose a model, answer, take feedback."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vigie.errors import PermanentError, TransientError
from vigie.serving.champion import Champions, Served, Slot
from vigie.serving.predict import PredictReport, Usage, predict
from vigie.serving.record_feedback import FeedbackReport, record_feedback

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services
    from vigie.serving.telemetry import Telemetry

STALE_S = 15.0  # without a look at the deployments for so long, the poller is stuck


class UnknownModelError(PermanentError):
    """A request names a model that has no file."""


class NotServedError(TransientError):
    """No version of the model answers yet."""


class Serving:
    """The prediction service without HTTP.

    Parameters
    ----------
    services
        All roles; ``tracker``, ``index`` and ``stream`` are never touched.
    champions
        Which versions answer.
    telemetry
        Counts predictions and feedback.
    default_model
        The model of a request that names none; None: the first one, by name, that is served.
    usage
        Returns what the process uses.
    """

    def __init__(
        self,
        services: Services,
        champions: Champions,
        telemetry: Telemetry,
        *,
        default_model: str | None = None,
        usage: Callable[[], Usage] = Usage,
    ) -> None:
        self.services = services
        self.champions = champions
        self.telemetry = telemetry
        self._default_model = default_model
        self._usage = usage

    @property
    def models(self) -> dict[str, ModelFile]:
        """Return each model as it answers, or as its file says while it does not."""
        slots = {slot.model.name: slot for slot in self.champions}
        return {name: s.served.model if s.served else s.model for name, s in slots.items()}

    @property
    def served(self) -> list[Served]:
        """Return what answers now, by model name."""
        return [slot.served for slot in self.champions if slot.served]

    def slot(self, name: str | None = None) -> Slot:
        """Return the slot of a model, or of the default one.

        Raises
        ------
        UnknownModelError
            Listing the models there are.
        NotServedError
            When no model is named and none is served.
        """
        name = name or self._default_model or next((s.model.name for s in self.served), None)
        if name is None:
            raise NotServedError(self._nothing())
        slot = self.champions.slot(name)
        if slot is None:
            known = ", ".join(self.models) or "none"
            raise UnknownModelError(f"no model is called {name[:80]!r}; there are: {known}")
        return slot

    def champion(self, name: str | None = None) -> Served:
        """Return the version that answers. Raises NotServedError and what :meth:`slot` raises."""
        slot = self.slot(name)
        if slot.served is None:
            why = f": {slot.failure.error}" if slot.failure else ""
            hint = f"train one with: vigie retrain --model {slot.model.name}"
            raise NotServedError(f"no version of {slot.model.name} is served yet{why}; {hint}")
        return slot.served

    def predict(self, model: str | None, features: Mapping[str, Any]) -> PredictReport:
        """Answer with one version, stored before it is returned."""
        served = self.champion(model)
        report = predict(
            self.services,
            model=served.model,
            version=served.version,
            servable=served.servable,
            features=features,
            usage=self._usage(),
        )
        self.telemetry.predictions.labels(served.model.name, report.prediction.prediction).inc()
        return report

    def feedback(self, transaction_id: object, actual: object, source: str) -> FeedbackReport:
        """Record what really happened."""
        report = record_feedback(
            self.services,
            models=self.models,
            transaction_id=transaction_id,
            actual=actual,
            source=source,
        )
        self.telemetry.feedback.labels(report.model, report.outcome.value).inc()
        return report

    def problems(self) -> list[str]:
        """Say why requests cannot be answered now; empty: they can."""
        problems = []
        looked = self.champions.looked_at
        if looked is None or time.monotonic() - looked > STALE_S:
            problems.append("the deployments were not looked at lately")
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
        return f"no model is served yet{why}; train one with: vigie retrain"
