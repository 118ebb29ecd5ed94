"""HTTP client of the prediction service."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import httpx

from vigie.errors import DataError, PermanentError, SettingsError, TransientError

if TYPE_CHECKING:
    from vigie.settings import Settings

TIMEOUT_S = 10.0
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class ServingClient:
    """Request predictions and send feedback over HTTP.

    ``url`` is the root of the service, e.g. ``http://127.0.0.1:8080``. If ``api_key`` is not None,
    it is sent in the header ``X-API-Key``.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url,
            headers={"X-API-Key": api_key} if api_key else {},
            timeout=TIMEOUT_S,
            transport=transport,
            # A proxy cannot reach this machine.
            trust_env=httpx.URL(self._url).host not in _THIS_MACHINE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def predict(self, model: str, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to ``POST /predict``."""
        return self._post("/predict", {"model": model, "features": features})

    def feedback(self, transaction_id: str, actual: str) -> dict[str, Any]:
        """Return the response to ``POST /feedback``."""
        return self._post("/feedback", {"transaction_id": transaction_id, "actual": actual})

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a POST request and raise an error of vigie for a failure status.

        Raises
        ------
        TransientError
            If the service does not respond, or responds with 5xx.
        DataError
            If the service rejects the input, or its response is not a JSON object.
        SettingsError
            If the service rejects the API key.
        PermanentError
            If the service responds with another status than 200.
        """
        try:
            response = self._http.post(path, json=body)
        except httpx.HTTPError as exc:
            why = str(exc) or type(exc).__name__
            raise TransientError(
                f"no response from {self._url}{path}: {why}; start the service with `vigie up`"
            ) from exc
        if response.status_code == 200:
            return self._object(response)
        detail = f"{self._url}{path} responded {response.status_code}: {_detail(response)}"
        if response.status_code >= 500:
            raise TransientError(detail)
        if response.status_code == 401:
            raise SettingsError(f"{detail}; check VIGIE_API_KEY")
        raise DataError(detail) if response.status_code == 422 else PermanentError(detail)

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        with suppress(ValueError):
            if isinstance(body := response.json(), dict):
                return body
        raise DataError(f"{self._url} is not the prediction service: it returned no JSON object")


def client_of(settings: Settings, url: str) -> ServingClient:
    """Return a client with the API key of the settings."""
    key = settings.serving.api_key
    return ServingClient(url, api_key=key.get_secret_value() if key else None)


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
