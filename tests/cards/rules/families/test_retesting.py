"""Tests that are repeated or ordered twice: which result counts, to the hour, and which order is the same again."""

from datetime import datetime
from typing import Any

from tests.cards.rules.cases import check, reasons
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import service_request

Json = dict[str, Any]
FERRITIN = {"drug": "Ferritin", "test": "2276-4"}


def quantity(value: float, unit: str) -> Json:
    return {"valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}}


def result(loinc: str, day: str, **more: Any) -> Json:
    """A final result of this test."""
    return builders.observation(loinc, when=day, patient="case", id=f"o-{loinc}-{day[:10]}") | more


def ordered(loinc: str, day: str | None = "2026-11-20", **more: Any) -> Json:
    """An active order of this test."""
    request: Json = service_request(code=loinc, patient="case", id="earlier")
    return request | ({"authoredOn": day} if day else {}) | more


def summaries(as_of: datetime, draft: Json, *resources: Json, beside: tuple[Json, ...] = (), **chart: Any) -> list[str]:
    """What is said of the draft before this chart; the reason in brackets where the rule is silent for one."""
    others = [draft_of(other, f"beside-{position}") for position, other in enumerate(beside)]
    drafts = drafts_of(*others, draft_of(draft))
    outcome = check(record_of({"more": list(resources), **chart}, as_of), drafts, ["ServiceRequest/draft-1"])
    silent = [f"({reason})" for rule, reason in reasons(outcome) if rule == "lab-repeat" and reason != "within-limits"]
    return [card.summary for card in outcome.cards] or silent


def said_of(test: str, last: str, day: str, interval: str) -> list[str]:
    return [f"{test} was {last} on {day}; the usual minimum interval is {interval}."]


# The last result


@for_rows(
    ("test", "day", "value", "last", "interval"),
    [
        ("2276-4", "2026-10-30T09:00:00Z", quantity(80, "ng/mL"), None, ""),
        ("2276-4", "2026-10-30T09:00:01Z", quantity(80, "ng/mL"), "80 ng/mL", "21 days"),
        ("2276-4", "2026-11-20T09:00:00Z", quantity(80, "ng/mL"), "80 ng/mL", "21 days"),
        ("2276-4", "2026-11-20T09:00:01Z", quantity(80, "ng/mL"), None, ""),
        ("58410-2", "2026-11-19T21:00:00Z", {}, None, ""),
        ("58410-2", "2026-11-19T21:00:01Z", {}, "done", "12 hours"),
        ("1988-5", "2026-11-19T10:00:00Z", quantity(4, "mg/L"), "4 mg/L", "1 day"),
        ("17861-6", "2026-11-19T10:00:00Z", quantity(9.4, "mg/dL"), "9.4 mg/dL", "36 hours"),
        ("2276-4", "2026-11-10", {"valueQuantity": {"value": 80}}, None, ""),
        ("4537-7", "2026-11-18", {"valueQuantity": {"value": 12}}, "12", "7 days"),
        ("4537-7", "2026-11-18", {"valueQuantity": {"unit": "mm/h"}}, "done", "7 days"),
    ],
)  # fmt: skip
def test_a_result_counts_until_its_interval_is_over(
    test: str, day: str, value: Json, last: str | None, interval: str, as_of: datetime
) -> None:
    words = {"58410-2": "Full blood count", "1988-5": "C-reactive protein", "17861-6": "Calcium", "4537-7": "ESR"}
    name = words.get(test, "Ferritin")
    expected = said_of(name, last, day[:10], interval) if last is not None else []
    assert summaries(as_of, {"drug": name, "test": test}, result(test, day, **value)) == expected


@for_rows(
    ("value", "mark", "is_normal"),
    [
        (14.9, None, False), (15, None, True), (400, None, True), (80, "N", True), (80, "H", False), (80, "LL", False),
        (80, "A", False), (80, "POS", False),
    ],
)  # fmt: skip
def test_a_result_outside_the_limits_of_its_row_or_with_a_mark_is_repeated(
    value: float, mark: str | None, is_normal: bool, as_of: datetime
) -> None:
    marks = {"interpretation": [{"coding": [{"code": mark}]}]} if mark else {}
    earlier = result("2276-4", "2026-11-10", **quantity(value, "ng/mL"), **marks)
    expected = said_of("Ferritin", f"{value:g} ng/mL", "2026-11-10", "21 days") if is_normal else []
    assert summaries(as_of, FERRITIN, earlier) == expected


# Another test of the row


# Ordered twice
