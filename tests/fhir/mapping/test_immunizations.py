"""Vaccine doses on a record: which entries are doses, and which are refused and why."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from fhir.mapping.immunizations import VaccineDose, VaccineHistory, vaccine_history
from fhir.record.record import read_record
from fhir.record.refusals import Refusal
from fhir.terminology.medications import CVX, product_of
from tests.each import for_rows
from tests.fhir.builders import bundle, concept, lean, made, subject_of

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def history(*entries: dict[str, Any]) -> VaccineHistory:
    dose = {"status": "completed", "vaccineCode": concept(code="03", system=CVX), "patient": subject_of("p")}
    doses = [
        made("Immunization", id=f"dose-{number}", occurrenceDateTime="2021-02-03", **dose) | entry
        for number, entry in enumerate(entries)
    ]
    child = made("Patient", id="p", birthDate="2020-01-01")
    return vaccine_history(read_record({"all": lean(bundle(child, *doses))}, "p", AS_OF))


@pytest.mark.parametrize(
    ("system", "code", "cvx"),
    [(CVX, "3", "03"), (CVX, "003", "03"), ("urn:oid:2.16.840.1.113883.12.292", "110", "110")],
)
def test_a_code_is_read_in_every_spelling(system: str, code: str, cvx: str) -> None:
    (dose,) = history({"vaccineCode": {"coding": [{"system": system, "code": code}]}}).doses
    assert dose.cvx == cvx


@for_rows(
    "entry",
    [
        {"status": "not-done"},
        {"status": "entered-in-error"},
        {"status": "in-progress"},
        {"vaccineCode": {"coding": [{"system": CVX, "code": "998"}]}},
    ],
)
def test_what_was_not_given_is_no_dose_and_no_fault(entry: dict[str, Any]) -> None:
    found = history(entry)
    assert (found.doses, found.unread) == ((), ())


def test_a_live_vaccine_is_known_as_a_drug_by_its_code() -> None:
    found = product_of(CVX, "3")
    assert found is not None
    assert [member.name for member in found.ingredients] == ["measles, mumps and rubella vaccine (live)"]
    assert product_of(CVX, "187") is None


def test_a_dose_is_whole_with_its_words_and_manufacturer() -> None:
    maker = {"identifier": {"system": "http://hl7.org/fhir/sid/mvx", "value": "MSD"}}
    code = {"coding": [{"system": "urn:x", "code": "7"}, {"system": CVX, "code": "03"}], "text": "MMR"}
    (dose,) = history({"vaccineCode": code, "manufacturer": maker}).doses
    assert dose == VaccineDose("03", date(2021, 2, 3), "Immunization/dose-0", "MMR", "MSD", substandard=False)
    for other in ({"identifier": {"system": "urn:x", "value": "MSD"}}, {"display": "MSD"},
                  {"identifier": {"system": "http://hl7.org/fhir/sid/mvx"}}):  # fmt: skip
        assert [dose.manufacturer for dose in history({"manufacturer": other}).doses] == [""]


@for_rows(
    ("more", "is_substandard"),
    [
        ({}, False),
        ({"isSubpotent": True}, True),
        ({"isSubpotent": False}, False),
        ({"expirationDate": "2021-02-02"}, True),
        ({"expirationDate": "2021-02-03"}, False),
        ({"expirationDate": "2021-01"}, False),
    ],
)
def test_a_weak_or_expired_dose_is_substandard(more: dict[str, Any], is_substandard: bool) -> None:
    assert [dose.substandard for dose in history(more).doses] == [is_substandard]


@for_rows(
    ("entry", "reason", "text"),
    [
        ({"vaccineCode": {"text": "MMR"}}, "no-vaccine-code", "has no CVX code: not counted."),
        ({"vaccineCode": {"coding": [{"system": CVX, "code": "3a"}]}}, "no-vaccine-code",
         "has no CVX code: not counted."),
        ({"occurrenceDateTime": "2021-02"}, "no-day", "does not say on which day it was given: not counted."),
        ({"occurrenceDateTime": None}, "no-day", "does not say on which day it was given: not counted."),
        ({"occurrenceDateTime": "2026-11-22"}, "future", "lies in the future: not counted."),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_counted_says_why(entry: dict[str, Any], reason: str, text: str) -> None:
    read = history({name: part for name, part in entry.items() if part is not None} | (
        {"occurrenceDateTime": ""} if "occurrenceDateTime" in entry and entry["occurrenceDateTime"] is None else {}
    ))  # fmt: skip
    source = "Immunization/dose-0"
    assert (read.doses, read.unread) == ((), (Refusal(source, reason, f"{source} {text}"),))
    assert reason != "future" or read.to_check == ()
    assert history({"vaccineCode": {"text": "an injection"}}).to_check == ()


def test_doses_come_by_day_and_one_entry_of_a_vaccine_and_day_counts() -> None:
    later, earlier = {"occurrenceDateTime": "2022-01-01"}, {"occurrenceDateTime": "2021-01-01T10:00:00Z"}
    other = {"occurrenceDateTime": "2022-01-01", "vaccineCode": {"coding": [{"system": CVX, "code": "21"}]}}
    read = history(later, earlier, later, other, {"status": "not-done"})
    assert [(dose.cvx, dose.given, dose.source) for dose in read.doses] == [
        ("03", date(2021, 1, 1), "Immunization/dose-1"),
        ("03", date(2022, 1, 1), "Immunization/dose-0"),
        ("21", date(2022, 1, 1), "Immunization/dose-3"),
    ]
    assert read.days == (date(2021, 1, 1), date(2022, 1, 1))
    assert read.unread == ()
    assert history({"vaccineCode": {"coding": [{"system": CVX, "code": "998"}]}}) == VaccineHistory((), ())
