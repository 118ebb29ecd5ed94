"""Write the files of a report, and delete old ones."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.catalogue import REPORT_ROWS, REPORTS_KEPT
from vigie.records import JobResult, Sample
from vigie.reports.kinds import FILES, ReportKind

if TYPE_CHECKING:
    from vigie.reports.window import Window
    from vigie.roles import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult(JobResult):
    """The files of a report and the numbers of rows that it shows."""

    model: str
    report: str
    path: Path
    json_path: Path
    n_current: int
    n_reference: int
    since: datetime
    until: datetime


def write_report(services: Services, *, kind: ReportKind, window: Window) -> ReportResult:
    """Write a report to the reports folder, as an HTML and a JSON file of the same name.

    Raises
    ------
    NotEnoughDataError
        The window lacks what the report shows, for example labels; no file is written.
    """
    data, period = kind.data(window), window.run.period
    path = services.paths.reports / kind.file_name(window.model.name, period.until)
    services.renderer.write(kind.name, data, path)
    n_current = len(data.current)
    labels = {"model": window.model.name, "report": kind.name}
    return ReportResult(
        metrics=[Sample(REPORT_ROWS, float(n_current), labels)],
        model=window.model.name,
        report=kind.name,
        path=path,
        json_path=path.with_suffix(".json"),
        n_current=n_current,
        n_reference=0 if data.reference is None else len(data.reference),
        since=period.since,
        until=period.until,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupResult(JobResult):
    """The numbers of kept and deleted reports; each report is an HTML and a JSON file."""

    kept: int
    deleted: int


def cleanup_old_reports(services: Services, *, max_reports: int = 10) -> CleanupResult:
    """Delete all but the ``max_reports`` newest reports of each kind and model.

    The newest reports are those with the latest time in the file name. Other files, folders and
    links are kept. Of each model, only the ``max_reports`` newest stored verdicts are kept.
    """
    found: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    folder = services.paths.reports
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = FILES.fullmatch(path.name)
        if match and path.is_file() and not path.is_symlink():
            found[match["report"], match["model"]][match["stamp"]].append(path)
    kept = deleted = 0
    for by_stamp in found.values():
        old = sorted(by_stamp, reverse=True)[max_reports:]
        for path in (path for stamp in old for path in by_stamp[stamp]):
            path.unlink(missing_ok=True)  # Another process may have deleted it meanwhile.
        kept, deleted = kept + len(by_stamp) - len(old), deleted + len(old)
    _delete_old_verdicts(services.paths.data / "reports", max_reports)
    return CleanupResult(metrics=[Sample(REPORTS_KEPT, float(kept))], kept=kept, deleted=deleted)


def _delete_old_verdicts(folder: Path, max_reports: int) -> None:
    for model in folder.iterdir() if folder.is_dir() else []:
        stored = sorted(model.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in stored[max_reports:]:
            path.unlink(missing_ok=True)
