"""Write ``grafana/dashboards/*.json`` from ``vigie.catalogue`` (``make dashboards``)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from vigie import catalogue as names

SOURCE = {"type": "prometheus", "uid": "prometheus"}  # grafana/provisioning/datasources
WIDTH, HEIGHT = 12, 8

# title, unit, legend, query
PANELS = (
    (
        "Time since the last successful run",
        "s",
        "{{job}}",
        f"time() - max by (job) ({names.JOB_LAST_SUCCESS})",
    ),
    ("Last run: succeeded (1) or failed (0)", "none", "{{job}}", names.JOB_SUCCEEDED),
    (
        "Predictions per second",
        "reqps",
        "{{model}}",
        f"sum by (model) (rate({names.PREDICTIONS}[$__rate_interval]))",
    ),
    (
        "Response time, 99th percentile",
        "s",
        "{{route}}",
        "histogram_quantile(0.99, sum by (le, route) "
        f"(rate({names.HTTP_DURATION}_bucket[$__rate_interval])))",
    ),
    ("Share of drifted columns", "percentunit", "{{model}}", names.DRIFT_SCORE),
    (
        "Model performance in production",
        "percentunit",
        "{{model}} {{metric}}",
        names.MODEL_PERFORMANCE,
    ),
    ("Champion version", "none", "{{model}}", names.CHAMPION_VERSION),
    ("Log stream lines not yet scored", "none", "{{topic}}", names.STREAM_LAG),
)


def dashboard() -> dict[str, Any]:
    """Return the overview dashboard in the schema of Grafana 11."""
    return {
        "uid": "vigie-loop",
        "title": "vigie: overview",
        "tags": ["vigie"],
        "schemaVersion": 41,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": [_panel(number, *panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, title: str, unit: str, legend: str, query: str) -> dict[str, Any]:
    row, column = divmod(number, 2)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": query, "legendFormat": legend}],
    }


def main(folder: Path) -> int:
    """Write the dashboard to ``folder``."""
    text = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    (folder / "loop.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1] / "grafana" / "dashboards"))
