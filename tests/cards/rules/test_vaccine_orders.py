"""A live vaccine that is ordered as a service is judged as one that is ordered as a medication."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cards.compose.orders import check_orders
from cards.rules.patient.orders import read_drafts
from fhir.record.record import read_record, read_value
from tests.fhir.builders import medication_order, problem, service_request

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
CVX = "http://hl7.org/fhir/sid/cvx"
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1994-04-04"}
PREGNANT = problem(code="Z33.1", id="c1", onsetDateTime="2026-09-01")
ADALIMUMAB = medication_order("Adalimumab 40 mg injection", id="m1", authoredOn="2026-10-01")
TRANSPLANT = PREGNANT | {
    "id": "c2",
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z94.0"}]},
}


def _order(code: dict[str, Any], **members: Any) -> dict[str, Any]:
    return service_request(code, status="draft", id="d1") | members


def _coded(code: str, system: str = CVX) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _cards(order: dict[str, Any], *chart: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The rule and the suggestions of each card."""
    bundle = {"resourceType": "Bundle", "entry": [{"resource": each} for each in (PATIENT, *chart)]}
    value, _ = read_value("chart", json.dumps(bundle).encode())
    record = read_record({"chart": value}, "p1", AS_OF)
    numbers = iter(range(100))
    outcome = check_orders(record, read_drafts([{"resource": order}]), None, lambda: f"u{next(numbers)}", signing=True)
    return [(card.own_extension.findings[0].rule, [one.label for one in card.suggestions]) for card in outcome.cards]


LIVE = [
    _coded("03"),
    _coded("94"),
    _coded("21", "urn:oid:2.16.840.1.113883.12.292"),
    {"text": "MMR vaccine"},
    {"text": "Measles, mumps and rubella vaccination"},
    {"text": "Varicella immunization"},
    {"text": "Administer chickenpox vaccine"},
    {"text": "FluMist"},
    {"text": "Influenza vaccine, live, intranasal"},
    {"text": "ProQuad", "coding": [{"system": "http://snomed.info/sct", "code": "432636005"}]},
]


@pytest.mark.parametrize("code", LIVE, ids=str)
def test_a_live_vaccine_as_a_service_speaks_in_pregnancy(code: dict[str, Any]) -> None:
    assert _cards(_order(code), PREGNANT) == [("vaccine-live-pregnancy", ["Cancel this order"])]
    assert _cards(_order(code)) == []


@pytest.mark.parametrize(
    "code", [*LIVE, {"text": "Yellow fever vaccination"}, {"text": "Oral typhoid vaccine"}], ids=str
)
def test_a_live_vaccine_as_a_service_speaks_in_immunosuppression(code: dict[str, Any]) -> None:
    assert _cards(_order(code), ADALIMUMAB) == [("vaccine-live-immunosuppressant", ["Cancel this order"])]
    assert _cards(_order(code), TRANSPLANT) == [("vaccine-live-immunodeficiency", ["Cancel this order"])]


@pytest.mark.parametrize(
    "code",
    [
        {"text": "MMR titer"},
        {"text": "Varicella zoster IgG antibody"},
        {"text": "Measles immunity status"},
        {"text": "Vaccine history review"},
        {"text": "Influenza vaccine, injectable"},
        {"text": "Tdap vaccination"},
        {"text": "Shingrix"},
        {"text": "Varicella PCR"},
        _coded("115"),
        _coded("187"),
        {"text": "Methotrexate level"},
        {"text": "Physical therapy"},
        {"coding": [{"system": "http://loinc.org", "code": "03"}], "text": "Three"},
    ],
    ids=str,
)
def test_what_is_no_live_vaccine_stays_silent(code: dict[str, Any]) -> None:
    assert _cards(_order(code), PREGNANT, ADALIMUMAB, TRANSPLANT) == []


@pytest.mark.parametrize("members", [{"status": "revoked"}, {"status": "completed"}, {"doNotPerform": True}], ids=str)
def test_a_vaccination_that_is_not_to_be_done_is_not_judged(members: dict[str, Any]) -> None:
    assert _cards(_order({"text": "MMR vaccine"}, **members), PREGNANT) == []


def test_a_vaccine_and_an_immunosuppressant_drafted_together_are_seen() -> None:
    drafts = [_order({"text": "MMR vaccine"}), ADALIMUMAB | {"id": "d2", "status": "draft"}]
    value, _ = read_value("chart", json.dumps(PATIENT).encode())
    record = read_record({"chart": value}, "p1", AS_OF)
    numbers = iter(range(100))
    read = read_drafts([{"resource": each} for each in drafts])
    outcome = check_orders(record, read, None, lambda: f"u{next(numbers)}", signing=True)
    assert "vaccine-live-immunosuppressant" in {
        one.rule for card in outcome.cards for one in card.own_extension.findings
    }
