"""Contract of the detectors of log lines, checked for each registered detector."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from vigie.anomaly.detectors.registry import DETECTORS, Detector, build_detector, pack, unpack
from vigie.anomaly.detectors.separation import put_unseen_tokens
from vigie.errors import DataError
from vigie.testing.detectors import NORMAL, SMALL


@pytest.fixture(scope="module", params=DETECTORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(name: str) -> Detector:
    return fresh(name).fit(NORMAL, [5.0] * len(NORMAL))


def fresh(name: str) -> Detector:
    return build_detector(name, **SMALL.get(name, {}))


def unseen(seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [put_unseen_tokens(line, draw) for line in NORMAL]


def test_a_detector_has_its_registered_name_and_is_in_the_guide(
    name: str, project_root: Path
) -> None:
    assert fresh(name).name == name
    guide = (project_root / "docs" / "anomaly.md").read_text(encoding="utf-8")
    assert f"| `{name}` |" in guide


def test_each_line_has_one_finite_score(trained: Detector) -> None:
    scores = trained.score([*NORMAL, *unseen(), "x", "x " * 500])
    assert scores.shape == (2 * len(NORMAL) + 2,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


def test_no_lines_give_no_scores(trained: Detector) -> None:
    assert trained.score([]).shape == (0,)


def test_higher_is_more_anomalous(trained: Detector) -> None:
    assert trained.score(unseen()).min() > np.median(trained.score(NORMAL))


def test_a_score_does_not_depend_on_the_other_lines_of_the_call(trained: Detector) -> None:
    lines = [*NORMAL, *unseen(), *("w " * n for n in range(1, 60))]
    whole = trained.score(lines)
    order = random.Random(1).sample(range(len(lines)), len(lines))
    parts = [order[i : i + 7] for i in range(0, len(order), 7)]
    found = np.concatenate([trained.score([lines[i] for i in part]) for part in parts])
    assert (found == whole[order]).all()


def test_the_same_lines_and_seed_give_the_same_scores(name: str, trained: Detector) -> None:
    again = fresh(name).fit(NORMAL, [5.0] * len(NORMAL))
    assert (again.score(NORMAL) == trained.score(NORMAL)).all()


def test_fitting_restores_random_state_and_threads(name: str) -> None:
    import torch

    torch.manual_seed(5)
    np.random.seed(5)  # The test checks the global state.
    expected = torch.rand(1), np.random.random()
    torch.manual_seed(5)
    np.random.seed(5)
    threads = torch.get_num_threads()
    fresh(name).fit(NORMAL)
    assert (torch.rand(1), np.random.random()) == expected
    assert torch.get_num_threads() == threads


def test_fit_and_score_do_not_modify_the_input(name: str) -> None:
    lines, weights = list(NORMAL), [1.0] * len(NORMAL)
    fresh(name).fit(lines, weights).score(lines)
    assert (lines, weights) == (list(NORMAL), [1.0] * len(NORMAL))


def test_fit_accepts_a_single_line(name: str) -> None:
    detector = fresh(name).fit(["only line"])
    assert np.isfinite(detector.score(["only line", "another"])).all()


def test_fit_rejects_an_empty_input(name: str) -> None:
    with pytest.raises(DataError):
        fresh(name).fit([])


def test_an_untrained_detector_does_not_score(name: str) -> None:
    with pytest.raises(DataError, match="not trained"):
        fresh(name).score(["a"])


def test_a_blank_line_is_rejected(trained: Detector) -> None:
    with pytest.raises(DataError, match="blank"):
        trained.score(["a", "  "])


def test_a_packed_detector_is_restored(trained: Detector) -> None:
    again = unpack(pack(trained, NORMAL, {"threshold": 1.0}))
    lines = [*NORMAL, *unseen()]
    assert (again.score(lines) == trained.score(lines)).all()
    assert again.explain(lines[0]) == trained.explain(lines[0])


def test_no_file_is_a_pickle(trained: Detector) -> None:
    for file, data in pack(trained, NORMAL, {}).items():
        assert not file.endswith((".pkl", ".pickle", ".pt", ".pth"))
        assert not data.startswith(b"\x80")


def test_a_damaged_file_is_rejected(trained: Detector) -> None:
    files = pack(trained, NORMAL, {})
    for file, data in files.items():
        with pytest.raises(DataError):
            unpack(files | {file: data[: len(data) // 2]})
        with pytest.raises(DataError):
            unpack({other: content for other, content in files.items() if other != file})


def test_weights_of_another_training_are_rejected(name: str, trained: Detector) -> None:
    other = fresh(name).fit([line.replace("request", f"r{n}") for n, line in enumerate(NORMAL)])
    mixed = pack(trained, NORMAL, {}) | other.pack()
    with pytest.raises(DataError):
        unpack(mixed)


def test_an_unseen_token_explains_the_score(trained: Detector) -> None:
    line = NORMAL[0].replace("request", "qzxwjk")
    found = trained.explain(line)
    assert found[0].token in ("qzxwjk", "<NUM>")
    assert [t.loss for t in found] == sorted((t.loss for t in found), reverse=True)
    assert "qzxwjk" in [t.token for t in found[:2]]


def test_an_unknown_name_is_rejected_with_the_list_of_detectors() -> None:
    with pytest.raises(DataError, match="log_isolation_forest"):
        build_detector("pca")
