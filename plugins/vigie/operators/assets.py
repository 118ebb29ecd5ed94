"""What one DAG tells another: Assets, whose events carry the model and the reasons as ``extra``.

They are emitted through an alias: an outlet that is an Asset itself would get an event from every
successful run, also from one that found nothing.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias

DRIFT_DETECTED = Asset("drift_detected", uri="x-vigie://drift_detected", group="vigie")
PERFORMANCE_DEGRADED = Asset(
    "performance_degraded", uri="x-vigie://performance_degraded", group="vigie"
)
FINDINGS = AssetAlias("report_findings", group="vigie")
