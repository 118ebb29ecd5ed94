"""The API log source: the fake and the Gradio client return the same lines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import uvicorn

from vigie.adapters.api_log.gradio_source import GradioSource, checked_batch, checked_url
from vigie.api_log.line import parse, render
from vigie.errors import DataError, SettingsError, TransientError
from vigie.records import Prediction
from vigie.roles import ApiLogSource
from vigie.serving.app import create_app_with
from vigie.testing import FakeServices

N = 25


def prediction(services: FakeServices, place: int) -> Prediction:
    return Prediction(
        transaction_id=f"t{place}",
        model="breast_cancer",
        model_version=1,
        features={"mean_radius": place / 3, "text": 'é "\n\u2028'},
        prediction="benign",
        probability=place / N,
        message="benign - Result: {}",
        created_at=services.now() + timedelta(seconds=place),
        latency_ms=1.5,
        cpu_percent=None,
        memory_mb=200.5,
    )


@pytest.fixture
def logged(services: FakeServices) -> FakeServices:
    for place in range(N):
        services.predictions.add(prediction(services, place))
    return services


@contextmanager
def running(services: FakeServices, port: int = 0) -> Iterator[int]:
    """Run the service on a free port of this machine."""
    config = uvicorn.Config(
        lambda: create_app_with(services),
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="error",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def gradio(logged: FakeServices) -> Iterator[ApiLogSource]:
    with running(logged) as port:
        yield GradioSource(f"http://127.0.0.1:{port}/ui")


@pytest.fixture(params=["fake", "gradio"])
def source(request: pytest.FixtureRequest, logged: FakeServices) -> ApiLogSource:
    if request.param == "fake":
        return logged.api_logs
    found: ApiLogSource = request.getfixturevalue("gradio")
    return found


def test_consecutive_batches_have_no_gap_and_no_overlap(
    source: ApiLogSource, logged: FakeServices
) -> None:
    assert source.check()
    offset, lines = 0, []
    while page := source.read(offset, 10).lines:
        assert source.read(offset, 10).offset == offset
        lines += page
        offset = source.read(offset, 10).next_offset
    assert offset == N
    assert lines == [render(event) for event in logged.predictions.log]


def test_a_line_contains_the_whole_prediction(source: ApiLogSource, logged: FakeServices) -> None:
    (line,) = source.read(7, 1).lines
    assert parse(line).to_prediction() == logged.predictions.log[7]


def test_a_batch_after_the_end_is_empty(source: ApiLogSource) -> None:
    page = source.read(N + 5, 10)
    assert (page.lines, page.offset, page.next_offset) == ((), N + 5, N + 5)


def test_a_batch_contains_the_length_of_the_log(source: ApiLogSource) -> None:
    assert source.read(0, 10).total == N


def test_new_predictions_are_appended(source: ApiLogSource, logged: FakeServices) -> None:
    assert source.read(N, 10).lines == ()
    logged.predictions.add(replace(prediction(logged, 0), transaction_id="new"))
    assert len(source.read(N, 10).lines) == 1


def test_the_source_reconnects_after_a_restart_of_the_service(logged: FakeServices) -> None:
    with running(logged) as port:
        source = GradioSource(f"http://127.0.0.1:{port}/ui", timeout_s=10)
        assert len(source.read(0, 5).lines) == 5
    with pytest.raises(TransientError, match="vigie up"):
        source.read(0, 5)
    with running(logged, port):
        assert len(source.read(0, 5).lines) == 5


def test_an_unavailable_database_is_a_transient_error(
    logged: FakeServices, gradio: ApiLogSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> Any:
        raise TransientError("PostgreSQL did not answer")

    monkeypatch.setattr(logged.predictions, "page", down)
    with pytest.raises(TransientError, match="PostgreSQL did not answer"):
        gradio.read(0, 5)


def test_an_unavailable_service_is_a_transient_error_with_the_address() -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9/ui.*vigie up"):
        GradioSource("http://127.0.0.1:9/ui").check()


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Run a server that answers every GET request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_redirects_are_not_followed_with_the_token() -> None:
    seen: list[Any] = []

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        seen.append(dict(handler.headers))
        handler.send_response(200)
        handler.end_headers()

    with answering(elsewhere) as other:

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", f"{other}/config")
            handler.end_headers()

        with answering(redirect) as url, pytest.raises(TransientError):
            GradioSource(url, token="hf_secret").check()
    assert seen == []


def test_no_token_is_sent_unless_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens in the user's home folder and in the variable HF_TOKEN are not used."""
    seen: list[dict[str, str]] = []
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")

    def note(handler: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in handler.headers.items()})
        handler.send_response(404)
        handler.end_headers()

    with answering(note) as url, pytest.raises(TransientError):
        GradioSource(url).check()
    assert seen
    assert not any("hf_of_the_user" in str(headers) for headers in seen)


def test_a_server_that_does_not_respond_is_a_transient_error() -> None:
    release = threading.Event()
    with answering(lambda _: release.wait(5) and None) as url:
        with pytest.raises(TransientError, match="cannot read the log"):
            GradioSource(url, timeout_s=0.2).check()
        release.set()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://127.0.0.1/ui",
        "file:///etc/passwd",
        "127.0.0.1:8080",
        "http://",
        "http://user:password@127.0.0.1/ui",
        "http://169.254.169.254/latest",
        "http://93.184.216.34/ui",
        "http://[2606:2800:220:1::]/ui",
    ],
)
def test_an_address_to_which_no_token_may_be_sent_is_rejected(url: str) -> None:
    with pytest.raises(SettingsError, match="GRADIO_URL"):
        checked_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/ui/", "http://10.0.0.7", "https://x.org"])
def test_other_addresses_are_accepted(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"lines": "text"},
        {"lines": [1], "offset": 3, "next_offset": 4},
        {"lines": ["a"], "offset": 3, "next_offset": 5},
        {"lines": ["a"], "offset": 2, "next_offset": 4},
        {"lines": ["a"], "offset": 3},
        {"lines": ["a", "b", "c"], "offset": 3, "next_offset": 6},
        {"lines": ["a" * 21_000_000], "offset": 3, "next_offset": 4},
        {"lines": ["a"], "offset": 3, "next_offset": 4, "total": "4"},
        {"lines": ["a"], "offset": 3, "next_offset": 4, "total": True},
        {"lines": ["a"], "offset": 3, "next_offset": 4, "total": -1},
    ],
    ids=lambda answer: str(answer)[:40],
)
def test_a_malformed_response_is_a_data_error(answer: Any) -> None:
    with pytest.raises(DataError, match="logs_api"):
        checked_batch(answer, offset=3, limit=2)


def test_the_total_of_a_source_is_optional() -> None:
    page = checked_batch({"lines": ["a"], "next_offset": 4}, offset=3, limit=2)
    assert page.total is None
