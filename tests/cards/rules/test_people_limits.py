"""Near every limit of the age, pregnancy, allergy and duplicate rules; other units and codes, old and missing data."""

from datetime import datetime
from typing import Any

import pytest

from tests.cards.rules.cases import check, family_book, findings
from tests.cards.rules.patients import PATIENT_ID, draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import RXNORM, SNOMED, dispense, observation

Json = dict[str, Any]
SUBJECT = {"reference": f"Patient/{PATIENT_ID}"}


def _bands(rule: str, patient: Json, draft: Json, as_of: datetime) -> list[tuple[str, str]]:
    """Bands and indicators of this rule, by the rules of its family."""
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(draft)), book=family_book(rule))
    return [(band, indicator) for found, band, indicator in findings(outcome) if found == rule]


def _band(rule: str, patient: Json, draft: Json, as_of: datetime) -> str | None:
    return next((band for band, _ in _bands(rule, patient, draft, as_of)), None)


LORAZEPAM: Json = {"drug": "197901", "dose": "1 tablet", "times": 2, "days": 30}
NAPROXEN: Json = {"drug": "198014", "dose": "1 tablet", "times": 2, "days": 30}
ASPIRIN: Json = {"drug": "aspirin 81 MG Oral Tablet", "dose": "1 tablet", "times": 1}
DIGOXIN: Json = {"drug": "digoxin 0.25 MG Oral Tablet", "dose": "0.25 mg", "times": 1}
ACETAMINOPHEN: Json = {"drug": "198440", "dose": "500 mg", "times": 4}
LISINOPRIL: Json = {"drug": "314076", "dose": "1 tablet", "times": 1}
IBUPROFEN: Json = {"drug": "197806", "dose": "1 tablet", "times": 3}
ISOTRETINOIN: Json = {"drug": "197844", "dose": "1 capsule", "times": 2}
SIMVASTATIN: Json = {"drug": "198211", "dose": "1 tablet", "times": 1}


# Older adults

OLDER: list[tuple[str, int, Json, Json]] = [
    ("age-benzodiazepine", 65, {}, LORAZEPAM),
    ("age-z-drug", 65, {}, {"drug": "854873", "dose": "1 tablet", "times": 1}),
    ("age-anticholinergic", 65, {}, {"drug": "1049909", "dose": "1 capsule", "times": 3}),
    ("age-nsaid-gi", 65, {"conditions": ["gi_bleed_or_ulcer"]}, NAPROXEN),
    ("age-nsaid-gi", 76, {}, NAPROXEN),
    ("age-sulfonylurea", 65, {}, {"drug": "glyburide 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}),
    ("age-warfarin-start", 65, {"conditions": ["afib"]}, {"drug": "855332", "dose": "1 tablet", "times": 1}),
    ("age-digoxin-dose", 65, {}, DIGOXIN),
    ("age-muscle-relaxant", 65, {}, {"drug": "methocarbamol 750 MG Oral Tablet", "dose": "1 tablet", "times": 4}),
    ("age-antipsychotic-dementia", 65, {"conditions": ["dementia"]}, {"drug": "haloperidol 1 MG Oral Tablet"}),
    ("age-aspirin-primary", 60, {}, ASPIRIN),
    ("age-cns-three", 65, {"active": ["854873", "sertraline 50 MG Oral Tablet"]}, {"drug": "310431"}),
    ("age-meperidine", 65, {}, {"drug": "meperidine hydrochloride 50 MG Oral Tablet", "dose": "1 tablet", "times": 4}),
]


@for_rows(("rule", "years", "patient", "draft"), OLDER, ids=[f"{one[0]} {one[1]}" for one in OLDER])
def test_an_age_limit_holds_from_the_birthday_on(
    rule: str, years: int, patient: Json, draft: Json, as_of: datetime
) -> None:
    assert _band(rule, patient | {"age": years, "days_older": 0}, draft, as_of) is not None
    assert _band(rule, patient | {"age": years - 1, "days_older": 364}, draft, as_of) is None
    assert _band(rule, patient | {"age": None}, draft, as_of) is None


DURATIONS: list[tuple[str, Json, Json, float, bool, bool]] = [
    ("age-benzodiazepine", {"age": 70}, LORAZEPAM, 7, False, True),
    ("age-z-drug", {"age": 70}, {"drug": "854873", "dose": "1 tablet", "times": 1}, 14, False, True),
    ("age-nsaid-gi", {"age": 80}, NAPROXEN, 7, False, True),
    ("age-nsaid-gi", {"age": 80, "conditions": ["gi_bleed_or_ulcer"]}, NAPROXEN, 7, True, True),
    ("age-antipsychotic-dementia", {"age": 80, "conditions": ["dementia"]},
     {"drug": "haloperidol 1 MG Oral Tablet", "dose": "1 tablet", "times": 2}, 14, False, True),
    ("dup-same-ingredient", {"active": ["312961"]}, SIMVASTATIN, 2, False, True),
    ("dup-class", {"active": ["312961"]}, {"drug": "617311", "dose": "1 tablet", "times": 1}, 2, False, True),
]  # fmt: skip


@for_rows(("rule", "patient", "draft", "days", "on", "above"), DURATIONS)
def test_a_course_near_its_limit(
    rule: str, patient: Json, draft: Json, days: float, on: bool, above: bool, as_of: datetime
) -> None:
    assert bool(_bands(rule, patient, draft | {"days": days}, as_of)) is on
    assert bool(_bands(rule, patient, draft | {"days": days + 1}, as_of)) is above


# Pregnancy


def _woman(**more: Any) -> Json:
    return {"age": 30, "sex": "female", **more}


@for_rows(("years", "band"), [(11, None), (12, "pregnant"), (50, "pregnant"), (51, None)])
def test_the_ages_of_a_pregnancy(years: int, band: str | None, as_of: datetime) -> None:
    patient = _woman(age=years, days_older=0, conditions=["pregnancy"])
    assert _band("preg-raas", patient, LISINOPRIL, as_of) == band


@pytest.mark.parametrize(("days", "band"), [(125, None), (126, "pregnant"), (127, "pregnant")])
def test_an_nsaid_near_week_20(days: int, band: str | None, as_of: datetime) -> None:
    """18 weeks after the onset it is week 20."""
    assert _band("preg-nsaid-20w", _woman(conditions=[["pregnancy", days]]), IBUPROFEN, as_of) == band


@pytest.mark.parametrize(("days", "band"), [(104, "pregnant"), (105, None)])
def test_methimazole_near_week_16(days: int, band: str | None, as_of: datetime) -> None:
    draft = {"drug": "methimazole 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}
    assert _band("preg-antithyroid", _woman(conditions=[["pregnancy", days]]), draft, as_of) == band


@pytest.mark.parametrize(("days", "band"), [(309, "pregnant"), (311, None)])
def test_a_pregnancy_lasts_310_days(days: int, band: str | None, as_of: datetime) -> None:
    assert _band("preg-raas", _woman(conditions=[["pregnancy", days]]), LISINOPRIL, as_of) == band


def _test_of(when: str, answer: str, code: str = "2106-3") -> Json:
    return observation(code, when=when, patient=SUBJECT, id=f"test-{when}", valueCodeableConcept={"text": answer})


@for_rows(
    ("tests", "found"),
    [
        ([_test_of("2026-09-21", "positive")], [("pregnant", "critical")]),
        ([_test_of("2026-09-20", "positive")], [("childbearing", "warning")]),
        ([_test_of("2026-11-06", "negative")], []),
        ([_test_of("2026-11-05", "negative")], [("childbearing", "warning")]),
        ([_test_of("2026-10-01", "positive"), _test_of("2026-10-08", "negative")], [("childbearing", "warning")]),
        ([_test_of("2026-11-01", "positive", "80384-1")], [("pregnant", "critical")]),
        ([_test_of("2026-11-01", "pregnant", "82810-3")], [("pregnant", "critical")]),
        ([_test_of("2026-11-01", "unknown", "82810-3")], [("childbearing", "warning")]),
    ],
)
def test_what_a_test_says_and_for_how_long(tests: list[Json], found: list[tuple[str, str]], as_of: datetime) -> None:
    assert _bands("preg-isotretinoin", _woman(more=tests), ISOTRETINOIN, as_of) == found


@for_rows(("years", "band"), [(11, None), (12, "childbearing"), (50, "childbearing"), (51, None)])
def test_the_ages_in_which_a_pregnancy_can_begin(years: int, band: str | None, as_of: datetime) -> None:
    assert _band("preg-isotretinoin", _woman(age=years, days_older=0), ISOTRETINOIN, as_of) == band


def test_a_problem_list_that_did_not_come_says_nothing_about_a_pregnancy(as_of: datetime) -> None:
    record = record_of(_woman(), as_of)
    record = record.with_requested(frozenset({"MedicationRequest", "AllergyIntolerance"}))
    outcome = check(record, drafts_of(draft_of(ISOTRETINOIN)), book=family_book("preg-isotretinoin"))
    assert findings(outcome) == []
    assert ("preg-isotretinoin", "conditions-missing") in [(one.subject, one.reason) for one in outcome.silences]


# Allergies


def _allergy(identity: str = "a", **more: Any) -> Json:
    reaction = [{"manifestation": [{"text": "Anaphylaxis"}]}]
    return {"resourceType": "AllergyIntolerance", "id": identity, "patient": SUBJECT, "reaction": reaction} | more


PENICILLIN = [
    {"text": "Penicillin"},
    {"text": "PCN"},
    {"coding": [{"system": SNOMED, "code": "91936005"}]},
    {"coding": [{"system": RXNORM, "code": "7984"}], "text": "penicillin V"},
    {"coding": [{"system": RXNORM, "code": "308191", "display": "amoxicillin 500 MG Oral Capsule"}]},
]
AMOXICILLIN: Json = {"drug": "308191", "dose": "1 capsule", "times": 3}


@for_rows("code", PENICILLIN)
def test_the_way_an_allergen_is_written_does_not_matter(code: Json, as_of: datetime) -> None:
    patient = {"allergies": [_allergy(code=code)]}
    assert _bands("allergy-class-betalactam", patient, AMOXICILLIN, as_of) == [("same_class", "critical")]


def test_an_allergy_list_that_did_not_come_is_said(as_of: datetime) -> None:
    record = record_of({}, as_of)
    record = record.with_requested(frozenset({"Condition", "MedicationRequest"}))
    outcome = check(record, drafts_of(draft_of(AMOXICILLIN)), book=family_book("allergy-class-betalactam"))
    reasons = [(one.subject, one.reason) for one in outcome.silences]
    assert ("allergy-class-betalactam", "allergies-missing") in reasons
    assert ("allergy-same-ingredient", "allergies-missing") in reasons


# Duplicates


def _dispensed(words: str, when: str, days: int = 90) -> Json:
    supply = {"value": days, "code": "d"}
    return dispense(words, "given", subject=SUBJECT, whenHandedOver=when, daysSupply=supply)


@pytest.mark.parametrize(("when", "band"), [("2026-10-01", "same"), ("2026-08-01", None)])
def test_what_was_given_out_counts_while_it_lasts(when: str, band: str | None, as_of: datetime) -> None:
    patient = {"more": [_dispensed("simvastatin 20 MG Oral Tablet", when)]}
    assert _band("dup-same-ingredient", patient, SIMVASTATIN, as_of) == band


def test_an_order_that_is_changed_is_no_duplicate_of_itself(as_of: datetime) -> None:
    record = record_of({"active": ["312961"]}, as_of)
    renewal = draft_of(SIMVASTATIN) | {"priorPrescription": {"reference": "MedicationRequest/active-0"}}
    assert findings(check(record, drafts_of(renewal))) == []


LISINOPRIL_20: Json = {"drug": "lisinopril 20 MG Oral Tablet", "dose": "1 tablet", "times": 1, "days": 90}


def test_an_update_of_the_active_order_itself_is_silent(as_of: datetime) -> None:
    record = record_of({"active": ["314076"]}, as_of)
    changed = draft_of(LISINOPRIL_20, "active-0")
    assert findings(check(record, drafts_of(changed), book=family_book("dup-same-ingredient"))) == []


@for_rows("status", ["stopped", "cancelled", "completed", "entered-in-error"])
def test_what_is_over_is_no_duplicate(status: str, as_of: datetime) -> None:
    patient = {"active": [{"drug": "312961", "status": status}]}
    assert _band("dup-same-ingredient", patient, SIMVASTATIN, as_of) is None
