"""Keep the newest reports of each kind and model."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.catalogue import REPORTS_KEPT
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    from vigie.roles import Services

#: Our own file names, and nothing else in the folder.
PATTERN = re.compile(
    r"(?P<report>data_quality|data_drift|model_performance)_report_"
    r"(?P<model>[a-z][a-z0-9_]{0,63})_(?P<stamp>\d{8}_\d{6})\.(?:html|json)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupReport(JobResult):
    """A report is a page with its JSON."""

    kept: int
    deleted: int


def cleanup_old_reports(services: Services, *, max_reports: int = 10) -> CleanupReport:
    """Delete all but the ``max_reports`` newest reports of each kind and model.

    Newest by the time in the name. Other files, folders and links in the reports folder stay. A
    file that somebody else deleted meanwhile is as good as deleted.
    """
    found: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    folder = services.paths.reports
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = PATTERN.fullmatch(path.name)
        if match and path.is_file() and not path.is_symlink():
            found[match["report"], match["model"]][match["stamp"]].append(path)
    kept = deleted = 0
    for by_stamp in found.values():
        old = sorted(by_stamp, reverse=True)[max_reports:]
        for path in (path for stamp in old for path in by_stamp[stamp]):
            path.unlink(missing_ok=True)
        kept, deleted = kept + len(by_stamp) - len(old), deleted + len(old)
    return CleanupReport(metrics=[Sample(REPORTS_KEPT, float(kept))], kept=kept, deleted=deleted)
