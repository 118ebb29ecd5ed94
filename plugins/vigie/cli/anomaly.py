"""``vigie anomaly``: train and evaluate detectors of log lines, and explain their scores."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vigie.anomaly.detectors.registry import DETECTORS, LSTM_AUTOENCODER
from vigie.cli.stream_text import evaluation_table, explanation_table, register_lines
from vigie.cli.support import BaseDir, Detector, console, errors, services
from vigie.errors import DataError, NotEnoughDataError

if TYPE_CHECKING:
    from vigie.anomaly.training.evaluate_detectors import EvaluationResult
    from vigie.wiring import LazyServices

app = typer.Typer(no_args_is_help=True)

MaxLines = Annotated[int, typer.Option(min=50, help="Maximum number of sampled lines.")]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of epochs; some detectors ignore it.")
]
Promote = Annotated[bool, typer.Option(help="Promote the detectors that pass the gate.")]


@app.command()
def train(
    base_dir: BaseDir = None,
    max_lines: MaxLines = 5000,
    epochs: Epochs = None,
    promote: Promote = True,
) -> None:
    """Sample log lines, train and evaluate every detector, and promote those that pass the gate."""
    with services() as opened:
        run_id = f"cli-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        result = _train(opened, run_id, base_dir, max_lines, epochs)
        console.print(evaluation_table(result))
        if promote:
            from vigie.anomaly.training.register_detectors import register_detectors

            registered = register_detectors(
                opened, evaluation=Path(result.evaluation), actor="vigie anomaly train"
            )
            for line in register_lines(registered):
                console.print(escape(line), highlight=False)


def _train(
    opened: LazyServices, run_id: str, base_dir: Path | None, max_lines: int, epochs: int | None
) -> EvaluationResult:
    from vigie.anomaly.training.evaluate_detectors import evaluate_detectors
    from vigie.anomaly.training.load_training_logs import load_training_logs
    from vigie.anomaly.training.train_detector import train_detector

    sample = load_training_logs(opened, run_id=run_id, base_dir=base_dir, max_lines=max_lines)
    errors.print(
        f"Sampled {sample.lines} of {sample.lines_seen} lines below {escape(sample.base_dir)}",
        highlight=False,
    )
    dataset, experiment = Path(sample.dataset), opened.settings.mlflow.experiment_name
    for name in DETECTORS:
        with errors.status(f"Training {name} …"):
            trained = train_detector(
                opened, detector=name, dataset=dataset, run_id=run_id, epochs=epochs,
                experiment=experiment,
            )  # fmt: skip
        errors.print(f"{name}: {trained.distinct} templates, {trained.seconds:.1f} s")
    return evaluate_detectors(opened, run_id=run_id, dataset=dataset, experiment=experiment)


@app.command()
def evaluate(
    detector: Annotated[str, typer.Argument(help="Detector to evaluate.")] = LSTM_AUTOENCODER,
    base_dir: BaseDir = None,
    max_lines: MaxLines = 5000,
) -> None:
    """Evaluate the deployed version of a detector on a new sample of log lines."""
    from vigie.anomaly.scoring.champion_detector import measure_champion

    with services() as opened:
        result = measure_champion(opened, detector=detector, base_dir=base_dir, max_lines=max_lines)
        console.print(f"{escape(result.detector)} v{result.model_version}", highlight=False)
        for name, value in result.measured.items():
            console.print(f"  {name:24} {value:.4g}", highlight=False)


@app.command()
def explain(
    lines: Annotated[
        list[str] | None, typer.Argument(help="Log lines. [default: standard input]")
    ] = None,
    detector: Detector = LSTM_AUTOENCODER,
) -> None:
    """Print the tokens that contribute most to the score of each line."""
    from vigie.anomaly.scoring.champion_detector import explain_anomaly

    given = [line.encode() for line in lines] if lines else sys.stdin.buffer.read().splitlines()
    if not given:
        raise NotEnoughDataError("no lines were given; pass them as arguments or on standard input")
    if len(given) > 1000:
        raise DataError(f"got {len(given)} lines; the maximum is 1000")
    with services() as opened:
        result = explain_anomaly(opened, lines=given, detector=detector)
        console.print(
            f"{escape(result.detector)} v{result.model_version}, threshold {result.threshold:.4f}",
            highlight=False,
        )
        for explanation in result.explanations:
            console.print(explanation_table(explanation))
