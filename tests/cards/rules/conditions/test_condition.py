"""Three-valued conditions by their truth tables: all, any, none, counts, comparisons at their limits."""

from datetime import datetime
from typing import Any

from cards.rules.conditions.condition import (
    common_vocabulary,
)
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows, rows_of
from tests.fhir.builders import observation

Json = dict[str, Any]


def context(patient: Json, draft: Json, as_of: datetime) -> RuleContext:
    session = PatientSession(record_of(patient, as_of), drafts_of(draft_of(draft)))
    drafted = session.drafted[0]
    return RuleContext(session, drafted, drafted.medication.ingredients[0])


# Windows of days at their border: to the second, across midnight and a change of the clocks, with dates and months.
CALL = "2026-11-20T09:00:00+00:00"


def _potassium(when: str) -> dict[str, Any]:
    return observation("2823-3", 4.0, "mmol/L", when, patient="case", id="potassium")


def _holds(condition: dict[str, Any], resource: dict[str, Any], call: str = CALL) -> bool | None:
    patient = {"age": 60, "sex": "male", "more": [resource]}
    drafted = context(patient, {"drug": "861007"}, datetime.fromisoformat(call))
    return common_vocabulary().compile(condition).test(drafted)


@for_rows(
    ("call", "when", "is_within"),
    rows_of(__file__, "a_day_has_24_hours_also_over_midnight_and_a_change_of_the_clocks"),
)
def test_a_day_has_24_hours_also_over_midnight_and_a_change_of_the_clocks(
    call: str, when: str, is_within: bool
) -> None:
    condition = {"lab": "potassium", "lt": 9, "max_age_days": 1}
    assert (_holds(condition, _potassium(when), call) is True) is is_within
