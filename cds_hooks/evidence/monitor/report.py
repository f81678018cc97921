"""Makes the report of the monitor: reads the record, judges its figures, and finds the incidents."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.evidence.monitor.changes import change_figures
from cds_hooks.evidence.monitor.judging import Report
from cds_hooks.evidence.monitor.label_windows import ThresholdsInForce, label_figures
from cds_hooks.evidence.monitor.rows import RecordRows
from cds_hooks.evidence.monitor.traffic import traffic_figures
from cds_hooks.evidence.monitor.window import Window
from cds_hooks.evidence.outcomes.labels import Labels
from cds_hooks.evidence.storage.decision import RecordUnavailable
from models_onnx.monitoring.figure import incidents

_NO_THRESHOLDS: Final[ThresholdsInForce] = {}


def report_of(
    url: str,
    file: Path | None,
    labels: Labels,
    window: Window,
    progress: Callable[[int], None] = lambda _: None,
    thresholds: ThresholdsInForce = _NO_THRESHOLDS,
) -> Report:
    """Return the report on a window; `file` keeps what was read of the record, None keeps nothing.

    Raises:
        RecordUnavailable: The record cannot be read, or the file that keeps its rows cannot be used.
    """
    rows = RecordRows(url, file)
    try:
        rows.read(progress)
        figures = change_figures(rows, window)
        figures += traffic_figures(rows, window, frozenset(all_rule_versions()))
        figures += label_figures(rows, labels, window, thresholds)
    except duckdb.Error as error:
        raise RecordUnavailable(f"the rows for monitoring in {file} cannot be used: {error}") from error
    finally:
        rows.connection.close()
    figures.sort(key=lambda figure: figure.order)
    return Report(window.last, window.days, window.before, figures, incidents(figures))
