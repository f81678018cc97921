"""A case that cannot mean what it says is refused with the name that is wrong and the one that was meant."""

from typing import Any

from cards.casebook.cases import faults_of_case, missing_cases
from cards.rules.engine.rule_book import whole_book
from tests.each import for_rows, rows_of

RULE = "age-meperidine"
CASE: dict[str, Any] = {
    "id": "one", "about": "any", "kind": "fires", "patient": {"age": 80},
    "draft": {"drug": "meperidine hydrochloride 50 MG Oral Tablet", "dose": "1 tablet", "times": 4}, "band": "any",
    "indicator": "warning",
}  # fmt: skip


@for_rows(
    ("members", "said"),
    rows_of(__file__, "a_member_or_name_that_no_case_has_is_named"),
)
def test_a_member_or_name_that_no_case_has_is_named(members: dict[str, Any], said: str) -> None:
    assert faults_of_case(RULE, {**CASE, **members}) == [said]


def test_a_drug_that_is_not_recognised_is_named_where_the_answer_is_another() -> None:
    drug = "meperidxn 50 MG Tablet"
    first, second = faults_of_case(RULE, {**CASE, "draft": {**CASE["draft"], "drug": drug}})
    assert first == "expected age-meperidine/any/warning, found nothing"
    assert second == f"no drug is recognised in {drug!r}"


@for_rows(
    ("members", "fault"),
    rows_of(__file__, "an_answer_that_is_not_as_the_case_says_is_told"),
)
def test_an_answer_that_is_not_as_the_case_says_is_told(members: dict[str, Any], fault: str) -> None:
    faults = faults_of_case(RULE, {**CASE, **members})
    assert faults[:1] == [fault]


def test_a_rule_needs_a_case_of_each_kind_of_each_band_and_of_each_silence() -> None:
    declared = next(compiled.declared for compiled in whole_book().rules if compiled.id == RULE)
    silences = [f"no case of the silence {entry.code}" for entry in declared.silent_when]
    kinds = [f"no {kind} case of {band.id}" for band in declared.bands for kind in ("fires", "silent", "missing")]
    assert missing_cases(RULE, []) == kinds + silences
    assert len(silences) > 0
    fires = [{"about": band.id, "kind": "fires"} for band in declared.bands]
    quiet = {"about": "x", "kind": "silent", "quiet": declared.silent_when[0].code}
    assert missing_cases(RULE, [*fires, quiet]) == [entry for entry in kinds if "no fires" not in entry] + silences[1:]
    template = next(compiled.id for compiled in whole_book().rules if compiled.declared.template is not None)
    assert missing_cases(template, []) == []
