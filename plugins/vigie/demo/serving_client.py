"""The prediction service over HTTP, with one kept connection."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from vigie.errors import DataError, PermanentError, SettingsError, TransientError

TIMEOUT_S = 10.0
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class ServingClient:
    """What simulation asks of the service; satisfies ``vigie.demo.simulate_traffic.Service``.

    Parameters
    ----------
    url
        Root of the service, e.g. ``http://127.0.0.1:8080``.
    api_key
        Sent as ``X-API-Key`` when the service asks for one.
    transport
        How requests travel; tests pass their own.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"X-API-Key": api_key} if api_key else {}
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url,
            headers=headers,
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=httpx.URL(self._url).host not in _THIS_MACHINE,  # no proxy reaches it
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._http.close()

    def predict(self, model: str, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to ``POST /predict``."""
        return self._post("/predict", {"model": model, "features": features})

    def feedback(self, transaction_id: str, actual: str) -> dict[str, Any]:
        """Return the answer to ``POST /feedback``."""
        return self._post("/feedback", {"transaction_id": transaction_id, "actual": actual})

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post, and turn a status into an error of ours.

        Raises
        ------
        TransientError
            When nobody answers, or the service answers 5xx.
        DataError
            When it refuses the input, or answers what is not an object.
        SettingsError
            When it asks for another API key.
        """
        try:
            response = self._http.post(path, json=body)
        except httpx.HTTPError as exc:
            why = str(exc) or type(exc).__name__
            raise TransientError(
                f"no answer from {self._url}{path}: {why}; start it with `vigie up`"
            ) from exc
        if response.status_code == 200:
            return self._object(response)
        detail = f"{self._url}{path} answered {response.status_code}: {_detail(response)}"
        if response.status_code >= 500:
            raise TransientError(detail)
        if response.status_code == 401:
            raise SettingsError(f"{detail} (VIGIE_API_KEY)")
        raise DataError(detail) if response.status_code == 422 else PermanentError(detail)

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise DataError(f"{self._url} is not the prediction service: it answered no object")
        return answer


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
