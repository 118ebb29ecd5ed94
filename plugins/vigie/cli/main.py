"""The ``vigie`` command."""

from __future__ import annotations

import sys

import typer
from click.exceptions import ClickException
from rich.markup import escape

from vigie.cli import anomaly, demo, drift, local, logs, models, retrain, serve, stream
from vigie.cli.support import errors
from vigie.errors import NotEnoughDataError, VigieError

app = typer.Typer(
    name="vigie",
    help="An MLOps platform on Apache Airflow: collect, score, report, retrain, explain.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(logs.app, name="logs", help="Collect the API's prediction logs into the log index.")
app.add_typer(stream.app, name="stream", help="Write log lines to the stream, score them.")
app.add_typer(anomaly.app, name="anomaly", help="Train, evaluate and explain log detectors.")
app.add_typer(drift.app, name="drift", help="Reports and drift analysis.")
app.add_typer(models.app, name="models", help="The model files.")
for module in (local, demo, serve, retrain):
    module.register(app)


def main() -> None:
    """Run a command; turn our errors into a message and an exit code (see :mod:`vigie.errors`)."""
    try:
        code = app(standalone_mode=False)  # typer.Exit's code, or what the command returned
        sys.exit(code if isinstance(code, int) else 0)
    except NotEnoughDataError as exc:
        errors.print(f"[yellow]Nothing to do:[/] {escape(str(exc))}", highlight=False)
        sys.exit(exc.exit_code)
    except VigieError as exc:
        errors.print(f"[bold red]Error:[/] {escape(str(exc))}", highlight=False)
        sys.exit(exc.exit_code)
    except ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        errors.print("Interrupted.")
        sys.exit(130)


if __name__ == "__main__":
    main()
