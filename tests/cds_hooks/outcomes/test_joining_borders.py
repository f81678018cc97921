"""Reports at the very instants at which a decision, its horizon and the clock of the receiver begin and end."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cds_hooks.outcomes.joining import Joined
from tests.cds_hooks.outcomes.test_joining import decided, join, reasons, record, values
from tests.cds_hooks.storage.conftest import sqlite_url

__all__ = ["sqlite_url"]

# The decisions are of 2026-03-01 12:00 UTC: 180 days end on 28 August, 30 days on 31 March, both at 12:00.
DECIDED = "2026-03-01T12:00:00Z"
AFTER = "2026-03-01T12:00:00.000001Z"
HORIZON = "2026-08-28T12:00:00Z"
BEFORE_HORIZON = "2026-08-28T11:59:59.999999Z"
BEYOND = "2026-08-28T12:00:00.000001Z"


@pytest.mark.parametrize(
    ("event", "outcome", "at", "value"),
    [
        ("death", "yes", "2026-02-28", None),
        ("death", "yes", "2026-03-01", "yes"),
        ("death", "yes", DECIDED, None),
        ("death", "yes", AFTER, "yes"),
        ("death", "yes", HORIZON, "yes"),
        ("death", "yes", BEYOND, "no"),
        ("death", "yes", "2026-08-28", "yes"),
        ("death", "yes", "2026-08-29", "no"),
        ("death", "no", HORIZON, "no"),
        ("death", "no", BEFORE_HORIZON, None),
        ("death", "no", "2026-08-28", "no"),
        ("death", "no", "2026-08-27", None),
        ("admission", "yes", "2026-03-01", None),
        ("admission", "yes", DECIDED, None),
        ("admission", "yes", AFTER, "yes"),
        ("admission", "yes", "2026-03-31T12:00:00Z", "yes"),
        ("admission", "yes", "2026-03-31T12:00:00.000001Z", None),
        ("admission", "no", "2026-03-31T12:00:00Z", "no"),
        ("admission", "no", "2026-03-31T11:59:59.999999Z", None),
    ],
)
def test_what_a_report_about_a_patient_says_of_a_decision(
    sqlite_url: str, event: str, outcome: str, at: str, value: str | None
) -> None:
    model = "mortality" if event == "death" else "readmission"
    one = decided(model)
    joined = join(record(sqlite_url, one), {"patient": "p1", "event": event, "outcome": outcome, "at": at})
    assert values(joined) == ([(one.id, model, value)] if value else [])
    assert reasons(joined) == ([] if value else [(0, "no-prediction")])


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"outcome": "yes", "at": HORIZON}, None),
        ({"outcome": "yes", "at": BEYOND}, "outside-horizon"),
        ({"outcome": "yes", "at": DECIDED}, "outside-horizon"),
        ({"outcome": "yes"}, None),
        ({"outcome": "no", "at": HORIZON}, None),
        ({"outcome": "no", "at": BEFORE_HORIZON}, "not-followed"),
        ({"outcome": "unknown", "at": BEYOND}, None),
        ({"outcome": "yes", "model": "mortality"}, None),
        ({"outcome": "yes", "model": "readmission"}, "other-model"),
    ],
)
def test_what_a_report_about_a_decision_says_of_it(sqlite_url: str, report: dict[str, Any], reason: str | None) -> None:
    one = decided()
    joined = join(record(sqlite_url, one), {"prediction": one.id, **report})
    assert values(joined) == ([] if reason else [(one.id, "mortality", report["outcome"])])
    assert reasons(joined) == ([(0, reason)] if reason else [])


def microseconds(text: str) -> int:
    """An instant in microseconds since 1970."""
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1_000_000)


@pytest.mark.parametrize(("now", "reason"), [(HORIZON, None), (BEFORE_HORIZON, "not-followed")])
def test_no_without_a_day_is_said_at_the_end_of_the_horizon(sqlite_url: str, now: str, reason: str | None) -> None:
    one = decided()
    joined = join(record(sqlite_url, one), {"prediction": one.id, "outcome": "no"}, now=microseconds(now))
    assert reasons(joined) == ([(0, reason)] if reason else [])


def test_what_lies_more_than_a_day_ahead_has_not_happened(sqlite_url: str) -> None:
    one = decided()
    record(sqlite_url, one)

    def told(at: str) -> Joined:
        report = {"prediction": one.id, "outcome": "yes", "at": at}
        return join(sqlite_url, report, now=microseconds("2026-04-01T00:00:00Z"))

    assert reasons(told("2026-04-02T00:00:00Z")) == reasons(told("2026-04-02")) == []
    assert reasons(told("2026-04-02T00:00:00.000001Z")) == reasons(told("2026-04-03")) == [(0, "not-yet")]


def test_refusals_are_in_the_order_of_the_reports_whatever_they_are_about(sqlite_url: str) -> None:
    one = decided()
    joined = join(
        record(sqlite_url, one),
        {"patient": "nobody", "event": "death", "outcome": "yes", "at": "2026-03-02"},
        {"event": "flood", "completeThrough": "2026-03-02"},
        {"prediction": one.id, "outcome": "yes", "at": "2031-01-01"},
        {"patient": "p1", "event": "flood", "outcome": "yes", "at": "2026-03-02"},
        {"patient": "Patient/p1", "event": "death", "outcome": "yes", "at": "2026-03-02"},
        {"prediction": "unknown", "outcome": "yes"},
    )
    assert values(joined) == [(one.id, "mortality", "yes")]
    assert reasons(joined) == [
        (0, "no-prediction"), (1, "unknown-event"), (2, "not-yet"), (3, "unknown-event"), (5, "unknown-prediction"),
    ]  # fmt: skip
