"""The champions that answer: loaded and verified in the background, swapped by one assignment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vigie.errors import TransientError, VigieError
from vigie.serving.contract import contract

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.records import Deployment
    from vigie.roles import Services
    from vigie.training.servable import ServableModel

log = logging.getLogger(__name__)
RETRY_S = 30.0  # a bundle that failed may have been on its way to a shared volume: look again


@dataclass(frozen=True, slots=True)
class Served:
    """One version, whole: every answer uses exactly one of these."""

    model: ModelFile  # with the features and labels of the bundle's own schema
    number: int  # of the deployment
    version: int
    servable: ServableModel
    info: Mapping[str, Any]
    sha256: str
    deployed_at: datetime
    loaded_at: datetime


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A version that should answer and does not."""

    version: int
    error: str
    at: datetime


class Slot:
    """One model's champion; ``served`` is read by requests and replaced by the poller alone."""

    def __init__(self, model: ModelFile, services: Services) -> None:
        self.model = model
        self.served: Served | None = None
        self.failure: LoadFailure | None = None
        self._services = services
        self._failed: tuple[int, float] | None = None  # deployment number, when to look again

    def follow(self, deployment: Deployment | None, *, certain: bool) -> bool:
        """Serve this deployment; return False if its bundle did not check out.

        Parameters
        ----------
        deployment
            The champion; None: there is none yet.
        certain
            False while SQL is down: a copy older than what is served is then ignored.
        """
        served = self.served
        if deployment is None or (served and served.number == deployment.number):
            self._settled()
            return True
        if served and not certain and deployment.number < served.number:
            return True
        failed, again = self._failed or (0, 0.0)
        if failed == deployment.number and time.monotonic() < again:
            return True
        return self._load(deployment)

    def _settled(self) -> None:
        self.failure = self._failed = None

    def _load(self, deployment: Deployment) -> bool:
        try:
            self.served = self._verified(deployment)
        except (VigieError, OSError) as exc:
            log.error("%s v%s not loaded: %s", self.model.name, deployment.version, exc)
            self.failure = LoadFailure(deployment.version, str(exc), self._services.now())
            self._failed = deployment.number, time.monotonic() + RETRY_S
            return False
        log.info("%s v%s answers", self.model.name, deployment.version)
        self._settled()
        return True

    def _verified(self, deployment: Deployment) -> Served:
        """Open the bundle: manifest, then golden rows; nothing of it is served before both hold."""
        from vigie.training.servable import unpack

        bundle = self._services.bundles.open(self.model.name, deployment.version)
        servable = unpack(bundle.files)
        return Served(
            model=contract(self.model, servable.schema),
            number=deployment.number,
            version=deployment.version,
            servable=servable,
            info=bundle.info,
            sha256=bundle.sha256,
            deployed_at=deployment.deployed_at,
            loaded_at=self._services.now(),
        )


class Champions:
    """All slots, and what the last look at the database said.

    Parameters
    ----------
    services
        ``deployments``, ``bundles`` and the clock are used.
    models
        The model files that may be served.
    on_failure
        Called with the model's name whenever a version did not check out.
    """

    def __init__(
        self,
        services: Services,
        models: Mapping[str, ModelFile],
        *,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._services = services
        self._slots = {name: Slot(model, services) for name, model in sorted(models.items())}
        self._on_failure = on_failure
        self.database_error: str | None = "not looked yet"
        self.looked_at: float | None = None  # monotonic

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def slot(self, name: str) -> Slot | None:
        """Return a model's slot; None: no model file has this name."""
        return self._slots.get(name)

    def refresh(self) -> None:
        """Follow the deployments once, each model by itself."""
        error: str | None = None
        for name, slot in self._slots.items():
            deployment, problem = self._champion(name)
            error = error or problem
            if not slot.follow(deployment, certain=problem is None):
                self._on_failure(name)
        self.database_error = error
        self.looked_at = time.monotonic()

    def _champion(self, name: str) -> tuple[Deployment | None, str | None]:
        """Return the champion and, when SQL is down and its copy on disk was read, why."""
        try:
            return self._services.deployments.champion(name), None
        except TransientError as exc:
            try:
                return self._services.bundles.read_champion(name), str(exc)
            except (VigieError, OSError) as copy_error:
                log.warning("champion.json of %s is not readable: %s", name, copy_error)
                return None, str(exc)


class Poller:
    """A daemon thread that refreshes the champions until it is stopped."""

    def __init__(self, champions: Champions, every_s: float, *also: Callable[[], None]) -> None:
        self._steps = (champions.refresh, *also)
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champions", daemon=True)

    def __enter__(self) -> Poller:
        self.step()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def step(self) -> None:
        """Do each step once; a failure of one is logged and does not end the thread."""
        for step in self._steps:
            try:
                step()
            except Exception:  # the outermost loop of a daemon
                log.exception("background step %s failed", step)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.step()
