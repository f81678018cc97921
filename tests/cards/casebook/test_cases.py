"""A case that cannot mean what it says is refused with the name that is wrong and the one that was meant."""

from typing import Any

import pytest

from cards.casebook.cases import faults_of_case

RULE = "age-meperidine"
CASE: dict[str, Any] = {
    "id": "one",
    "about": "any",
    "kind": "fires",
    "patient": {"age": 80},
    "draft": {"drug": "meperidine hydrochloride 50 MG Oral Tablet", "dose": "1 tablet", "times": 4},
    "band": "any",
    "indicator": "warning",
}


def test_a_case_that_is_right_has_no_fault() -> None:
    assert faults_of_case(RULE, CASE) == []


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"knid": "fires"}, "a case has no 'knid'; did you mean kind"),
        ({"kind": "fire"}, "`kind` has no 'fire'; did you mean fires"),
        ({"about": "every"}, "`about`: age-meperidine has no 'every'; did you mean any"),
        ({"quiet": "palliativ"}, "`quiet`: age-meperidine has no 'palliativ'; did you mean palliative"),
        ({"patient": {"aeg": 80}}, "a patient has no 'aeg'; did you mean age"),
        (
            {"patient": {"conditions": ["paliative_dnr"]}},
            "`conditions`: fhir/terminology/tables/condition_groups.csv has no 'paliative_dnr'; did you mean "
            "palliative_or_dnr",
        ),
        (
            {"patient": {"labs": [["potasium", 5]]}},
            "`labs`: fhir/terminology/tables/analytes.csv has no 'potasium'; did you mean potassium",
        ),
        ({"patient": {"active": [{"durg": "aspirin"}]}}, "an active medication has no 'durg'; did you mean drug"),
        ({"draft": {"drug": "meperidine", "time": 4}}, "a draft has no 'time'; did you mean times"),
    ],
)
def test_a_member_or_name_that_no_case_has_is_named(members: dict[str, Any], said: str) -> None:
    assert faults_of_case(RULE, {**CASE, **members}) == [said]


def test_a_drug_that_is_not_recognised_is_named_where_the_answer_is_another() -> None:
    drug = "meperidxn 50 MG Tablet"
    first, second = faults_of_case(RULE, {**CASE, "draft": {**CASE["draft"], "drug": drug}})
    assert first == "expected age-meperidine/any/warning, found nothing"
    assert second == f"no drug is recognised in {drug!r}"
