"""``vigie serve`` and ``vigie simulate``: the prediction service and simulated traffic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from vigie.cli.support import console, errors
from vigie.errors import SettingsError

if TYPE_CHECKING:
    from vigie.demo.simulate_traffic import SimulationResult

GRACE_S = 3  # An open web page keeps its connection, so the shutdown needs a time limit.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def register(app: typer.Typer) -> None:
    """Add the commands to the top level of ``vigie``."""
    app.command()(serve)
    app.command()(simulate)


def serve(
    host: Annotated[str | None, typer.Option(help="Host (default: VIGIE_SERVING_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port (default: VIGIE_SERVING_PORT).")] = None,
) -> None:
    """Run the prediction service in the foreground; `vigie up` runs it in the background."""
    import uvicorn

    from vigie.serving.app import create_app
    from vigie.settings import Settings

    options = {"VIGIE_SERVING_HOST": host, "VIGIE_SERVING_PORT": port}
    given = {name: str(value) for name, value in options.items() if value is not None}
    settings = Settings.from_env(given).serving
    if settings.host not in LOOPBACK and settings.api_key is None:
        errors.print(
            f"[yellow]Every client that reaches {settings.host} can request predictions and send "
            "feedback; set VIGIE_API_KEY to require a key.[/]"
        )
    address = f"http://{settings.host}:{settings.port}"
    console.print(f"Page     {address}/ui/\nAPI      {address}/docs", highlight=False)
    uvicorn.run(
        create_app(),
        host=settings.host,
        port=settings.port,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def simulate(
    model: Annotated[str, typer.Option(help="Name of a model file in models/.")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Number of rows.")] = 100,
    shift: Annotated[
        list[str] | None,
        typer.Option(help="FEATURE=+X: add X to a feature, within its range; repeatable."),
    ] = None,
    feedback: Annotated[
        float, typer.Option(min=0, max=1, help="Share of rows for which the true label is sent.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Random seed of the order of the rows.")] = 0,
    url: Annotated[
        str | None, typer.Option(help="URL of the service. [default: the local platform's]")
    ] = None,
) -> None:
    """Request predictions for table rows that training does not use, and send some labels."""
    from rich.progress import Progress

    from vigie.demo.serving_client import client_of
    from vigie.demo.simulate_traffic import simulate_traffic
    from vigie.models.catalog import get_model
    from vigie.settings import Settings

    settings = Settings.from_env()
    found, shifts = get_model(settings.paths.models, model), parse_shifts(shift or [])
    url = url or f"http://{settings.serving.host}:{settings.serving.port}"
    with client_of(settings, url) as client, Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"Sending to {url}", total=n)
        result = simulate_traffic(
            settings.paths.data,
            model=found,
            service=client,
            n=n,
            shifts=shifts,
            feedback=feedback,
            seed=seed,
            on_progress=lambda: progress.advance(task),
        )
    _print_result(result)


def parse_shifts(texts: list[str]) -> dict[str, float]:
    """Parse shifts of the form ``FEATURE=+X``. Raises SettingsError for another form.

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


def _print_result(result: SimulationResult) -> None:
    """Print the counts of a simulation; raise PermanentError if no request got a prediction."""
    from vigie.errors import PermanentError

    labels = ", ".join(f"{count} {label}" for label, count in sorted(result.predictions.items()))
    versions = ", ".join(sorted(result.versions))
    console.print(
        f"{result.sent} sent, {result.answered} answered ({labels or 'none'}) by "
        f"{result.model} {versions or '–'}; {result.labelled} labelled",
        highlight=False,
    )
    if result.resampled:
        console.print("There are fewer real rows than requested; some were sent more than once.")
    if result.clipped:
        console.print(f"{result.clipped} shifted values were limited to the allowed range.")
    if result.refused or result.failed or result.feedback_failed:
        console.print(
            f"[yellow]{result.refused} refused, {result.failed} not answered, "
            f"{result.feedback_failed} labels not recorded:[/] {'; '.join(result.errors)}"
        )
    if not result.answered:
        raise PermanentError("no request got a prediction")
