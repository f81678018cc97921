"""Windows of days at their border: to the second, across midnight and a change of the clocks, with dates and months.

An age is told in whole days: what is 30 days and some hours old is 30 days old. A date without a time counts from
midnight (UTC) of that day, a month or a year from its first day: what may lie within a window but need not is outside.
"""

from datetime import datetime
from typing import Any

import pytest

from cards.rules.conditions.condition import common_vocabulary
from cards.rules.language.trigger import Selector
from tests.cards.rules.conditions.test_words import context

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
    return {
        "resourceType": "Observation",
        "id": "potassium",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "subject": {"reference": "Patient/case"},
        "effectiveDateTime": when,
        "valueQuantity": {"value": 4.0, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    }


def _bleeding(when: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": "bleeding",
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "K92.2"}]},
        "subject": {"reference": "Patient/case"},
        "onsetDateTime": when,
    }


def _order(when: str, *, ended: str | None = None) -> dict[str, Any]:
    """Metformin, written then; over since `ended` where that is given."""
    return {
        "resourceType": "MedicationRequest",
        "id": "metformin",
        "status": "active" if ended is None else "completed",
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "861007"}]
        },
        "subject": {"reference": "Patient/case"},
        "authoredOn": when,
        "dosageInstruction": [
            {"timing": {"repeat": {"boundsPeriod": {"start": when, **({} if ended is None else {"end": ended})}}}}
        ],
    }


def _holds(condition: dict[str, Any], resource: dict[str, Any], call: str = CALL) -> bool | None:
    patient = {"age": 60, "sex": "male", "more": [resource]}
    drafted = context(patient, {"drug": "861007"}, datetime.fromisoformat(call))
    return common_vocabulary().compile(condition).test(drafted)


@pytest.mark.parametrize(("when", "is_within"), WINDOW_OF_30_DAYS)
def test_a_window_of_thirty_days_ends_at_the_second(when: str, is_within: bool) -> None:
    """Alike for a value, for a value that is missing, and for a problem."""
    value = {"lab": "potassium", "lt": 9, "max_age_days": 30}
    missing = {"lab_missing": "potassium", "max_age_days": 30}
    problem = {"recent_problem": {"icd10": ["K92"], "within_days": 30}}
    assert (_holds(value, _potassium(when)) is True) is is_within
    assert (_holds(missing, _potassium(when)) is True) is not is_within
    assert (_holds(problem, _bleeding(when)) is True) is is_within


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("ended", "is_new"),
    [("2026-05-23T09:00:01Z", False), ("2026-05-23T09:00:00Z", True), ("2026-05-24", False), ("2026-05-22", True)],
)
def test_a_drug_is_new_where_no_order_of_it_reached_into_the_last_180_days(ended: str, is_new: bool) -> None:
    assert _holds({"new_start": True}, _order("2026-01-10", ended=ended)) is is_new


@pytest.mark.parametrize(
    ("since", "is_long"),
    [
        ("2026-08-21T09:00:00Z", True),
        ("2026-08-21T09:00:01Z", False),
        ("2026-08-21", True),
        ("2026-08-22", False),
        ("2026-08", True),
        ("2026-09", False),
    ],
)
def test_a_drug_is_taken_for_longer_than_90_days_on_the_91st(since: str, is_long: bool) -> None:
    assert _holds({"long_term": {"days": 90}}, _order(since)) is is_long


@pytest.mark.parametrize(
    ("ended", "still_acts"),
    [("2026-11-05T09:00:01Z", True), ("2026-11-05T09:00:00Z", False), ("2026-11-06", True), ("2026-11-04", False)],
)
def test_a_drug_that_was_stopped_counts_until_the_end_of_its_washout(ended: str, still_acts: bool) -> None:
    """Tranylcypromine and sertraline: 14 days between them."""
    stopped = _order("2026-08-01", ended=ended)
    stopped["medicationCodeableConcept"]["coding"][0]["code"] = "10734"
    patient = {"age": 60, "sex": "male", "more": [stopped]}
    drafted = context(patient, {"drug": "312938"}, datetime.fromisoformat(CALL))
    selector = Selector(frozenset({"10734"}), washout_days=14)
    assert bool(drafted.session.partners_of(drafted.drafted, [selector])) is still_acts
