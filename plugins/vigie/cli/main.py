"""The ``vigie`` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from vigie.cli import anomaly, demo, drift, local, logs, models, retrain, serve, stream
from vigie.cli.support import console, errors
from vigie.errors import NotEnoughDataError, VigieError

app = typer.Typer(
    name="vigie",
    help="An MLOps platform on Apache Airflow: collect, score, report, retrain, explain.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 success or nothing to do · 2 wrong usage, input or settings · 3 a service"
    " is unavailable, try again later · 4 conflict with another process, or refused by the gate."
    " See docs/commands.md.",
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        console.print(f"vigie {version('vigie')}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Define the options that precede a command."""


app.add_typer(logs.app, name="logs", help="Collect the API's prediction logs into the log index.")
app.add_typer(stream.app, name="stream", help="Write log lines to the stream, score them.")
app.add_typer(anomaly.app, name="anomaly", help="Train, evaluate and explain log detectors.")
app.add_typer(drift.app, name="drift", help="Reports and drift analysis.")
app.add_typer(models.app, name="models", help="The model files.")
for module in (local, demo, serve, retrain):
    module.register(app)


def main() -> None:
    """Run a command; print errors of vigie and exit with their code (see :mod:`vigie.errors`)."""
    try:
        app()  # raises SystemExit: 0, the command's code, 2 for wrong usage, 130 after Ctrl-C
    except NotEnoughDataError as exc:
        errors.print(f"[yellow]Nothing to do:[/] {escape(str(exc))}", highlight=False)
        sys.exit(exc.exit_code)
    except VigieError as exc:
        errors.print(f"[bold red]Error:[/] {escape(str(exc))}", highlight=False)
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
