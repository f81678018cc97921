"""The monitor report as one HTML file: sentences, a table, and charts with their values as text. No scripts.

The file loads nothing from elsewhere, and its Content-Security-Policy allows its own style only.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import date
from typing import Any

from cds_hooks.monitor.charts import charts_of, label_charts_of
from cds_hooks.web.site import render, static_file
from models_onnx.monitoring.figure import Figure, Incident
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow


def report_page(
    until: date, judged: Sequence[Compared | LabelWindow], figures: Sequence[Figure], incidents: Sequence[Incident],
    paused: Sequence[str], summary: str,
) -> str:  # fmt: skip
    """Return the whole page; texts of clients and rules stand in it as texts."""
    from markupsafe import Markup

    style = static_file("monitor_report.css").decode()
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shown = [figure for figure in figures if figure.state in ("act", "watch")]
    return render(
        "monitor_report.html",
        until=until.isoformat(),
        summary=summary,
        incidents=incidents,
        paused=paused,
        figures=shown,
        sections=list(_sections(judged)),
        style=Markup(style),  # noqa: S704 - a file of this package
        style_digest=digest,
    )


def _sections(judged: Sequence[Compared | LabelWindow]) -> Any:
    for comparison in judged:
        if isinstance(comparison, Compared):
            heading, charts = f"{comparison.client}, {comparison.service}", charts_of(comparison)
        else:
            heading, charts = (
                f"{comparison.client}, {comparison.service}: {comparison.words}",
                label_charts_of(comparison),
            )
        if charts:
            yield heading, charts
