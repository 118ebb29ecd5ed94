"""``vigie serve`` and ``vigie simulate``: the prediction service, and traffic for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from vigie.cli.support import console, errors
from vigie.errors import SettingsError

if TYPE_CHECKING:
    from vigie.demo.simulate_traffic import SimulationResult

GRACE_S = 3  # an open page holds a stream that never ends by itself
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def register(app: typer.Typer) -> None:
    """Add the commands to the top level of ``vigie``."""
    app.command()(serve)
    app.command()(simulate)


def serve(
    host: Annotated[str | None, typer.Option(help="Default: VIGIE_SERVING_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: VIGIE_SERVING_PORT.")] = None,
) -> None:
    """Serve every model that has a champion, in the foreground; `vigie up` does it for you."""
    import uvicorn

    from vigie.serving.app import create_app
    from vigie.settings import Settings

    overrides = {
        "VIGIE_SERVING_HOST": host,
        "VIGIE_SERVING_PORT": None if port is None else str(port),
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    settings = Settings.from_env(given).serving
    if settings.host not in LOOPBACK and settings.api_key is None:
        errors.print(
            f"[yellow]Anybody who reaches {settings.host} can ask and give feedback; "
            "set VIGIE_API_KEY to ask for a key.[/]"
        )
    console.print(f"Page     http://{settings.host}:{settings.port}/ui/", highlight=False)
    console.print(f"API      http://{settings.host}:{settings.port}/docs", highlight=False)
    uvicorn.run(
        create_app(),
        host=settings.host,
        port=settings.port,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def simulate(
    model: Annotated[str, typer.Option(help="A model of models/.")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many rows.")] = 100,
    shift: Annotated[
        list[str] | None,
        typer.Option(help="FEATURE=+X: add X to a number, within its range; repeatable."),
    ] = None,
    feedback: Annotated[
        float, typer.Option(min=0, max=1, help="Share of rows whose true label is reported.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed sends the same rows.")] = 0,
    url: Annotated[str | None, typer.Option(help="Default: the local platform's.")] = None,
) -> None:
    """Send real rows that no training saw through POST /predict, with feedback for a share."""
    from rich.progress import Progress

    from vigie.demo.serving_client import ServingClient
    from vigie.demo.simulate_traffic import simulate_traffic
    from vigie.models.catalog import get_model
    from vigie.settings import Settings

    settings = Settings.from_env()
    found, shifts = get_model(settings.paths.models, model), parse_shifts(shift or [])
    key = settings.serving.api_key
    api_key = key.get_secret_value() if key else None
    url = url or f"http://{settings.serving.host}:{settings.serving.port}"
    with (
        ServingClient(url, api_key=api_key) as client,
        Progress(console=console, transient=True) as progress,
    ):
        task = progress.add_task(f"Sending to {url}", total=n)
        report = simulate_traffic(
            settings.paths.data,
            model=found,
            service=client,
            n=n,
            shifts=shifts,
            feedback=feedback,
            seed=seed,
            on_progress=lambda: progress.advance(task),
        )
    _print_report(report)


def parse_shifts(texts: list[str]) -> dict[str, float]:
    """Read ``FEATURE=+X``.

    Raises
    ------
    SettingsError
        Quoting what cannot be read.

    Examples
    --------
    >>> parse_shifts(["mean_radius=+5", "age=-1.5"])
    {'mean_radius': 5.0, 'age': -1.5}
    """
    shifts: dict[str, float] = {}
    for text in texts:
        name, _, amount = text.partition("=")
        try:
            number = float(amount)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise SettingsError(f"--shift {text}: expected FEATURE=+X, e.g. mean_radius=+5")
        shifts[name.strip()] = number
    return shifts


def _print_report(report: SimulationResult) -> None:
    """Tell what was sent; fail when nothing was answered."""
    from vigie.errors import PermanentError

    labels = ", ".join(f"{count} {label}" for label, count in sorted(report.predictions.items()))
    versions = ", ".join(sorted(report.versions))
    console.print(
        f"{report.sent} sent, {report.answered} answered ({labels or 'none'}) by "
        f"{report.model} {versions or '–'}; {report.labelled} labelled",
        highlight=False,
    )
    if report.resampled:
        console.print("There are fewer real rows than that: some were sent more than once.")
    if report.clipped:
        console.print(f"{report.clipped} shifted values were held back at the allowed range.")
    if report.refused or report.failed or report.feedback_failed:
        console.print(
            f"[yellow]{report.refused} refused, {report.failed} not answered, "
            f"{report.feedback_failed} labels not taken:[/] {'; '.join(report.errors)}"
        )
    if not report.answered:
        raise PermanentError("no request was answered")
