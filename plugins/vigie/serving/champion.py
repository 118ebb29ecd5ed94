"""The deployed model versions, which a background thread loads and verifies."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vigie.errors import DataError, TransientError, VigieError
from vigie.models.model_file import Feature, ModelFile

if TYPE_CHECKING:
    from vigie.records import Deployment
    from vigie.roles import BundleStore, Services
    from vigie.training.servable import ServableModel

log = logging.getLogger(__name__)
# Loading is retried because a bundle may not have been copied to a shared volume completely.
RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model version; each prediction uses exactly one."""

    model: ModelFile  # with the features and labels of the bundle's schema
    number: int  # of the deployment
    version: int
    servable: ServableModel
    info: Mapping[str, Any]
    sha256: str
    deployed_at: datetime
    loaded_at: datetime


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A deployed version that could not be loaded."""

    version: int
    error: str
    at: datetime


class Slot:
    """The champion of one model. Requests read ``served``; only the poller assigns it."""

    def __init__(self, model: ModelFile, bundles: BundleStore, now: Callable[[], datetime]) -> None:
        self.model = model
        self.served: Served | None = None
        self.failure: LoadFailure | None = None
        self._bundles = bundles
        self._now = now
        self._failed: tuple[int, float] | None = None  # deployment number, time of the retry

    @property
    def described(self) -> ModelFile:
        """Return the model as described by the served version or, without one, by its file."""
        return self.served.model if self.served else self.model

    def follow(self, deployment: Deployment | None, *, certain: bool) -> bool:
        """Serve a deployment, if there is one; return False if an attempt to load it failed.

        ``certain`` is False if the deployment comes from ``champion.json``, because the database is
        down. A deployment older than the served one is then ignored.
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
            log.error("cannot load %s v%s: %s", self.model.name, deployment.version, exc)
            self.failure = LoadFailure(deployment.version, str(exc), self._now())
            self._failed = deployment.number, time.monotonic() + RETRY_S
            return False
        log.info("serving %s v%s", self.model.name, deployment.version)
        self._settled()
        return True

    def _verified(self, deployment: Deployment) -> Served:
        """Load the bundle of a deployment; verify the manifest and the golden rows."""
        from vigie.training.servable_files import unpack

        bundle = self._bundles.open(self.model.name, deployment.version)
        servable = unpack(bundle.files)
        return Served(
            model=_contract(self.model, servable.schema),
            number=deployment.number,
            version=deployment.version,
            servable=servable,
            info=bundle.info,
            sha256=bundle.sha256,
            deployed_at=deployment.deployed_at,
            loaded_at=self._now(),
        )


def _contract(model: ModelFile, schema: Mapping[str, Any]) -> ModelFile:
    """Return the model file with the features and labels of the bundle's ``schema.json``.

    If features or labels of the model file were edited, only new titles of features apply to a
    deployed version. The other changes of them apply to versions that are trained later.

    Raises
    ------
    DataError
        If the schema is invalid or belongs to another model.
    """
    if schema.get("model") != model.name:
        raise DataError(f"schema.json: belongs to {schema.get('model')!r}, not {model.name}")
    titles = {feature.name: feature.title for feature in model.features}
    try:
        features = tuple(
            Feature(
                name=known["name"],
                type=known["type"],
                min=known["min"],
                max=known["max"],
                categories=tuple(known["categories"]),
                required=known["required"],
                title=titles.get(known["name"], ""),
            )
            for known in schema["features"]
        )
        return dataclasses.replace(
            model,
            features=features,
            positive_label=schema["positive_label"],
            negative_label=schema["negative_label"],
        )
    except (KeyError, TypeError) as exc:
        raise DataError(f"schema.json: not a schema: {exc!r}") from exc


class Champions:
    """The champions of all models, as of the last read of the deployments.

    ``on_failure`` is called with the model's name when a version cannot be loaded.
    """

    def __init__(
        self,
        services: Services,
        models: Mapping[str, ModelFile],
        *,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._services = services
        self._slots = {
            name: Slot(model, services.bundles, services.now)
            for name, model in sorted(models.items())
        }
        self._on_failure = on_failure
        self.database_error: str | None = "the deployments have not been read yet"
        self.looked_at: float | None = None  # monotonic

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def slot(self, name: str) -> Slot | None:
        """Return a model's slot, or None if no model file has this name."""
        return self._slots.get(name)

    def refresh(self) -> None:
        """Read the deployment of each model and load new versions."""
        error: str | None = None
        for name, slot in self._slots.items():
            deployment, problem = self._champion(name)
            error = error or problem
            if not slot.follow(deployment, certain=problem is None):
                self._on_failure(name)
        self.database_error = error
        self.looked_at = time.monotonic()

    def _champion(self, name: str) -> tuple[Deployment | None, str | None]:
        """Return the champion; if the database is down, return the copy on disk and the error."""
        try:
            return self._services.deployments.champion(name), None
        except TransientError as exc:
            try:
                return self._services.bundles.read_champion(name), str(exc)
            except (VigieError, OSError) as copy_error:
                log.warning("cannot read champion.json of %s: %s", name, copy_error)
                return None, str(exc)


class Poller:
    """A daemon thread that refreshes the champions and calls ``also`` every ``every_s`` seconds.

    ``with`` refreshes once before it starts the thread.
    """

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
        """Run each step once; a failure is logged and does not end the thread."""
        for step in self._steps:
            try:
                step()
            except Exception:  # the outermost loop of a daemon
                log.exception("background step %s failed", step)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.step()
