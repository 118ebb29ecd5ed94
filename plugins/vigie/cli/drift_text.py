"""What ``vigie drift`` prints, in the form that the documents show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vigie.reports.analyze_drift import AnalysisReport, ColumnChange
    from vigie.reports.report_on_model import ModelReports

LINE = "=" * 60
#: Columns shown: all that drifted or are unknown, and the strongest others up to this number.
MAIN_FEATURES = 10
#: The documents' limit of an acceptable change of the positive share.
TARGET_LIMIT = 0.05


def analysis_text(report: AnalysisReport) -> str:
    """Return the summary of a comparison."""
    return "\n".join([*_head(report), *_target(report), *_features(report), *_conclusion(report)])


def _head(report: AnalysisReport) -> list[str]:
    return [
        *(LINE, "Data drift summary", LINE, ""),
        "Size of the data sets:",
        f"  Reference: {report.n_reference:,} rows",
        f"  Production: {report.n_current:,} rows",
        "",
    ]


def _target(report: AnalysisReport) -> list[str]:
    before, now = report.positives_reference, report.positives_current
    if before is None or now is None:
        return []
    change = abs(now - before)
    is_small = change < TARGET_LIMIT
    verdict = f"✓ Target drift acceptable (<{TARGET_LIMIT:.0%})"
    return [
        "Distribution of the target:",
        f"  Reference: {before:.1%} positive",
        f"  Production: {now:.1%} positive",
        f"  Drift: {change:.1%}",
        f"  {verdict if is_small else f'⚠ Target drift of {TARGET_LIMIT:.0%} or more'}",
        "",
    ]


def _features(report: AnalysisReport) -> list[str]:
    notable = [c for c in report.columns if c.verdict.is_drifted is not False]
    others = [c for c in report.columns if c.verdict.is_drifted is False]
    others.sort(key=lambda change: -(change.verdict.effect or 0.0))
    shown = notable + others[: max(0, MAIN_FEATURES - len(notable))]
    hidden = len(report.columns) - len(shown)
    more = [f"  … and {hidden} others without drift", ""] if hidden else []
    return ["Drift of the main features:", *(line for c in shown for line in _feature(c)), *more]


def _feature(change: ColumnChange) -> Iterator[str]:
    verdict = change.verdict
    yield f"  {verdict.name}:"
    before, now = change.mean_reference, change.mean_current
    if before is not None and now is not None:
        yield f"    Mean: {before:.2f} → {now:.2f} (drift: {now - before:.2f})"
    if verdict.statistic is not None and verdict.p_value is not None:
        test = {"ks": "KS test", "chi2": "Chi-squared test"}.get(verdict.test or "", "test")
        yield f"    {test}: stat={verdict.statistic:.4f}, p={verdict.p_value:.4f}"
    if verdict.is_drifted is None:
        yield f"    ? Unknown: {verdict.reason}"
    elif verdict.is_drifted:
        yield f"    ⚠ Drift detected ({verdict.reason})"
    else:
        yield "    ✓ No significant drift"
    yield ""


def _conclusion(report: AnalysisReport) -> list[str]:
    verdict = report.verdict
    found = [f"  {len(verdict.drifted)} feature(s) with drift: {', '.join(verdict.drifted)}"]
    if verdict.is_drifted is None:
        body = ["? No telling", *(f"  {reason}" for reason in verdict.reasons)]
    elif verdict.is_drifted:
        body = ["⚠ Strong drift detected", *found, "  Retraining recommended"]
    elif verdict.drifted:
        body = ["⚠ Moderate drift detected", *found, "  Keep an eye on it"]
    else:
        body = ["✓ No drift detected"]
    return [
        *(LINE, "Conclusion:", LINE, *body, LINE, ""),
        f"✓ HTML report available: {report.path}",
        "  Open it in your browser to see the details",
    ]


def decision_text(done: ModelReports) -> str:
    """Return what the reports of a served model decided, and where they are."""
    words = {True: "yes", False: "no", None: "unknown"}
    report = done.decision
    return "\n".join(
        [
            f"{report.model} v{report.model_version}: {report.n_current:,} predictions, "
            f"{report.n_labelled:,} with a real label",
            f"drift: {words[report.is_drifted]} ({'; '.join(report.drift_reasons)})",
            f"performance degraded: {words[report.is_degraded]} "
            f"({'; '.join(report.performance_reasons)})",
            *(f"report: {page}" for page in done.pages),
            *([f"no performance report: {done.no_performance}"] if done.no_performance else []),
        ]
    )
