"""``vigie drift analyze``: compares two tables without a database and prints a summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from vigie import wiring
from vigie.cli import drift
from vigie.errors import DataError, NotEnoughDataError, SettingsError, VigieError
from vigie.settings import Settings
from vigie.testing import FakeServices

Invoke = Callable[..., Result]


@pytest.fixture
def analyze(services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run ``vigie drift analyze`` with a fake renderer; raise the errors of vigie."""

    @contextmanager
    def opened(settings: Settings) -> Iterator[FakeServices]:
        yield services

    monkeypatch.setattr(wiring, "open_services", opened)

    def invoke(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(drift.app, ["analyze", *map(str, arguments)])
        if isinstance(result.exception, VigieError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return invoke


def table(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "AGE": rng.normal(62, 8, n_rows).round(),
            "SMOKING": rng.integers(0, 2, n_rows),
            "COUGHING": rng.integers(0, 2, n_rows),
            "GENDER": rng.choice(["M", "F"], n_rows),
            "row": [f"row-{i}" for i in range(n_rows)],
            "at": pd.date_range("2026-01-01", periods=n_rows),
            "target": (np.arange(n_rows) % 10 < 8).astype(int),
        }
    )


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    reference, current = tmp_path / "reference.csv", tmp_path / "current.parquet"
    table(309).to_csv(reference, index=False)
    moved = table(1278, seed=1)
    moved["AGE"] += 5
    moved.to_parquet(current)
    return reference, current


def test_the_summary_has_the_documented_form(
    analyze: Invoke, paths: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.html"
    text = analyze("--reference", paths[0], "--current", paths[1], "--output", output).stdout
    for line in (
        "Data drift summary",
        "  Reference: 309 rows",
        "  Production: 1,278 rows",
        "  Reference: 80.3% positive",
        "  ✓ Target drift acceptable (<5%)",
        "  AGE:",
        "⚠ Moderate drift detected",
        "  1 feature(s) with drift: AGE",
        f"✓ HTML report available: {output}",
    ):
        assert line in text
    assert "KS test: stat=" in text
    assert output.is_file()


def test_identifiers_times_and_the_target_are_not_features(
    analyze: Invoke, paths: tuple[Path, Path]
) -> None:
    text = analyze("--reference", paths[0], "--current", paths[1]).stdout
    assert [name for name in ("row:", "at:", "target:") if f"  {name}" in text] == []


def test_the_default_output_is_in_the_reports_folder(
    analyze: Invoke, paths: tuple[Path, Path], services: FakeServices
) -> None:
    analyze("--reference", paths[0], "--current", paths[1])
    assert (services.paths.reports / "data_drift_report.html").is_file()


def test_unchanged_tables_show_no_drift(analyze: Invoke, paths: tuple[Path, Path]) -> None:
    text = analyze("--reference", paths[0], "--current", paths[0]).stdout
    assert "✓ No drift detected" in text


def test_few_rows_are_reported_as_unknown(
    analyze: Invoke, paths: tuple[Path, Path], tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    table(20).to_csv(few, index=False)
    text = analyze("--reference", paths[0], "--current", few).stdout
    assert "? Unknown" in text
    assert "20 rows are too few" in text


def test_a_drifted_target_is_reported(
    analyze: Invoke, paths: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    table(300).assign(target=1).to_csv(other, index=False)
    text = analyze("--reference", paths[0], "--current", other).stdout
    assert "⚠ Target drift of 5% or more" in text


def test_the_error_names_an_absent_table(analyze: Invoke, paths: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        analyze("--reference", paths[0], "--current", "nowhere.csv")


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"PAR1"])
def test_the_error_names_an_unreadable_table(
    analyze: Invoke, paths: tuple[Path, Path], tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.parquet is not a readable table"):
        analyze("--reference", paths[0], "--current", broken)


def test_tables_without_a_common_column_are_refused(
    analyze: Invoke, paths: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    pd.DataFrame({"else": [1, 2]}).to_csv(other, index=False)
    with pytest.raises(DataError, match="no column in common"):
        analyze("--reference", paths[0], "--current", other)


def test_an_empty_table_is_refused(
    analyze: Invoke, paths: tuple[Path, Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("AGE,SMOKING\n")
    with pytest.raises(DataError, match="the current table has no rows"):
        analyze("--reference", paths[0], "--current", empty)


def test_without_tables_and_exports_there_is_not_enough_data(analyze: Invoke) -> None:
    with pytest.raises(NotEnoughDataError, match="vigie logs once"):
        analyze()


def test_with_a_model_its_reference_and_export_are_compared(
    analyze: Invoke, services: FakeServices, project_root: Path
) -> None:
    from vigie.models.catalog import get_model
    from vigie.models.reference import unseen_rows

    name = "breast_cancer"
    text = (project_root / "models" / f"{name}.toml").read_text()
    (services.paths.models / f"{name}.toml").write_text(text)
    model = get_model(services.paths.models, name)
    rows = unseen_rows(model, services.paths.data)
    is_ill = rows.pop(model.target) == model.positive_label
    export = services.paths.data / "exports" / name / "inference_dataset.parquet"
    export.parent.mkdir(parents=True)
    rows.assign(target=is_ill.astype(int)).to_parquet(export)
    for arguments in ([], ["--model", name]):
        text = analyze(*arguments).stdout
        assert f"Production: {len(rows)} rows" in text
        assert f"Production: {is_ill.mean():.1%} positive" in text
        assert "✓ No drift detected" in text


def test_with_two_exports_a_model_must_be_chosen(analyze: Invoke, services: FakeServices) -> None:
    for name in ("a", "b"):
        folder = services.paths.data / "exports" / name
        folder.mkdir(parents=True)
        (folder / "inference_dataset.parquet").touch()
    with pytest.raises((DataError, SettingsError), match="choose one with --model: a, b"):
        analyze()
