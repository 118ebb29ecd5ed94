"""Operators of ``ml_retrain_pipeline``: one a step, each for one model."""

from __future__ import annotations

import tomllib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from vigie.models.names import CANDIDATES
from vigie.operators.base import JobOperator, ModelOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigie.models.model_file import ModelFile
    from vigie.models.thresholds import Threshold
    from vigie.records import JobResult
    from vigie.roles import Services
    from vigie.settings import Settings

PROMOTION_WAIT_S = 300.0  # a `vigie retrain` of the same model may hold the lock that long


def candidates_of(folder: Path, model: str) -> list[str]:
    """Return a model file's candidates while a DAG file is parsed.

    A wrong file gets the defaults: its first task then fails and says what is wrong.
    """
    try:
        table = tomllib.loads((folder / f"{model}.toml").read_text("utf-8"))
        names = table.get("training", {}).get("candidates", CANDIDATES)
        return [str(name) for name in names] or list(CANDIDATES)
    except (OSError, ValueError, AttributeError, TypeError):
        return list(CANDIDATES)


class RetrainStep(ModelOperator):
    """One step of one model's retraining."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        return self.step(services, self.model_file(services), run_key(context), context)

    @abstractmethod
    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        """Call the step's job."""


class CheckTriggersOperator(ModelOperator):
    """Skip the model's other steps unless a trigger fired and the Param ``model`` allows it."""

    def run_job(self, services: Services, settings: Settings, context: Context) -> JobResult:
        from vigie.retraining.check_triggers import check_triggers

        self.require_requested(context)
        report = check_triggers(
            services,
            model=self.model_file(services),
            run_id=run_key(context),
            force=bool(context["params"].get("force")),
            thresholds=_thresholds(settings, context),
            actor=_actor(context),
        )
        if not report.should_train:  # a skipped task's report counts too: its figures are pushed
            context["ti"].xcom_push("return_value", report.as_xcom())
            raise AirflowSkipException("; ".join(report.reasons))
        return report


class BackupCurrentModelOperator(RetrainStep):
    """Verify that the champion can be gone back to."""

    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        from vigie.retraining.backup_current_model import backup_current_model

        return backup_current_model(services, model=model, run_id=run)


class MergeTrainingDataOperator(RetrainStep):
    """Freeze the run's training table."""

    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        from vigie.retraining.merge_training_data import merge_training_data

        return merge_training_data(services, model=model, run_id=run)


class TrainCandidateOperator(RetrainStep):
    """Train one candidate; mapped over the model file's candidates."""

    def __init__(self, *, candidate: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        from vigie.retraining.train_candidate import train_candidate

        return train_candidate(services, model=model, run_id=run, candidate=self.candidate)


class SelectBestOperator(RetrainStep):
    """Choose the challenger."""

    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        from vigie.retraining.select_best import select_best

        return select_best(services, model=model, run_id=run)


class GateOperator(RetrainStep):
    """Compare challenger and champion; a no is a result: the task succeeds."""

    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        from vigie.retraining.gate_candidate import gate_candidate

        return gate_candidate(services, model=model, run_id=run)


class PromoteModelOperator(RetrainStep):
    """Make the challenger champion; skipped when the gate said no."""

    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        from vigie.registry.decisions import lock_name
        from vigie.retraining.promote_model import promote_model

        with services.locks.hold(lock_name(model.name), wait_s=PROMOTION_WAIT_S):
            return promote_model(services, model=model, run_id=run, actor=_actor(context))


class ArchiveProductionDataOperator(RetrainStep):
    """Mark the rows that the run used."""

    def step(self, services: Services, model: ModelFile, run: str, context: Context) -> JobResult:
        from vigie.retraining.archive_production_data import archive_production_data

        return archive_production_data(services, model=model, run_id=run)


class NotifyRetrainingOperator(JobOperator):
    """Tell how the run ended for each model; a teardown, so that it always does."""

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
    """Return the thresholds of Params and settings; Params take precedence.

    The model file sets the thresholds that neither sets.
    """
    from vigie.models.thresholds import thresholds_from

    names = ("min_rows", "drift_share", "performance_floor")
    return thresholds_from(
        ("DAG Param", {name: context["params"].get(name) for name in names}),
        (settings.source("RETRAIN_THRESHOLD"), {"min_rows": settings.loop.retrain_threshold}),
        (settings.source("DRIFT_THRESHOLD"), {"drift_share": settings.loop.drift_threshold}),
    )


def _actor(context: Context) -> str:
    """Return who started the run, as far as Airflow says."""
    user = getattr(context.get("dag_run"), "triggering_user_name", None)
    return str(user) if user else "airflow"
