"""Format the results of ``vigie drift`` for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vigie.reports.analyze_drift import AnalysisResult, ColumnChange
    from vigie.reports.decide_drift import ModelReportsResult

LINE = "=" * 60
#: Number of columns to list. All drifted and unknown columns are listed, even if there are more.
#: Other columns are added up to this number, the largest effects first.
MAIN_FEATURES = 10
#: A change of the share of positives is acceptable below this limit.
TARGET_LIMIT = 0.05


def analysis_text(result: AnalysisResult) -> str:
    """Format the result of the comparison of two tables."""
    return "\n".join([*_head(result), *_target(result), *_features(result), *_conclusion(result)])


def _head(result: AnalysisResult) -> list[str]:
    return [
        *(LINE, "Data drift summary", LINE, ""),
        "Size of the data sets:",
        f"  Reference: {result.n_reference:,} rows",
        f"  Production: {result.n_current:,} rows",
        "",
    ]


def _target(result: AnalysisResult) -> list[str]:
    before, now = result.positives_reference, result.positives_current
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


def _features(result: AnalysisResult) -> list[str]:
    notable = [c for c in result.columns if c.verdict.is_drifted is not False]
    others = [c for c in result.columns if c.verdict.is_drifted is False]
    others.sort(key=lambda change: -(change.verdict.effect or 0.0))
    shown = notable + others[: max(0, MAIN_FEATURES - len(notable))]
    hidden = len(result.columns) - len(shown)
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


def _conclusion(result: AnalysisResult) -> list[str]:
    verdict = result.verdict
    found = [f"  {len(verdict.drifted)} feature(s) with drift: {', '.join(verdict.drifted)}"]
    if verdict.is_drifted is None:
        body = ["? Unknown", *(f"  {reason}" for reason in verdict.reasons)]
    elif verdict.is_drifted:
        body = ["⚠ Strong drift detected", *found, "  Retraining recommended"]
    elif verdict.drifted:
        body = ["⚠ Moderate drift detected", *found, "  Watch the next reports"]
    else:
        body = ["✓ No drift detected"]
    return [
        *(LINE, "Conclusion:", LINE, *body, LINE, ""),
        f"✓ HTML report available: {result.path}",
        "  Open it in your browser to see the details",
    ]


def decision_text(result: ModelReportsResult) -> str:
    """Format the verdicts on a served model and the paths of its reports."""
    words = {True: "yes", False: "no", None: "unknown"}
    decision = result.decision
    return "\n".join(
        [
            f"{decision.model} v{decision.model_version}: {decision.n_current:,} predictions, "
            f"{decision.n_labelled:,} labelled predictions of this version",
            f"drift: {words[decision.is_drifted]} ({'; '.join(decision.drift_reasons)})",
            f"performance degraded: {words[decision.is_degraded]} "
            f"({'; '.join(decision.performance_reasons)})",
            *(f"report: {page}" for page in result.pages),
            *(f"no {name} report: {reason}" for name, reason in result.omitted.items()),
        ]
    )
