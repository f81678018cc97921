"""Whether a pregnancy can begin and nothing on record prevents it."""

from typing import Any

import pytest

from fhir.mapping.childbearing import childbearing_no_contraception
from fhir.mapping.medications.active import active_medications
from tests.each import for_rows
from tests.fhir.builders import ICD10, SNOMED, condition, procedure, record_of

WOMAN = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1996-05-05"}


def _answer(*resources: dict[str, Any], patient: dict[str, Any] = WOMAN, known: frozenset[str] | None = None) -> object:
    record = record_of(*resources, patient=patient)
    record = record.with_requested(known)
    return childbearing_no_contraception(record, [one.identity for one in active_medications(record)])


def _procedure(code: str, when: str, system: str = SNOMED) -> dict[str, Any]:
    concept = {"coding": [{"system": system, "code": code}]}
    return procedure(concept, when=when, id=f"{code}-{when}")


@for_rows(("gender", "answer"), [("male", False), ("female", True), ("other", None), ("unknown", None)])
def test_only_a_woman_is_meant_and_nothing_is_guessed(gender: str, answer: bool | None) -> None:
    assert _answer(patient=WOMAN | {"gender": gender}) is answer


@for_rows(
    "resource",
    [
        condition("Z90.710", ICD10),
        condition("Z98.51", ICD10),
        condition("161800001") | {"code": {"text": "History of hysterectomy"}},
        condition("1") | {"code": {"text": "Postmenopausal state"}},
        condition("N95.1", ICD10),
        condition("Z97.5", ICD10),
        condition("627.2", "http://hl7.org/fhir/sid/icd-9-cm"),
        condition("72892002", onsetDateTime="2026-08-01"),
        _procedure("236886002", "2020-01-01"),
        _procedure("6841", "2020-01-01", "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-procedure-icd9"),
        _procedure("65200003", "2024-01-01"),
        _procedure("169553002", "2024-01-01"),
    ],
)
def test_what_makes_it_impossible_or_prevents_it_or_has_happened(resource: dict[str, Any]) -> None:
    assert _answer(resource) is False


@for_rows(("words", "answer"))
def test_words_count_only_where_they_are_said_of_the_patient(words: str, answer: bool) -> None:
    assert _answer(condition("1") | {"code": {"text": words}}) is answer


def test_a_statement_counts_from_its_day_and_without_one_as_long_ago() -> None:
    placed, ahead = _procedure("169553002", "2026-11-20"), _procedure("169553002", "2026-12-01")
    assert [_answer(placed), _answer(ahead)] == [False, True]
    undated = {name: part for name, part in placed.items() if name != "performedDateTime"}
    removed = _procedure("301807007", "1980-01-01")
    assert [_answer(undated), _answer(undated, removed)] == [False, True]
    same_day = _procedure("301807007", "2026-11-20")
    assert _answer(placed, same_day) is True
    assert _answer(undated | {"performedPeriod": {"start": "1990-01-01"}}, removed) is False
    assert _answer(placed | {"status": "in-progress"}) is True
    noted = condition("Z97.5", ICD10, onsetDateTime="2026-01-01", recordedDate="2026-06-01")
    assert _answer(noted, _procedure("301807007", "2026-03-01")) is True
    assert _answer(placed, condition("1"), {**condition("2"), "code": None}) is False


@pytest.mark.parametrize("missing", ["Condition", "MedicationRequest"])
def test_what_was_not_asked_for_is_not_known(missing: str) -> None:
    asked = frozenset({"Condition", "MedicationRequest"}) - {missing}
    assert _answer(known=asked) is None
    assert _answer(known=asked, patient=WOMAN | {"gender": "male"}) is False
