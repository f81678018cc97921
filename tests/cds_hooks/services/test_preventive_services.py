"""The service `preventive-services`: one merged card, what was not seen, when it says nothing, what was answered."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from tests.cards.preventive.charts import pack_years, person, problem, result, smoking
from tests.cds_hooks.calls import client, ours
from tests.fhir.builders import SNOMED, bundle, condition

SERVICE = "preventive-services"
Json = dict[str, Any]
_KEYS = {
    "Condition": "conditions", "Procedure": "procedures", "DiagnosticReport": "reports", "ServiceRequest": "tests",
    "MedicationRequest": "medications", "MedicationStatement": "statements", "AllergyIntolerance": "allergies",
    "Encounter": "encounters",
}  # fmt: skip
_OBSERVATIONS = ("labs", "pressures", "body", "tobacco", "screening")


def request(*resources: Json, without: tuple[str, ...] = (), **patient: Any) -> Json:
    """A call with every key of the service; the Observations come under `screening`."""
    prefetch = {key: bundle(*(one for one in resources if one["resourceType"] == kind)) for kind, key in _KEYS.items()}
    observations = [one for one in resources if one["resourceType"] == "Observation"]
    prefetch |= {key: bundle(*(observations if key == "screening" else ())) for key in _OBSERVATIONS}
    prefetch |= {"patient": person() | patient, "orderedProducts": bundle()}
    return {
        "hook": "patient-view",
        "hookInstance": "5d1f0b3a-0000-4000-8000-000000000002",
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": {key: value for key, value in prefetch.items() if key not in without},
    }


def answers(folder: Path, as_of: datetime, *bodies: Json) -> list[Any]:
    async def call() -> list[Any]:
        async with client(folder, as_of=as_of) as calls:
            return [await calls.post(f"/cds-services/{SERVICE}", json=body) for body in bodies]

    found = asyncio.run(call())
    assert {each.status_code for each in found} == {200}, [each.text for each in found]
    return found


def card_of(folder: Path, as_of: datetime, *resources: Json, **patient: Any) -> Json:
    (answered,) = answers(folder, as_of, request(*resources, **patient))
    (card,) = answered.json()["cards"]
    assert isinstance(card, dict)
    return card


def states(card: Json) -> dict[str, str]:
    said = card["extension"]["org.cds-hooks-onnx"]["preventive"]
    return {each["service"]: each["state"] for each in said["services"]}


def test_every_order_is_valid_fhir_and_keeps_its_service_silent(tmp_path: Path, as_of: datetime) -> None:
    first = card_of(tmp_path, as_of, smoking("449868002"), pack_years(30))
    orders = [each["actions"][0]["resource"] for each in first["suggestions"]]
    assert len(orders) == 5  # every service that is due but the pressure, which is no order
    for order in orders:
        ServiceRequest.model_validate(order)
        assert order["subject"] == {"reference": "Patient/p1"}
    again = card_of(tmp_path, as_of, smoking("449868002"), pack_years(30), *orders)
    assert [name for name, state in states(again).items() if state == "due"] == [
        "hepatitis-c",  # this and HIV are kept for a check-up
        "hiv",
        "hypertension",
    ]
    assert "suggestions" not in again


@pytest.mark.parametrize(
    ("resources", "patient", "reason"),
    [
        ((condition("385763009", SNOMED),), {}, "palliative"),
        ((problem("Z51.5"),), {}, "palliative"),
        ((problem("Z66"),), {}, "palliative"),
        ((problem("") | {"code": {"text": "Receiving hospice care"}},), {}, "palliative"),
        ((problem("") | {"code": {"text": "Terminal illness"}},), {}, "palliative"),
        ((problem("") | {"code": {"text": "Life expectancy less than 6 months"}},), {}, "palliative"),
        ((problem("") | {"code": {"text": "Limited life expectancy"}},), {}, "palliative"),
        ((problem("C79.51"),), {}, "outside-population"),
        ((problem("F03.C0"),), {}, "outside-population"),
        ((), {"deceasedBoolean": True}, "deceased"),
    ],
)
def test_it_says_nothing_in_hospice_with_a_limited_outlook_and_after_death(
    tmp_path: Path, as_of: datetime, resources: tuple[Json, ...], patient: Json, reason: str
) -> None:
    (answered,) = answers(tmp_path, as_of, request(*resources, **patient))
    assert answered.json()["cards"] == []
    assert [each["reason"] for each in ours(answered)["silence"] if each["subject"] == SERVICE] == [reason]


def test_with_a_limited_outlook_only_a_result_that_harms_soon_has_a_card(tmp_path: Path, as_of: datetime) -> None:
    def measured(percent: float) -> Json:
        value = {"value": percent, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
        hba1c = result("4548-4", when="2026-11-10", valueCodeableConcept=None, valueQuantity=value)
        return request(problem("C79.51"), hba1c)

    high, raised = (answered.json()["cards"] for answered in answers(tmp_path, as_of, measured(11.0), measured(7.0)))
    words = "Abnormal result, no follow-up on record: HbA1c 11 %: diabetes not on record (2026-11-10)."
    assert [card["summary"] for card in high] == [words]
    assert raised == []


def test_a_silent_answer_has_the_reason_of_each_service(tmp_path: Path, as_of: datetime) -> None:
    young = person("2010-01-01", "male")
    (answered,) = answers(tmp_path, as_of, request(birthDate=young["birthDate"], gender="male"))
    told = {each["subject"]: each for each in ours(answered)["silence"]}
    assert answered.json()["cards"] == [] or "HIV" in answered.json()["cards"][0]["summary"]
    assert told[SERVICE]["text"].startswith("Not for this age or sex: colorectal cancer")


def feedback(card: Json, code: str) -> Json:
    return {
        "feedback": [{"card": card["uuid"], "outcome": "overridden",
                      "overrideReason": {"reason": {"code": code,
                                                    "system": "https://cds-hooks-onnx.org/override-reasons"}},
                      "outcomeTimestamp": "2026-11-20T09:00:00Z"}],
    }  # fmt: skip


def test_what_the_patient_declined_rests_until_another_service_is_due(tmp_path: Path, as_of: datetime) -> None:
    tested = (result("82675-0"), result("56888-1"), smoking("266919005"))

    async def call() -> list[Any]:
        async with client(tmp_path, as_of=as_of) as calls:
            shown = await calls.post(f"/cds-services/{SERVICE}", json=request(*tested))
            (card,) = shown.json()["cards"]
            assert "patient-declines" in [each["code"] for each in card["overrideReasons"]]
            told = await calls.post(f"/cds-services/{SERVICE}/feedback", json=feedback(card, "patient-declines"))
            assert told.status_code == 200
            same = await calls.post(f"/cds-services/{SERVICE}", json=request(*tested))
            more = await calls.post(f"/cds-services/{SERVICE}", json=request(*tested[1:]))
            return [same, more]

    same, more = asyncio.run(call())
    assert same.json()["cards"] == []
    assert "said-once" in [each["reason"] for each in ours(same)["silence"]]
    (card,) = more.json()["cards"]
    assert "cervical cancer" in card["summary"]
