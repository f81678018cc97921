"""What a payer answers to an order: by its list on the day, prior authorization, the place, and criteria."""

from datetime import date
from typing import Any

from msgspec.structs import replace

from cards.coverage.determination import Circumstances, Determination, determine, find_payer, is_in_force
from cards.coverage.order import read_order
from cards.coverage.policy import CriteriaSet, Criterion, Payer, Policies, Policy
from cards.coverage.seen import Seen, Subject
from tests.cards.coverage.payers import PAYER, POLICY
from tests.each import for_rows, rows_of
from tests.fhir.builders import record_of

Json = dict[str, Any]
DAY = date(2026, 11, 20)
NOTHING = frozenset[str]()
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
COVERAGE: Json = {"id": "c", "status": "active"}


def order_of(code: str = "B4150", **more: Any) -> Json:
    coded = {"codeCodeableConcept": {"coding": [{"system": HCPCS, "code": code}]}}
    return {"resourceType": "DeviceRequest", "id": "d", **coded, **more}


def answer_to(
    order: Json, *rows: Policy, criteria: CriteriaSet | None = None, coverage: Json = COVERAGE, **here: Any
) -> Determination | None:
    by_code = {("own", row.code): tuple(other for other in rows if other.code == row.code) for row in rows}
    sets = {criteria.id: criteria} if criteria is not None else {}
    exempt = here.pop("exempt", NOTHING)
    policies = Policies({"own": PAYER}, by_code, sets, exempt, frozenset({"own"}), "v")
    facts = read_order(order, {})
    assert facts is not None
    members: dict[str, Any] = {"state": "NY", "authorizations": [], "answers": {}, "together": {}}
    return determine(facts, coverage, PAYER, Circumstances(policies, Subject(record_of(), DAY), **(members | here)))


def said(answer: Determination | None) -> tuple[object, ...] | None:
    """What is covered, authorization, documents, their purpose, what is asked for, and the reason."""
    if answer is None:
        return None
    return (answer.covered, answer.pa_needed, answer.doc_needed, answer.doc_purpose, answer.info_needed, answer.reason)


NEEDED = ("conditional", "auth-needed", "clinical", "withpa", (), None)
FREE = ("covered", "no-auth", None, None, (), None)
OPEN = replace(POLICY, basis="open", pa_needed="no-auth")


# By the list


def test_the_last_row_in_force_on_the_day_decides() -> None:
    later = replace(OPEN, effective_from=date(2026, 11, 20))
    assert said(answer_to(order_of(), POLICY, later)) == FREE
    before = replace(OPEN, effective_from=date(2026, 11, 21))
    assert said(answer_to(order_of(), POLICY, before)) == NEEDED
    renewed = replace(POLICY, id="renewed", effective_from=date(2026, 12, 1))
    over_both = order_of(occurrencePeriod={"start": "2026-11-25", "end": "2026-12-05"})
    assert said(answer_to(over_both, POLICY, renewed)) == NEEDED


@for_rows(
    ("days", "expected"),
    rows_of(__file__, "a_span_of_days_with_two_answers_asks_for_the_day"),
)  # fmt: skip
def test_a_span_of_days_with_two_answers_asks_for_the_day(days: Json, expected: list[Any]) -> None:
    row = replace(POLICY, effective_from=date(2026, 11, 20), effective_to=date(2026, 12, 31))
    assert said(answer_to(order_of(occurrencePeriod=days), row)) == (*expected[:4], tuple(expected[4]), expected[5])


@for_rows(
    ("coverage", "in_force"),
    rows_of(__file__, "a_coverage_holds_on_the_days_of_its_period"),
)  # fmt: skip
def test_a_coverage_holds_on_the_days_of_its_period(coverage: Json, in_force: bool) -> None:
    assert is_in_force(coverage, DAY) is in_force
    outside = ("conditional", None, None, None, ("contract-window",), None)
    assert said(answer_to(order_of(), POLICY, coverage=COVERAGE | coverage)) == (NEEDED if in_force else outside)


# Criteria


def criterion(name: str, test: Json, group: str = "A", **more: Any) -> Criterion:
    return Criterion(name, group, name, test, "", "s", **more)


WOMAN, MAN, UNKNOWN = {"sex": "female"}, {"sex": "male"}, {"bmi": {"ge": 30}}


def test_what_a_clinician_affirmed_counts_where_the_chart_does_not_contradict() -> None:
    absent: Json = {"condition": {"icd10": ["E11"]}}  # nothing on record says the contrary
    tests: dict[str, Json] = {"u": UNKNOWN, "m": MAN, "w": WOMAN, "a": absent}
    criteria = CriteriaSet("set", {"A": "all"}, tuple(criterion(name, test) for name, test in tests.items()))
    row = replace(OPEN, basis="by-criteria", criteria="set")
    answers = {"own": {"set": (frozenset("umwa"), "QuestionnaireResponse/q")}}
    answer = answer_to(order_of(), row, criteria=criteria, answers=answers)
    assert answer is not None
    patient = ("Patient/p1",)
    assert [entry.seen for entry in answer.judged] == [
        Seen(True, ("QuestionnaireResponse/q",)), Seen(False, patient), Seen(True, patient),
        Seen(True, ("QuestionnaireResponse/q",)),
    ]  # fmt: skip
    assert answer.response == "QuestionnaireResponse/q"
    of_other = answer_to(order_of(), row, criteria=criteria, answers={"own": {"other": answers["own"]["set"]}})
    assert of_other is not None
    assert (of_other.judged[0].seen, of_other.response) == (Seen(None), None)


# The payer


PAYERS = {
    "own": replace(
        PAYER, names=frozenset({"own health plan"}), plans=frozenset({"gold"}), identifiers=frozenset({"123"}),
        not_plans=frozenset({"hmo", "part c"}), types=frozenset({"1", "121"}),
    ),
    "other": Payer("other", "Other", frozenset({"other"}), NOTHING, NOTHING, NOTHING, "", ""),
}  # fmt: skip


@for_rows(
    ("coverage", "payer"),
    rows_of(__file__, "a_payer_is_known_by_its_own_name_or_number_and_only_then"),
)
def test_a_payer_is_known_by_its_own_name_or_number_and_only_then(coverage: Json, payer: str | None) -> None:
    organizations: dict[str, Json] = {
        "Organization/o": {"name": "Own Health Plan"}, "Organization/i": {"identifier": [{"value": "123"}]},
    }  # fmt: skip
    policies = Policies(PAYERS, {}, {}, NOTHING, NOTHING, "v")
    read = find_payer(coverage, policies, organizations)
    assert (read.id if read is not None else None) == payer


@for_rows(
    ("days", "expected"),
    rows_of(__file__, "a_gap_between_two_lists_within_a_span_asks_for_the_day"),
)
def test_a_gap_between_two_lists_within_a_span_asks_for_the_day(days: Json, expected: list[Any]) -> None:
    first = replace(POLICY, effective_from=date(2026, 1, 1), effective_to=date(2026, 12, 10))
    again = replace(POLICY, id="again", effective_from=date(2026, 12, 20))
    said_of_it = said(answer_to(order_of(occurrencePeriod=days), first, again))
    assert said_of_it == (*expected[:4], tuple(expected[4]), expected[5])
