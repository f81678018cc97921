"""Figures that are counts, over rows as they are read of a record: rules without a finding, and the calls."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from cds_hooks.call.hold_back.reasons import WITHHELD
from cds_hooks.evidence.monitor.changes import change_figures
from cds_hooks.evidence.monitor.rows import RecordRows
from cds_hooks.evidence.monitor.traffic import FEWEST_CALLS, traffic_figures
from cds_hooks.evidence.monitor.window import Window
from models_onnx.monitoring.figure import Figure
from tests.live import record_in

LAST = date(2026, 9, 30)
CATALOGUE = frozenset({"renal-metformin", "renal-lithium", "renal-nsaid"})


@pytest.fixture
def record_rows(tmp_path: Path) -> Iterator[RecordRows]:
    """The rows of an empty record."""
    rows = RecordRows(record_in(tmp_path), None)
    rows.read()
    yield rows
    rows.connection.close()


def calls(rows: RecordRows, count: int, first: int, at: str) -> None:
    """Add so many calls of one hour, numbered from `first` on."""
    rows.connection.execute(
        "INSERT INTO calls SELECT $first + i, 'decision-' || ($first + i), $at::TIMESTAMP + to_milliseconds(i), "
        "'north', 'order-safety', '', 'silent', 0, $first + i, NULL, NULL, true FROM range($count) AS t(i)",
        {"first": first, "count": count, "at": at},
    )


def figure(rows: RecordRows, subject: str, window: Window) -> Figure:
    """Return the one figure of this subject."""
    change_figures(rows, window)
    (of_subject,) = (f for f in traffic_figures(rows, window, CATALOGUE) if f.subject == subject)
    return of_subject


def test_rules_that_found_nothing_in_many_calls_are_named_and_a_withheld_finding_counts(
    record_rows: RecordRows,
) -> None:
    window, at = Window(LAST, 7, 28, 90), "2026-09-30T08:00"
    calls(record_rows, FEWEST_CALLS - 1, 1, at)
    record_rows.connection.execute("INSERT INTO facts VALUES (1, 'card', 'uuid', 'renal-metformin', NULL)")
    withheld = [2, "silence", "renal-lithium", min(WITHHELD), None]
    record_rows.connection.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", withheld)
    assert figure(record_rows, "rules without a finding", window).state == "insufficient"
    calls(record_rows, 1, FEWEST_CALLS, at)
    silent = figure(record_rows, "rules without a finding", window)
    assert (silent.state, silent.n, silent.value) == ("watch", FEWEST_CALLS, 1 / 3)
    assert "1 of 3 rules found nothing in 3,000 calls" in silent.text
    assert silent.text.endswith("fewer than 1 of 1,000 (95 % certainty): renal-nsaid.")


def test_a_client_that_calls_less_is_usual_from_the_day_on_that_a_person_said_so(record_rows: RecordRows) -> None:
    for day in range(1, 31):
        calls(record_rows, 200 if day < 24 else 20, 1000 * day, f"2026-09-{day:02}T08:00")
    assert figure(record_rows, "calls", Window(LAST, 7, 28, 90)).state == "act"
    meant = figure(record_rows, "calls", Window(LAST, 7, 28, 90, usual={"north": LAST}))
    assert meant.state == "insufficient"
