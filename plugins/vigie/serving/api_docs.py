"""``/docs``: Swagger UI from this machine, so that it opens without the internet."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

if TYPE_CHECKING:
    from fastapi import FastAPI

# Airflow's login manager carries a copy of Swagger UI; its Python is not imported.
_CARRIER = "flask_appbuilder"
_ASSETS = {
    "swagger-ui-bundle.js": "static/appbuilder/js/swagger-ui-bundle.js",
    "swagger-ui.css": "static/appbuilder/css/swagger/swagger-ui.css",
}
_PLAIN = """<!doctype html><html lang="en"><title>vigie serving</title>
<p>Swagger UI is not installed here; the routes are described in
<a href="/openapi.json">/openapi.json</a> and in docs/serving.md.</p></html>"""


def mount_docs(app: FastAPI) -> None:
    """Add ``/docs`` and the two files it needs."""
    files = _swagger_files()
    for name, path in files.items():
        app.add_api_route(f"/docs/{name}", _sender(path), include_in_schema=False)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        if not files:
            return HTMLResponse(_PLAIN)
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="vigie serving",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="data:,",
        )


def _swagger_files() -> dict[str, Path]:
    spec = find_spec(_CARRIER)
    roots = [Path(root) for root in (spec.submodule_search_locations or [])] if spec else []
    for root in roots:
        files = {name: root / path for name, path in _ASSETS.items()}
        if all(path.is_file() for path in files.values()):
            return files
    return {}


def _sender(path: Path):  # type: ignore[no-untyped-def]
    async def send() -> FileResponse:
        return FileResponse(path)

    return send
