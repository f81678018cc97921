"""Whether a pregnancy can begin and nothing on record prevents it."""

from typing import Any

import pytest

from fhir.mapping.childbearing import childbearing_no_contraception, is_contraceptive
from fhir.mapping.medications.active import active_medications
from tests.each import for_rows
from tests.fhir.builders import ICD10, SNOMED, condition, identity_of, procedure, record_of, request

WOMAN = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1996-05-05"}


def _answer(*resources: dict[str, Any], patient: dict[str, Any] = WOMAN, known: frozenset[str] | None = None) -> object:
    record = record_of(*resources, patient=patient)
    record = record.with_requested(known)
    return childbearing_no_contraception(record, [one.identity for one in active_medications(record)])


def _procedure(code: str, when: str, system: str = SNOMED) -> dict[str, Any]:
    concept = {"coding": [{"system": system, "code": code}]}
    return procedure(concept, when=when, id=f"{code}-{when}")


def test_a_woman_of_thirty_of_whom_nothing_is_known() -> None:
    assert _answer() is True


@for_rows(
    ("born", "answer"),
    [("2014-11-21", False), ("2014-11-20", True), ("1975-11-21", True), ("1975-11-20", False), (None, None)],
)
def test_the_ages_of_twelve_and_fifty_belong_to_it(born: str | None, answer: bool | None) -> None:
    woman = {key: value for key, value in (WOMAN | {"birthDate": born}).items() if value}
    assert _answer(patient=woman) is answer


@for_rows(("gender", "answer"), [("male", False), ("female", True), ("other", None), ("unknown", None)])
def test_only_a_woman_is_meant_and_nothing_is_guessed(gender: str, answer: bool | None) -> None:
    assert _answer(patient=WOMAN | {"gender": gender}) is answer


@for_rows(
    "words",
    [
        "levonorgestrel 52 MG Intrauterine System", "Yaz", "Jolivette", "ethinyl estradiol / norgestimate",
        "medroxyprogesterone acetate 150 MG/ML Injectable Suspension", "Paragard IUD", "oral contraceptive",
        "birth control pill", "Natazia 28 Day Pack", "Errin 28 Day Pack", "Nexplanon 68 MG Drug Implant",
        "Depo-SubQ Provera 104",
    ],
)  # fmt: skip
def test_a_contraceptive_of_any_kind_is_one(words: str) -> None:
    assert _answer(request(words)) is False


@pytest.mark.parametrize(
    "words", ["medroxyprogesterone acetate 10 MG Oral Tablet", "estradiol 1 MG Oral Tablet", "iron"]
)
def test_hormones_for_another_purpose_are_none(words: str) -> None:
    assert not is_contraceptive(identity_of(words))


def test_one_that_was_stopped_counts_no_more() -> None:
    assert _answer(request("Yaz", status="stopped")) is True


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


@for_rows(
    ("words", "answer"),
    [
        ("Hysterectomy 2019", False),
        ("No hysterectomy", True),
        ("Planned hysterectomy", True),
        ("Mother had hysterectomy", True),
        ("No tubal ligation. Hysterectomy in 2019", False),
        ("Family history of early menopause", True),
        ("Pre-menopausal bleeding", True),
        ("Peri menopausal symptoms", True),
        ("Post-menopausal bleeding", False),
        ("Sterilization", False),
    ],
)
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


def test_the_injection_prevents_and_the_tablet_does_not_whatever_says_so() -> None:
    by_mouth, injected = identity_of("medroxyprogesterone 10 MG PO"), identity_of("medroxyprogesterone 150 MG/ML")
    assert [is_contraceptive(by_mouth), is_contraceptive(injected)] == [False, True]


def test_an_implant_that_was_taken_out_prevents_nothing() -> None:
    placed, removed = _procedure("169553002", "2024-01-01"), _procedure("301807007", "2026-01-01")
    assert _answer(placed, removed) is True
    assert _answer(placed, removed, _procedure("169553002", "2026-02-01")) is False


@pytest.mark.parametrize("missing", ["Condition", "MedicationRequest"])
def test_what_was_not_asked_for_is_not_known(missing: str) -> None:
    asked = frozenset({"Condition", "MedicationRequest"}) - {missing}
    assert _answer(known=asked) is None
    assert _answer(known=asked, patient=WOMAN | {"gender": "male"}) is False
