"""Immunity that a laboratory's result shows, and vaccines that the patient declines, one condition at a time."""

from datetime import date, timedelta
from typing import Any

from cards.vaccines.evidence import (
    DeclinedVaccine,
    declined_vaccines,
    groups_of,
    immunity_shown,
    immunity_stated,
)
from cards.vaccines.knowledge import load_knowledge
from fhir.record.datatypes import CodeableConcept, Coding
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SUBJECT, observation, record_of

Json = dict[str, Any]
CVX = "http://hl7.org/fhir/sid/cvx"
INFECTED, MEASLES, ANTIBODY = "5196-1", "20479-2", "16935-9"


def _result(code: str = MEASLES, **more: Any) -> Json:
    concept = {"coding": [{"system": "urn:x", "code": "x"}, {"system": "http://loinc.org", "code": code}], "text": "T"}
    valued = {"valueQuantity", "valueCodeableConcept", "interpretation"} & set(more)
    return observation(concept, when="2026-05-03", id="o1", valueString=None if valued else "Positive") | more


def _shown(**more: Any) -> list[tuple[str, date | None, str, str]]:
    return list(immunity_shown(record_of(_result(**more))))


def test_a_positive_result_is_cdc_s_observation_with_its_day() -> None:
    assert _shown() == [("020", date(2026, 5, 3), "Observation/o1", "T")]
    assert _shown(code=INFECTED)[0][0] == "019"
    assert _shown(code="2823-3") == []


@for_rows(
    "more",
    [
        {"effectiveDateTime": None},
        {"effectiveDateTime": (AS_OF + timedelta(days=3)).isoformat()},
        {"status": "entered-in-error"},
        {"status": "registered"},
    ],
)
def test_a_result_without_a_time_or_of_the_future_or_that_is_none_shows_nothing(more: Json) -> None:
    assert _shown(**more) == []


# Declined


def _not_done(reason: Json | None, when: str | None = "2026-05-03", vaccine: Json | None = None, **more: Any) -> Json:
    return {
        "resourceType": "Immunization", "id": "i1", "status": "not-done", "patient": SUBJECT,
        "vaccineCode": vaccine or {"coding": [{"system": CVX, "code": "03"}]}, "occurrenceDateTime": when,
        "statusReason": reason,
    } | more  # fmt: skip


def _declined(*resources: Json) -> dict[str, DeclinedVaccine]:
    return declined_vaccines(record_of(*resources), load_knowledge())


_REFUSAL = {"coding": [{"code": "PATOBJ"}]}


@for_rows(
    ("reason", "is_declined"),
    [
        *[({"coding": [{"code": code}]}, True) for code in ("PATOBJ", "PHILISOP", "RELIG", "105480006", "183944003",
                                                             "416432009")],
        ({"text": "Patient refused"}, True), ({"text": "declined by parent"}, True), ({"text": "patient choice"}, True),
        ({"coding": [{"code": "MEDPREC"}]}, False), ({"text": "out of stock"}, False), (None, False),
    ],
)  # fmt: skip
def test_what_the_patient_declines(reason: Json | None, is_declined: bool) -> None:
    expected = {"MMR": DeclinedVaccine("MMR", "2026-05-03")} if is_declined else {}
    assert _declined(_not_done(reason)) == expected


def test_a_dose_that_was_not_given_because_the_patient_is_immune() -> None:
    immune = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "IMMUNE"}]}
    knowledge = load_knowledge()
    assert immunity_stated(record_of(_not_done(immune)), knowledge) == {"MMR"}
    assert immunity_stated(record_of(_not_done(_REFUSAL)), knowledge) == frozenset()
    assert immunity_stated(record_of(_not_done(None)), knowledge) == frozenset()
    assert groups_of(None, knowledge) == frozenset()
    assert groups_of(CodeableConcept((Coding(CVX, "21"),)), knowledge) == {"Varicella"}
