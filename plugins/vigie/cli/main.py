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
    help="Command line of vigie, an MLOps platform on Apache Airflow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 success or nothing to do · 2 wrong usage, input or settings · 3 a service"
    " is unavailable, retry later · 4 conflict with another process, or refused by the gate."
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
    """Define the options that precede the command."""


app.add_typer(logs.app, name="logs", help="Collect the API log, and maintain its documents.")
app.add_typer(stream.app, name="stream", help="Write log lines to the stream and score them.")
app.add_typer(anomaly.app, name="anomaly", help="Train and evaluate detectors of log lines.")
app.add_typer(drift.app, name="drift", help="Write reports and analyze drift.")
app.add_typer(models.app, name="models", help="List, show and check model files.")
for module in (local, demo, serve, retrain):
    module.register(app)


def main() -> None:
    """Run a command; print a VigieError and exit with its code (see :mod:`vigie.errors`)."""
    try:
        app()  # raises SystemExit: the code of the command, 2 for wrong usage, 130 after Ctrl-C
    except NotEnoughDataError as exc:
        errors.print(f"[yellow]Nothing to do:[/] {escape(str(exc))}", highlight=False)
        sys.exit(exc.exit_code)
    except VigieError as exc:
        errors.print(f"[bold red]Error:[/] {escape(str(exc))}", highlight=False)
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
