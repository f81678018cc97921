"""Words about the drafted order and what is taken beside it: what they rest on, whom they find, and what they say."""

from typing import Any

from cards.extension import Fact
from cards.rules.conditions.condition import DataNeeds, common_vocabulary, needs
from fhir.record.datatypes import parse_time
from tests.cards.rules.contexts import answer, context_of, predicate_of, told
from tests.each import for_rows
from tests.fhir.builders import encounter

Json = dict[str, Any]
WARFARIN: Json = {"rxcui": "11289", "name": "warfarin"}
METFORMIN: Json = {"rxcui": "6809", "name": "metformin"}
IBUPROFEN: Json = {"rxcui": "5640", "name": "ibuprofen"}
METFORMIN_500: Json = {"drug": "metformin hydrochloride 500 MG Oral Tablet", "dose": "2 tablet", "times": 2}
WARFARIN_5: Json = {"drug": "warfarin sodium 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
IBUPROFEN_400: Json = {"drug": "ibuprofen 400 MG Oral Tablet", "dose": "1 tablet", "times": 3}
NAPROXEN: Json = {"drug": "naproxen 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
NOT_SENT = ["MedicationRequest", "MedicationStatement"]
LISTS = needs("MedicationRequest", "MedicationStatement")


def _beside(*keys: str) -> DataNeeds:
    return needs("MedicationRequest", "MedicationStatement", beside=keys)


NSAIDS: Json = {"classes": ["nsaid"]}


@for_rows(
    ("draft", "patient", "active", "another"),
    [
        (METFORMIN_500, {}, False, False),
        (METFORMIN_500, {"not_sent": NOT_SENT}, None, None),
        (METFORMIN_500, {"active": [IBUPROFEN_400]}, True, True),
        # Ibuprofen that is taken is no other drug than ibuprofen that is drafted.
        (IBUPROFEN_400, {"active": [IBUPROFEN_400]}, True, False),
        (IBUPROFEN_400, {"active": [NAPROXEN]}, True, True),
    ],
)
def test_a_drug_that_is_taken_and_another_one(
    draft: Json, patient: Json, active: bool | None, another: bool | None
) -> None:
    context = context_of(draft, **patient)
    assert (answer({"active": NSAIDS}, context), answer({"another": NSAIDS}, context)) == (active, another)


def test_what_is_taken_is_told_with_its_date_and_its_drug() -> None:
    context = context_of(METFORMIN_500, active=[{**IBUPROFEN_400, "days_ago": 10}, {**WARFARIN_5, "days_ago": 10}])
    words, source = "ibuprofen 400 MG Oral Tablet", "MedicationRequest/active-0"
    fact = Fact("medication", words, "ibuprofen", effective="2026-11-10", source=source)
    assert told({"active": NSAIDS}, context) == [fact]
    assert told({"another": NSAIDS}, context) == [fact]
    assert told({"draft": {"ingredients": [METFORMIN]}}, context) == []


def test_of_a_mixture_the_drug_that_is_meant_is_named() -> None:
    mixture = {"drug": "hydrocodone 5 MG / ibuprofen 200 MG Oral Tablet", "days_ago": 10}
    context = context_of(METFORMIN_500, active=[mixture])
    assert [fact.value for fact in told({"another": NSAIDS}, context)] == ["ibuprofen"]
    # Ibuprofen is drafted, and the mixture holds no other such drug.
    assert answer({"another": NSAIDS}, context_of(IBUPROFEN_400, active=[mixture])) is False


def test_whether_an_undated_order_is_long_term_is_not_known() -> None:
    assert answer({"long_term": {"days": 90}}, context_of(WARFARIN_5, active=[{**WARFARIN_5, "undated": True}])) is None


SUM: Json = {"drug_daily_mg": {"ingredient": IBUPROFEN, "gt": 1199}}


def test_each_order_of_the_drug_is_told_with_its_dose() -> None:
    context = context_of(METFORMIN_500, active=[{**IBUPROFEN_400, "days_ago": 10}, {"drug": "ibuprofen"}])
    assert told(SUM, context) == [
        Fact("medication", "ibuprofen 400 MG Oral Tablet, 1,200 mg/day", "ibuprofen", effective="2026-11-10",
             source="MedicationRequest/active-0"),
        Fact("medication", "ibuprofen", "ibuprofen", effective="2026-09-21", source="MedicationRequest/active-1"),
    ]  # fmt: skip
    predicate = predicate_of(SUM)
    assert predicate.uses == {"active", "dose", "drug_dose"}
    assert predicate.limits == {1199}
    assert predicate.needs == _beside("5640")


def test_one_of_the_pair_is_the_draft_or_the_partner() -> None:
    context = context_of(METFORMIN_500, IBUPROFEN_400)
    assert [answer({"partner_on": {"ingredients": [drug]}}, context) for drug in (METFORMIN, IBUPROFEN, WARFARIN)] == [
        True,
        True,
        False,
    ]
    alone = context_of(METFORMIN_500)
    assert [answer({"partner_on": {"ingredients": [drug]}}, alone) for drug in (METFORMIN, IBUPROFEN)] == [True, False]


@for_rows(
    ("drafts", "active", "truth"),
    [
        # Both have been taken for long.
        ([WARFARIN_5, IBUPROFEN_400], [{**WARFARIN_5, "days_ago": 31}, {**IBUPROFEN_400, "days_ago": 31}], False),
        ([WARFARIN_5, IBUPROFEN_400], [{**WARFARIN_5, "days_ago": 30}, {**IBUPROFEN_400, "days_ago": 31}], True),
        ([WARFARIN_5, IBUPROFEN_400], [{**WARFARIN_5, "days_ago": 31}, {**IBUPROFEN_400, "days_ago": 30}], True),
        ([WARFARIN_5, IBUPROFEN_400], [{**WARFARIN_5, "days_ago": 31}, {**IBUPROFEN_400, "undated": True}], None),
        ([WARFARIN_5, IBUPROFEN_400], [{**WARFARIN_5, "days_ago": 30}, {**IBUPROFEN_400, "undated": True}], True),
        ([WARFARIN_5, IBUPROFEN_400], [], True),
    ],
)
def test_one_of_the_pair_is_new(drafts: list[Json], active: list[Json], truth: bool | None) -> None:
    assert answer({"partner_new": True}, context_of(*drafts, active=active)) is truth


def test_what_has_ended_is_not_new_in_a_pair() -> None:
    old = [{**WARFARIN_5, "days_ago": 31}, {**IBUPROFEN_400, "days_ago": 20}]
    pair = context_of(WARFARIN_5, IBUPROFEN_400, active=old)
    pair.partners[0].ended = parse_time("2026-11-18")
    assert answer({"partner_new": True}, pair) is False


def test_a_renewal_is_not_new_in_a_pair() -> None:
    renewed = {"more": {"priorPrescription": {"reference": "MedicationRequest/elsewhere"}}}
    both = context_of({**WARFARIN_5, **renewed}, {**IBUPROFEN_400, **renewed})
    assert answer({"partner_new": True}, both) is False
    assert answer({"partner_new": True}, context_of({**WARFARIN_5, **renewed}, IBUPROFEN_400)) is True


@for_rows(
    ("spec", "words", "uses", "needed"),
    [
        ({"draft": NSAIDS}, "the draft is class nsaid", set(), needs()),
        ({"active": NSAIDS}, "class nsaid is taken", {"active"}, _beside("nsaid")),
        ({"another": NSAIDS}, "another drug is taken: class nsaid", {"active"}, _beside("nsaid")),
        ({"partner_on": NSAIDS}, "class nsaid is one of the two", {"active"}, LISTS),
        ({"partner_new": True}, "one of the two is new", {"active", "history"}, LISTS),
        ({"partner_new": False}, "neither of the two is new", {"active", "history"}, LISTS),
        ({"new_start": True}, "a new start", {"history"}, LISTS),
        ({"new_start": False}, "no new start", {"history"}, LISTS),
        ({"long_term": {"days": 90}}, "taken for more than 90 days", {"history"}, LISTS),
        (SUM, "mg a day of ibuprofen > 1,199", {"active", "dose", "drug_dose"}, _beside("5640")),
        ({"signing": True}, "at signing", {"signing"}, needs(beside=["signing"])),
        ({"signing": False}, "before signing", {"signing"}, needs(beside=["signing"])),
        ({"single_dose": True}, "a single dose", {"dose"}, needs()),
        ({"single_dose": False}, "more than one dose", {"dose"}, needs()),
        ({"as_needed": True}, "as needed", {"dose"}, needs()),
        ({"as_needed": False}, "scheduled", {"dose"}, needs()),
        ({"in_hospital": True}, "an inpatient or emergency order", set(), needs("Encounter")),
        ({"in_hospital": False}, "not (an inpatient or emergency order)", set(), needs("Encounter")),
        ({"medications_known": True}, "the medication list is known", set(), LISTS),
        ({"medications_known": False}, "no medication list came", set(), LISTS),
    ],
)
def test_what_a_page_says_and_what_a_word_reads(spec: Json, words: str, uses: set[str], needed: DataNeeds) -> None:
    predicate = predicate_of(spec)
    assert common_vocabulary().say(spec) == words
    assert predicate.uses == uses
    assert predicate.needs == needed


def _visit(code: str, status: str = "in-progress", name: str = "v") -> Json:
    return encounter(code, status, patient="case", id=name)


@for_rows(
    ("visit", "of_visit", "truth"),
    [
        (_visit("EMER"), False, True),
        (_visit("EMER", "finished"), False, False),
        (_visit("EMER", "finished"), True, True),
        (_visit("OBSENC", "planned"), True, True),
        (_visit("OBSENC", "planned", "other"), True, False),
        (_visit("AMB"), True, False),
    ],
)
def test_an_order_of_a_visit_in_hospital(visit: Json, of_visit: bool, truth: bool) -> None:
    more = {"encounter": {"reference": "Encounter/v"}} if of_visit else {}
    assert answer({"in_hospital": True}, context_of({**METFORMIN_500, "more": more}, more=[visit])) is truth
