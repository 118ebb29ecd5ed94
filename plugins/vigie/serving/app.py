"""The prediction service: a FastAPI app with a mounted Gradio page.

Run the service with ``uvicorn --factory vigie.serving.app:create_app`` or ``vigie serve``, in one
process with one worker.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool

from vigie import __version__
from vigie.errors import SettingsError
from vigie.models.catalog import model_states
from vigie.serving import http_errors
from vigie.serving.api_key import ApiKey
from vigie.serving.champion import Champions, Poller
from vigie.serving.middleware import RequestMiddleware
from vigie.serving.prediction_routes import prediction_router
from vigie.serving.service import Serving
from vigie.serving.status_routes import status_router
from vigie.serving.strict_json import BodyLimit
from vigie.serving.telemetry import ProcessUsage, Telemetry

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

PAGE = "/ui"
ICON = Path(__file__).with_name("static") / "icon.svg"
POLL_S = 1.0
_BACK_END = "sklearn.externals.array_api_compat.torch"


def create_app() -> FastAPI:
    """Return the FastAPI app, configured from the environment."""
    from vigie.settings import Settings
    from vigie.wiring import open_services

    settings = Settings.from_env()
    stack = ExitStack()
    key = settings.serving.api_key
    return create_app_with(
        stack.enter_context(open_services(settings)),
        default_model=settings.serving.model,
        api_key=key.get_secret_value() if key else None,
        closing=stack,
    )


def create_app_with(
    services: Services,
    *,
    default_model: str | None = None,
    api_key: str | None = None,
    page: bool = True,
    poll_s: float = POLL_S,
    closing: ExitStack | None = None,
) -> FastAPI:
    """Return the FastAPI app that uses the given services.

    Of the servers, the app uses only the database, so MLflow, Elasticsearch, Kafka and the
    Pushgateway may be down. ``default_model`` is the model of a request that names none; None: the
    first served model by name. ``/predict``, ``/feedback`` and the same actions of the page require
    ``api_key``, unless it is None. ``page`` mounts the Gradio page, whose import takes seconds. The
    deployments are read every ``poll_s`` seconds. The app closes ``closing`` when it shuts down.

    Raises
    ------
    SettingsError
        If ``default_model`` has no valid model file.
    """
    _load_servable()
    models = _models(services, default_model)
    telemetry, usage, guard = Telemetry(), ProcessUsage(), ApiKey(api_key)
    champions = Champions(services, models, on_failure=telemetry.load_failed)
    serving = Serving(
        services, champions, telemetry, default_model=default_model, usage=lambda: usage.last
    )
    poller = Poller(champions, poll_s, usage.sample)
    app = FastAPIOffline(
        title="vigie serving",
        version=__version__,
        redoc_url=None,
        static_url="/docs/static",
        lifespan=_lifespan(poller, closing or ExitStack()),
    )
    http_errors.install(app)
    app.include_router(prediction_router(serving, guard))
    app.include_router(status_router(serving, services.paths.local / "metrics"))
    if page:
        _mount_page(app, serving, guard)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestMiddleware, telemetry=telemetry, mounts=(PAGE,))
    app.state.serving, app.state.poller = serving, poller
    return app


def _load_servable() -> None:
    """Import :mod:`vigie.training.servable_files` while scikit-learn's torch back end is hidden.

    Importing skops lists every estimator and so imports all packages of scikit-learn. If torch is
    installed, scikit-learn imports torch, too, which takes 560 MB and 3 s, although no prediction
    uses torch. scikit-learn skips a back end that cannot be imported. Call this function before
    threads are started.
    """
    is_loaded = _BACK_END in sys.modules
    sys.modules.setdefault(_BACK_END, None)  # type: ignore[arg-type]
    try:
        importlib.import_module("vigie.training.servable_files")
    finally:
        if not is_loaded:
            del sys.modules[_BACK_END]


def _models(services: Services, default_model: str | None) -> Mapping[str, ModelFile]:
    """Return the models whose files are valid; an invalid file does not affect the others."""
    states = model_states(services.paths.models, services.paths.data)
    models = {state.name: state.model for state in states if state.model}
    if default_model and default_model not in models:
        known = ", ".join(models) or "none"
        raise SettingsError(
            f"VIGIE_SERVING_MODEL: no valid model file is named {default_model!r}; valid: {known}"
        )
    return models


def _lifespan(
    poller: Poller, closing: ExitStack
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with closing:
            await run_in_threadpool(poller.__enter__)
            try:
                yield
            finally:
                await run_in_threadpool(poller.__exit__)

    return lifespan


def _mount_page(app: FastAPI, serving: Serving, guard: ApiKey) -> None:
    from vigie.serving.page import mount_page

    mount_page(app, serving, guard, PAGE)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(f"{PAGE}/")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> FileResponse:
        return FileResponse(ICON, media_type="image/svg+xml")
