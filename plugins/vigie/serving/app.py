"""The prediction service: FastAPI, and a Gradio page mounted in it.

``uvicorn --factory vigie.serving.app:create_app`` (or ``vigie serve``), one process, one worker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from vigie import __version__
from vigie.errors import SettingsError
from vigie.models.catalog import model_states
from vigie.serving import http_errors
from vigie.serving.api_docs import mount_docs
from vigie.serving.api_key import ApiKey
from vigie.serving.champion import Champions, Poller
from vigie.serving.lean import load_servable
from vigie.serving.middleware import Observed
from vigie.serving.prediction_routes import answering_router
from vigie.serving.service import Serving
from vigie.serving.status_routes import telling_router
from vigie.serving.strict_json import BodyLimit
from vigie.serving.telemetry import ProcessUsage, Telemetry

if TYPE_CHECKING:
    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

PAGE = "/ui"
ICON = Path(__file__).with_name("static") / "icon.svg"
POLL_S = 1.0


def create_app() -> FastAPI:
    """Return the service of this machine's settings; its connections close when it shuts down."""
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
    """Return the service over any services.

    Parameters
    ----------
    services
        All roles. Only records and bundles are used: MLflow, Elasticsearch, Kafka and a
        Pushgateway may all be down.
    default_model
        The model of a request that names none; None: the first one, by name, that is served.
    api_key
        Asked for by ``/predict``, ``/feedback`` and the page's buttons; None: by none.
    page
        Whether to mount the Gradio page (which takes seconds to import).
    poll_s
        Seconds between two looks at the deployments.
    closing
        Closed when the service shuts down.

    Raises
    ------
    SettingsError
        If ``default_model`` has no model file.
    """
    load_servable()
    models = _models(services, default_model)
    telemetry, usage, guard = Telemetry(), ProcessUsage(), ApiKey(api_key)
    champions = Champions(services, models, on_failure=telemetry.load_failed)
    serving = Serving(
        services, champions, telemetry, default_model=default_model, usage=lambda: usage.last
    )
    poller = Poller(champions, poll_s, usage.sample)
    app = FastAPI(
        title="vigie serving",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(poller, closing or ExitStack()),
    )
    http_errors.install(app)
    app.include_router(answering_router(serving, guard))
    app.include_router(telling_router(serving, services.paths.local / "metrics"))
    mount_docs(app)
    if page:
        _mount_page(app, serving, guard)
    app.add_middleware(BodyLimit)
    app.add_middleware(Observed, telemetry=telemetry, mounts=(PAGE,))
    app.state.serving, app.state.poller = serving, poller
    return app


def _models(services: Services, default_model: str | None) -> Mapping[str, ModelFile]:
    """Return every model whose file is valid; a wrong one costs only itself."""
    states = model_states(services.paths.models, services.paths.data)
    models = {state.name: state.model for state in states if state.model}
    if default_model and default_model not in models:
        known = ", ".join(models) or "none"
        raise SettingsError(f"VIGIE_SERVING_MODEL: no model {default_model!r}; there are: {known}")
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
