"""Three-valued conditions by their truth tables: all, any, none, counts, comparisons at their limits."""

from datetime import datetime
from typing import Any

from cards.rules.conditions.condition import (
    common_vocabulary,
    comparison,
    floor_comparison,
)
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import observation

Json = dict[str, Any]


def context(patient: Json, draft: Json, as_of: datetime) -> RuleContext:
    session = PatientSession(record_of(patient, as_of), drafts_of(draft_of(draft)))
    drafted = session.drafted[0]
    return RuleContext(session, drafted, drafted.medication.ingredients[0])


@for_rows(
    ("spec", "below", "at", "above"),
    [
        ({"lt": 5}, True, False, False),
        ({"le": 5}, True, True, False),
        ({"gt": 5}, False, False, True),
        ({"ge": 5}, False, True, True),
    ],
)
def test_a_limit_is_compared(spec: Json, below: bool, at: bool, above: bool) -> None:
    compare, limits = comparison(spec)
    assert [compare(value) for value in (4.9, 5.0, 5.1, None)] == [below, at, above, None]
    assert limits == {5.0}
    # of a sum of which only a part is known, only that it is over a limit
    of_sum, limits = floor_comparison(spec)
    assert [of_sum(value, True) for value in (4.9, 5.0, 5.1)] == [below, at, above]
    over = [answer if answer and not {"lt", "le"} & set(spec) else None for answer in (below, at, above)]
    assert [of_sum(value, False) for value in (4.9, 5.0, 5.1)] == over
    assert limits == {5.0}


def test_two_limits_are_a_range() -> None:
    compare, limits = comparison({"ge": 2, "lt": 5, "unit": "mg"})
    assert [compare(value) for value in (1.9, 2.0, 4.9, 5.0, None)] == [False, True, True, False, None]
    assert limits == {2.0, 5.0}
    assert [floor_comparison({"ge": 2, "lt": 5})[0](value, False) for value in (1.9, 2.0, 5.0)] == [None] * 3


# Windows of days at their border: to the second, across midnight and a change of the clocks, with dates and months.
CALL = "2026-11-20T09:00:00+00:00"
# Clocks went back on 25 October (Europe) and 1 November 2026 (US), between these times and the call.
WINDOW_OF_30_DAYS = [
    ("2026-11-20T09:00:00Z", True),
    ("2026-10-21T09:00:00Z", True),
    ("2026-10-20T09:00:01Z", True),
    ("2026-10-20T09:00:00Z", False),
    ("2026-10-20T11:00:01+02:00", True),
    ("2026-10-20T11:00:00+02:00", False),
    ("2026-10-20T05:00:01-04:00", True),
    ("2026-10-20T05:00:00-04:00", False),
    ("2026-10-22", True),
    ("2026-10-21", True),
    ("2026-10-20", False),
    ("2026-11", True),
    ("2026-10", False),
    ("2026", False),
]


def _potassium(when: str) -> dict[str, Any]:
    return observation("2823-3", 4.0, "mmol/L", when, patient="case", id="potassium")


def _bleeding(when: str) -> dict[str, Any]:
    return builders.problem(
        code="K92.2",
        patient="case",
        id="bleeding",
        clinicalStatus={
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        onsetDateTime=when,
    )


def _holds(condition: dict[str, Any], resource: dict[str, Any], call: str = CALL) -> bool | None:
    patient = {"age": 60, "sex": "male", "more": [resource]}
    drafted = context(patient, {"drug": "861007"}, datetime.fromisoformat(call))
    return common_vocabulary().compile(condition).test(drafted)


@for_rows(("when", "is_within"), WINDOW_OF_30_DAYS)
def test_a_window_of_thirty_days_ends_at_the_second(when: str, is_within: bool) -> None:
    """Alike for a value, for a value that is missing, and for a problem."""
    value = {"lab": "potassium", "lt": 9, "max_age_days": 30}
    missing = {"lab_missing": "potassium", "max_age_days": 30}
    problem = {"recent_problem": {"icd10": ["K92"], "within_days": 30}}
    assert (_holds(value, _potassium(when)) is True) is is_within
    assert (_holds(missing, _potassium(when)) is True) is not is_within
    assert (_holds(problem, _bleeding(when)) is True) is is_within


@for_rows(
    ("call", "when", "is_within"),
    [
        ("2026-11-20T00:30:00+00:00", "2026-11-18T00:30:01Z", True),
        ("2026-11-20T00:30:00+00:00", "2026-11-18T00:30:00Z", False),
        ("2026-11-20T00:30:00+00:00", "2026-11-19", True),
        ("2026-11-20T00:00:00+00:00", "2026-11-18", False),
        ("2026-11-19T23:59:59+00:00", "2026-11-18", True),
        ("2026-11-19T19:30:00-05:00", "2026-11-18T00:30:01Z", True),
        ("2026-11-19T19:30:01-05:00", "2026-11-18T00:30:01Z", False),
        ("2026-10-25T12:00:00+01:00", "2026-10-23T13:00:01+02:00", True),
        ("2026-10-25T12:00:01+01:00", "2026-10-23T13:00:01+02:00", False),
    ],
)
def test_a_day_has_24_hours_also_over_midnight_and_a_change_of_the_clocks(
    call: str, when: str, is_within: bool
) -> None:
    condition = {"lab": "potassium", "lt": 9, "max_age_days": 1}
    assert (_holds(condition, _potassium(when), call) is True) is is_within


def test_a_time_after_the_call_counts_as_far_as_clocks_and_zones_differ() -> None:
    condition = {"lab": "potassium", "lt": 9, "max_age_days": 30}
    assert _holds(condition, _potassium("2026-11-20T09:05:00Z")) is True
    assert _holds(condition, _potassium("2026-11-20T09:05:01Z")) is not True
    assert _holds(condition, _potassium("2026-11-20")) is True
    assert _holds(condition, _potassium("2026-11-21")) is not True
    assert _holds(condition, _potassium("2026-11-20"), "2026-11-19T10:00:00+00:00") is True
    assert _holds(condition, _potassium("2026-11-20"), "2026-11-19T09:59:59+00:00") is not True
