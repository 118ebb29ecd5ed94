"""Fixtures of the serving tests: two versions of a real model, and the app over fakes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from vigie.records import Deployment
    from vigie.testing import FakeServices

Files = dict[str, bytes]
NAME = "breast_cancer"


@pytest.fixture(scope="session")
def model_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="session")
def versions(model_folder: Path) -> tuple[Files, Files]:
    """Two logistic regressions, trained on all rows and on the first half of the rows."""
    from vigie.models.catalog import get_model
    from vigie.models.reference import load_reference
    from vigie.training.fitting import fit_candidate
    from vigie.training.servable_files import pack

    model = get_model(model_folder, NAME)
    rows = load_reference(model, Path())

    def packed(share: float) -> Files:
        part = rows.head(int(len(rows) * share))
        fitted = fit_candidate("logistic_regression", model, part)
        return pack(
            fitted.pipeline,
            model,
            candidate=fitted.name,
            threshold=fitted.threshold,
            profile={},
            sample=part,
        )

    return packed(1.0), packed(0.5)


@pytest.fixture(scope="session")
def cases(model_folder: Path) -> list[tuple[dict[str, float], str]]:
    """Real requests that no training used, with their labels."""
    from vigie.models.catalog import get_model
    from vigie.models.reference import unseen_rows

    model = get_model(model_folder, NAME)
    frame = unseen_rows(model, Path())
    rows = [{name: float(row[name]) for name in model.feature_names} for _, row in frame.iterrows()]
    return list(zip(rows, frame[model.target], strict=True))


@pytest.fixture
def features(cases: list[tuple[dict[str, float], str]]) -> dict[str, float]:
    return dict(cases[0][0])


@pytest.fixture
def deploy(services: FakeServices) -> Callable[..., Deployment]:
    """Publish a version, unless its files are None, and make it champion."""

    def deployed(version: int, files: Mapping[str, bytes] | None, **info: Any) -> Deployment:
        if files is not None:
            services.bundles.publish(NAME, version, files, info)
        champion = services.deployments.champion(NAME)
        return services.deployments.deploy(
            NAME,
            version,
            expected_number=champion.number if champion else 0,
            actor="test",
            reason="test",
        )

    return deployed


@pytest.fixture
def served(
    services: FakeServices, model_folder: Path, versions: tuple[Files, Files], deploy: Any
) -> FakeServices:
    """Services with one model, whose champion is version 1."""
    shutil.copy(model_folder / f"{NAME}.toml", services.paths.models)
    deploy(1, versions[0], metrics={"roc_auc": 0.99}, candidate="logistic_regression")
    return services


@pytest.fixture
def app(served: FakeServices) -> FastAPI:
    """The service without its page; a test reloads the champion with ``app.state.poller``."""
    from vigie.serving.app import create_app_with

    return create_app_with(served, page=False, poll_s=3600)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    from starlette.testclient import TestClient

    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened
