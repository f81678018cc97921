"""One patient for all rules: allergies to a medication, how far back is looked, what is kept for other drafts."""

from datetime import datetime
from typing import Any

import pytest

from cards.rules.language.trigger import Selector
from cards.rules.patient.orders import DraftOrder
from cards.rules.patient.session import PatientSession, newest_weight
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.contexts import AS_OF, context_of, session_of
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import SNOMED, concept, observation

Json = dict[str, Any]
AMOXICILLIN: Json = {"drug": "amoxicillin 500 MG Oral Capsule"}
IBUPROFEN: Json = {"drug": "ibuprofen 400 MG Oral Tablet"}


@for_rows(
    ("allergies", "draft", "is_allergic"),
    [
        (["amoxicillin"], AMOXICILLIN, True),
        (["penicillin"], AMOXICILLIN, True),
        (["NSAIDs"], IBUPROFEN, True),
        (["ibuprofen"], IBUPROFEN, True),
        (["naproxen"], IBUPROFEN, False),
        (["amoxicillin"], IBUPROFEN, False),
        (["peanut"], IBUPROFEN, False),
        ([], IBUPROFEN, False),
        (["peanut", "ibuprofen"], IBUPROFEN, True),
    ],
)
def test_whether_a_medication_is_one_that_the_patient_reacts_to(
    allergies: list[str], draft: Json, is_allergic: bool
) -> None:
    context = context_of(draft, allergies=allergies)
    assert context.session.is_allergic_to(context.medication) is is_allergic


def test_a_medication_that_is_drafted_later_says_what_an_earlier_draft_is() -> None:
    reference = {"medicationReference": {"reference": "Medication/9"}}
    order = {
        name: value for name, value in draft_of(IBUPROFEN, "active-0").items() if name != "medicationCodeableConcept"
    }
    drafts = drafts_of(order | reference, {"resourceType": "Medication", "id": "9", "code": {"text": "warfarin 5 MG"}})
    record = record_of({"active": [IBUPROFEN]}, AS_OF)
    before = PatientSession(record, drafts[:1], signing=True)
    after = PatientSession(record, drafts, signing=True, base=before)
    for session, names, active in ((before, ["Medication/9"], []), (after, ["warfarin"], ["ibuprofen"])):
        assert [drafted.medication.name for drafted in session.drafted] == names
        assert [medication.medication.name for medication in session.active] == active


def test_how_far_back_kidney_function_is_looked_for() -> None:
    assert session_of(IBUPROFEN).kidney_window == "12 months"
    assert session_of(IBUPROFEN, inpatient=True).kidney_window == "30 days"
    assert session_of(IBUPROFEN).patient_reference == "Patient/case"


@pytest.mark.parametrize(("code", "uses"), [("449868002", True), ("8517006", False), ("266919005", False)])
def test_a_result_shows_who_uses_tobacco_now(code: str, uses: bool) -> None:
    smokes = observation("72166-2", patient="case", id="s", valueCodeableConcept=concept(code=code, system=SNOMED))
    assert context_of(IBUPROFEN, more=[smokes]).has_condition("tobacco_use") is uses


def test_an_allergy_to_an_ingredient_or_a_class() -> None:
    session = session_of(IBUPROFEN, allergies=["amoxicillin"])
    assert (session.is_allergic_to_ingredient("723"), session.is_allergic_to_ingredient("5640")) == (True, False)
    assert (session.is_allergic_to_class("penicillin"), session.is_allergic_to_class("nsaid")) == (True, False)
    assert set(session.allergies_by_ingredient) == {"723"}


# What a draft meets in one session: orders that it replaces, what has ended, days that are left, changed drafts.
WARFARIN, METFORMIN, ASPIRIN, LISINOPRIL = "11289", "6809", "1191", "29046"
WARFARIN_5: Json = {"drug": "warfarin sodium 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
METFORMIN_500: Json = {"drug": "metformin hydrochloride 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
ASPIRIN_81: Json = {"drug": "aspirin 81 MG Oral Tablet", "dose": "1 tablet", "times": 1}


def _session(as_of: datetime, *drafts: Json, **patient: Any) -> PatientSession:
    return PatientSession(record_of(patient, as_of), _drafts(*drafts), signing=True)


def _drafts(*drafts: Json) -> list[DraftOrder]:
    return drafts_of(*(draft_of(one, one.get("id", f"draft-{number}")) for number, one in enumerate(drafts)))


def _sources(session: PatientSession) -> list[str]:
    return [medication.source for medication in session.active]


@for_rows(
    ("entry", "days"),
    [
        ({**WARFARIN_5, "ended": -5}, 5.0),
        # Written at midnight of 2026-11-10 for 30 days; asked at 9 o'clock of the 20th.
        ({**WARFARIN_5, "days_ago": 10, "days": 30}, 19.625),
        ({**WARFARIN_5, "days_ago": 10}, float("inf")),
        ({**WARFARIN_5, "undated": True, "days": 30}, float("inf")),
    ],
)
def test_the_days_that_an_order_of_the_chart_still_runs(entry: Json, days: float, as_of: datetime) -> None:
    session = _session(as_of, METFORMIN_500, active=[entry])
    (medication,) = session.active
    assert session.days_left(medication) == days


def test_a_drug_is_a_partner_as_taken_and_as_drafted(as_of: datetime) -> None:
    session = _session(as_of, METFORMIN_500, WARFARIN_5, active=[WARFARIN_5])
    warfarin = [Selector(frozenset({WARFARIN, ASPIRIN}))]
    found = list(session.partners_of(session.drafted[0], warfarin))
    assert [one.source for one in found] == ["MedicationRequest/active-0", "MedicationRequest/draft-1"]
    assert list(session.partners_of(session.drafted[0], warfarin, frozenset({"vka"}))) == found
    assert list(session.partners_of(session.drafted[0], warfarin, frozenset({ASPIRIN}))) == []


def test_a_mixture_is_a_partner_by_the_drug_that_the_draft_does_not_hold(as_of: datetime) -> None:
    mixture = {"drug": "glipizide 5 MG / metformin hydrochloride 500 MG Oral Tablet"}
    session = _session(as_of, METFORMIN_500, active=[mixture])
    glipizide = next(code for code, one in INGREDIENTS.items() if one.name == "glipizide")
    assert len(list(session.partners_of(session.drafted[0], [Selector(frozenset({glipizide}))]))) == 1
    assert list(session.partners_of(session.drafted[0], [Selector(frozenset({METFORMIN}))])) == []


def test_the_order_that_a_draft_renews_is_not_beside_it(as_of: datetime) -> None:
    renewal = {**WARFARIN_5, "more": {"priorPrescription": {"reference": "MedicationRequest/active-0"}}}
    session = _session(as_of, renewal, ASPIRIN_81, active=[WARFARIN_5, METFORMIN_500])
    drafted = session.drafted[0]
    keys = (WARFARIN, METFORMIN, ASPIRIN)
    beside = ["MedicationRequest/active-1", "MedicationRequest/draft-1"]
    assert [one.source for one in session.medications_beside(drafted, keys)] == beside
    assert [one.source for one in session.medications_beside(drafted, keys, 1)] == beside[:1]
    assert [one.source for one in session.medications_beside(drafted, keys, 4)] == beside
    assert session.medications_beside(drafted, (WARFARIN,)) == []
    assert session.medications_beside(drafted, (LISINOPRIL,)) == []


@for_rows(
    ("draft", "left"),
    [
        ({**WARFARIN_5, "id": "active-0"}, []),
        ({"drug": "Zaubertrank", "id": "active-0"}, []),
        ({**METFORMIN_500, "id": "active-0"}, ["MedicationRequest/active-0"]),
        ({**WARFARIN_5, "id": "draft-9"}, ["MedicationRequest/active-0"]),
        # A stopped order is a draft too: it is not taken any more.
        ({**WARFARIN_5, "id": "active-0", "more": {"status": "stopped"}}, []),
        ({"drug": "Potassium", "test": "2823-3", "id": "active-0"}, ["MedicationRequest/active-0"]),
    ],
)
def test_a_draft_with_the_name_and_the_drug_of_an_order_is_that_order(
    draft: Json, left: list[str], as_of: datetime
) -> None:
    assert _sources(_session(as_of, draft, active=[WARFARIN_5])) == left


def test_of_two_drafts_with_one_name_the_first_says_what_becomes_of_the_order(as_of: datetime) -> None:
    same, other = {**WARFARIN_5, "id": "active-0"}, {**METFORMIN_500, "id": "active-0"}
    assert _sources(_session(as_of, same, other, active=[WARFARIN_5])) == []
    assert _sources(_session(as_of, other, same, active=[WARFARIN_5])) == ["MedicationRequest/active-0"]


def test_what_is_met_is_known_by_ingredient_and_class(as_of: datetime) -> None:
    session = _session(as_of, METFORMIN_500, active=[WARFARIN_5, {**ASPIRIN_81, "ended": 2}])
    assert {WARFARIN, METFORMIN, "vka"} <= session.keys
    assert ASPIRIN not in session.keys
    assert session.may_meet(frozenset({WARFARIN, LISINOPRIL}), also_ended=False)
    assert not session.may_meet(frozenset({LISINOPRIL}), also_ended=False)
    assert session.may_meet(frozenset({LISINOPRIL}), also_ended=True)
    nobody = _session(as_of, METFORMIN_500)
    assert not nobody.may_meet(frozenset({LISINOPRIL}), also_ended=True)
    assert session.selected(Selector(frozenset({LISINOPRIL}))) == []
    both = session.selected(Selector(frozenset({WARFARIN, METFORMIN})))
    assert [one.source for one in both] == ["MedicationRequest/active-0", "MedicationRequest/draft-0"]
    injected = Selector(frozenset({WARFARIN, METFORMIN}), route="injected")
    assert session.selected(injected) == []
    of_warfarin = Selector(frozenset({WARFARIN}))
    without = session.with_drafts([])
    assert without.selected(of_warfarin) is session.selected(of_warfarin)
    assert [one.source for one in without.selected(Selector(frozenset({WARFARIN, METFORMIN})))] == [both[0].source]


def test_washed_out_after_35_days_at_the_latest(as_of: datetime) -> None:
    for ended, is_met in ((35, True), (36, False)):
        session = _session(as_of, METFORMIN_500, active=[{**WARFARIN_5, "days_ago": 90, "ended": ended}])
        assert session.may_meet(frozenset({LISINOPRIL}), also_ended=True) is is_met, ended


def test_the_lists_of_a_changed_session_are_those_of_one_made_anew(as_of: datetime) -> None:
    drafts = [METFORMIN_500, {**WARFARIN_5, "id": "w1"}, {**WARFARIN_5, "id": "w2"}]
    first = _session(as_of, *drafts, active=[WARFARIN_5, ASPIRIN_81])
    assert WARFARIN in first.keys
    (stopped,) = _drafts({**WARFARIN_5, "id": "active-0", "more": {"status": "stopped"}})
    (lisinopril,) = _drafts({"drug": "lisinopril 10 MG Oral Tablet", "id": "l"})
    metformin, w1, w2 = first.drafts
    for kept, warfarins in (
        ([metformin, w2], ["active-0", "w2"]),
        ([metformin, w1, w2, stopped], ["w1", "w2"]),
        ([metformin, lisinopril], ["active-0"]),
        ([metformin, stopped], []),
    ):
        after = first.with_drafts(kept)
        found = [one.source for one in after.medications_beside(after.drafted[0], (WARFARIN,))]
        assert found == [f"MedicationRequest/{name}" for name in warfarins]
        assert (WARFARIN in after.keys) is bool(warfarins)
        assert (LISINOPRIL in after.keys) is (lisinopril in kept)


def test_a_drug_named_by_a_medication_among_the_drafts(as_of: datetime) -> None:
    def medication(words: str) -> Json:
        return {"resourceType": "Medication", "id": "m", "code": {"text": words}}

    order = draft_of({"drug": "x", "more": {"medicationReference": {"reference": "Medication/m"}}}, "o")
    del order["medicationCodeableConcept"]
    record = record_of({}, as_of)
    session = PatientSession(record, drafts_of(order, medication("warfarin 5 mg tablet")))
    assert session.drafted[0].medication.rxcuis == (WARFARIN,)
    assert {"m", "Medication/m"} <= session.medications.keys()
    alone = session.with_drafts(drafts_of(order))
    assert alone.medications == {}
    assert alone.drafted[0].medication.rxcuis == ()


def test_a_renewal_is_no_new_start_whether_or_not_the_order_came(as_of: datetime) -> None:
    renewal = {**WARFARIN_5, "more": {"priorPrescription": {"reference": "MedicationRequest/elsewhere"}}}
    session = _session(as_of, renewal)
    (drafted,) = session.drafted
    assert session.is_new_start(drafted.medication.ingredients[0], drafted) is False


@for_rows(("age", "days_ago", "kilograms"), [(17, 90, 50.0), (17, 91, None), (18, 91, 50.0), (None, 91, 50.0)])
def test_a_childs_weight_counts_for_90_days(
    age: int | None, days_ago: int, kilograms: float | None, as_of: datetime
) -> None:
    weight = newest_weight(record_of({"age": age, "labs": [["body_weight", 50, days_ago]]}, as_of))
    assert (weight.value if weight is not None else None) == kilograms


@pytest.mark.parametrize(
    ("not_sent", "known"),
    [([], True), (["MedicationRequest"], True), (["MedicationRequest", "MedicationStatement"], False)],
)
def test_one_list_of_medications_is_enough(not_sent: list[str], known: bool, as_of: datetime) -> None:
    assert _session(as_of, METFORMIN_500, not_sent=not_sent).knows_medications is known
