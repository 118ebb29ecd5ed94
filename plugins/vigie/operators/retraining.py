"""Operators of ``ml_retrain_pipeline``; each task except ``notify`` handles one model."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from vigie.models.names import CANDIDATES
from vigie.operators.base import JobOperator, ModelOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.models.thresholds import Threshold
    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings

PROMOTION_WAIT_S = 300.0  # a `vigie retrain` of the same model can hold the lock for this long
#: Use cases that need only a model and a run id; each is in the module of the same name.
STEPS = (
    "backup_current_model",
    "merge_training_data",
    "select_best",
    "gate_candidate",
    "archive_production_data",
)


def candidates_of(folder: Path, model: str) -> list[str]:
    """Read the candidates from a model file while the DAG file is parsed.

    If they cannot be read, return the default candidates, so that the import of the DAG succeeds.
    The first task then fails and reports the mistakes in the file.
    """
    try:
        table = tomllib.loads((folder / f"{model}.toml").read_text("utf-8"))
        names = table.get("training", {}).get("candidates", CANDIDATES)
        return [str(name) for name in names] or list(CANDIDATES)
    except (OSError, ValueError, AttributeError, TypeError):
        return list(CANDIDATES)


class CheckTriggersOperator(ModelOperator):
    """Evaluate the triggers; skip the task if no training is due."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.retraining.evaluate_triggers import evaluate_triggers

        self.require_requested(context)
        result = evaluate_triggers(
            services,
            model=self.model_file(services),
            run_id=run_key(context),
            force=bool(context["params"].get("force")),
            thresholds=_thresholds(settings, context),
            actor=_actor(context),
        )
        if not result.should_train:
            # A skipped task returns no result, but push_metrics needs these metrics.
            context["ti"].xcom_push("return_value", result.as_xcom())
            raise AirflowSkipException("; ".join(result.reasons))
        return result


class RetrainStepOperator(ModelOperator):
    """Run one use case of a retraining for one model.

    Parameters
    ----------
    step
        One of :data:`STEPS`.
    """

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if step not in STEPS:
            raise ValueError(f"unknown step {step!r}; expected one of: {', '.join(STEPS)}")
        self.step = step

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        use_case = getattr(import_module(f"vigie.retraining.{self.step}"), self.step)
        model = self.model_file(services)
        result: JobResult = use_case(services, model=model, run_id=run_key(context))
        return result


class TrainCandidateOperator(ModelOperator):
    """Train one candidate; the DAG maps this operator over the candidates of the model file."""

    def __init__(self, *, candidate: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.retraining.train_candidate import train_candidate

        return train_candidate(
            services,
            model=self.model_file(services),
            run_id=run_key(context),
            candidate=self.candidate,
        )


class PromoteModelOperator(ModelOperator):
    """Promote the challenger; the task is skipped if the gate refused it."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.retraining.promotion import lock_name, promote_candidate

        model = self.model_file(services)
        with services.locks.hold(lock_name(model.name), wait_s=PROMOTION_WAIT_S):
            return promote_candidate(
                services, model=model, run_id=run_key(context), actor=_actor(context)
            )


class NotifyRetrainingOperator(JobOperator):
    """Log the outcome of the run for each model; a teardown, so that it runs after a failure."""

    def __init__(self, *, models: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.models = models

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.retraining.notify_retraining import notify_retraining

        return notify_retraining(
            services, models=self.models, run_id=run_key(context), failed=self._failed(context)
        )

    def _failed(self, context: Context) -> list[str]:
        states = context["ti"].get_task_states(dag_id=self.dag_id, run_ids=[str(context["run_id"])])
        return sorted(t for run in states.values() for t, state in run.items() if state == "failed")


def _thresholds(settings: Settings, context: Context) -> dict[str, Threshold]:
    from vigie.retraining.evaluate_triggers import THRESHOLDS
    from vigie.wiring import overridden_thresholds

    given = {name: context["params"].get(name) for name in THRESHOLDS}
    return overridden_thresholds(settings, "DAG Param", given)


def _actor(context: Context) -> str:
    """Return the user who started the run, or ``airflow`` for a scheduled run."""
    user = getattr(context.get("dag_run"), "triggering_user_name", None)
    return str(user) if user else "airflow"
