"""The person of a chart as CDC's rules ask for it: problems, procedures, allergies, drugs and a pregnancy."""

from datetime import date, timedelta
from typing import Any

import pytest

from cards.vaccines.patient import (
    ONSET_OF_PREGNANCY,
    PREGNANT,
    ChartedPerson,
    read_person,
)
from tests.each import for_rows
from tests.fhir.builders import (
    MAN,
    SNOMED,
    WOMAN,
    allergy,
    condition,
    observation,
    problem,
    procedure,
    record_of,
)

Json = dict[str, Any]
PROVISIONAL: Json = {"coding": [{"code": "provisional"}]}
CVX = "http://hl7.org/fhir/sid/cvx"
TRANSPLANT, CHICKENPOX, INTUSSUSCEPTION, HEPATITIS_C, NEURO = (
    "234336002", "38907003", "49723003", "50711007", "84757009",
)  # fmt: skip


def _person(*resources: Json, patient: Json | None = None) -> ChartedPerson:
    charted = read_person(record_of(*resources, patient=patient or WOMAN))
    assert charted is not None
    return charted


def _observed(*resources: Json, patient: Json | None = None) -> list[tuple[str, date | None, str]]:
    person = _person(*resources, patient=patient).person
    return [(item.code, item.since, item.source) for item in person.observations]


def _codes(*resources: Json) -> list[str]:
    return [code for code, _, _ in _observed(*resources)]


# Problems


@for_rows(
    ("words", "codes"),
    [
        ("Anaphylaxis caused by vaccine product containing Hepatitis A virus antigen (disorder)", ["096"]),
        ("anaphylactic shock after MMR vaccine", ["091", "092", "093"]),
        ("mother had anaphylaxis to flu vaccine", []),
        ("no anaphylaxis to influenza vaccine", []),
        ("anaphylaxis to peanut", []),
        ("reaction to MMR vaccine", []),
    ],
)
def test_an_anaphylaxis_to_a_vaccine_counts_from_the_problems_also_when_over(words: str, codes: list[str]) -> None:
    for status in ("active", "resolved"):
        assert _codes(problem({"text": words}, status=status)) == codes


# Procedures


@pytest.mark.parametrize(("cells", "is_severe"), [(80, True), (199, True), (200, False)])
def test_a_low_cd4_count_says_how_far_hiv_suppresses(cells: float, is_severe: bool) -> None:
    count = observation("24467-3", cells, "/uL")
    assert ("154" in _codes(condition("B20", "http://hl7.org/fhir/sid/icd-10-cm"), count)) is is_severe
    assert "154" not in _codes(count)
    suspected = condition("B20", "http://hl7.org/fhir/sid/icd-10-cm", verificationStatus=PROVISIONAL)
    assert "154" not in _codes(suspected, count)


def _procedure(**more: Any) -> Json:
    concept = {"coding": [{"system": SNOMED, "code": TRANSPLANT}], "text": "Stem cell transplant"}
    return procedure(concept, when="2026-03-01", id="p1") | more


@pytest.mark.parametrize(("day", "is_open"), [("2026-08-21", True), ("2026-08-22", False)])
def test_pneumococcal_vaccines_begin_three_months_after_a_transplant(day: str, is_open: bool) -> None:
    assert ("157" in _codes(_procedure(performedDateTime=day))) is is_open


# Allergies


def _allergy(words: str = "", codes: tuple[tuple[str, str], ...] = (), **more: Any) -> Json:
    named = {"text": words} if words else {}
    return allergy({"coding": [{"system": system, "code": code} for system, code in codes]} | named, id="a1") | more


_HIGH: Json = {"criticality": "high"}
_LOW: Json = {"criticality": "low"}
_SEVERE = {"reaction": [{"manifestation": [{"text": "Rash"}], "severity": "severe"}]}
_MILD = {"reaction": [{"manifestation": [{"text": "Rash"}], "severity": "mild"}]}


@for_rows(("more", "observed"), [(_HIGH, True), (_SEVERE, True), (_LOW, False), (_MILD, False), ({}, False)])
def test_an_allergy_to_a_coded_vaccine_counts_where_it_was_severe(more: Json, observed: bool) -> None:
    assert _codes(_allergy(codes=((CVX, "3"),), **more)) == (["091", "092", "093"] if observed else [])
    assert _codes(_allergy(codes=((CVX, "03"),), **more)) == (["091", "092", "093"] if observed else [])
    assert _codes(_allergy(codes=(("urn:x", "03"),), **more)) == []
    assert _codes(_allergy(code={"coding": [{"system": CVX}]}, **more)) == []


# Medications


def test_a_pregnancy_is_counted_from_its_beginning_and_names_the_entry_that_says_so() -> None:
    twenty_weeks = observation("11884-4", 20, "wk", "2026-11-10")
    pregnant = condition("Z33.1", "http://hl7.org/fhir/sid/icd-10-cm")
    (onset,) = [
        seen
        for seen in _observed(pregnant, twenty_weeks, patient=WOMAN | {"birthDate": "1996-11-20"})
        if seen[0] == ONSET_OF_PREGNANCY
    ]
    over = condition("Z33.1", "http://hl7.org/fhir/sid/icd-10-cm", "resolved")
    on_men = [_observed(entry, patient=MAN) for entry in (pregnant, over)]
    assert [PREGNANT in [code for code, *_ in seen] for seen in on_men] == [True, False]
    assert onset == (ONSET_OF_PREGNANCY, date(2026, 11, 10) - timedelta(weeks=20), f"Observation/{twenty_weeks['id']}")
