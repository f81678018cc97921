"""Early follow-up after a stay with diabetes: for whom, in which words, and why not."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from tests.cds_hooks.calls import client, ours, request_for

SERVICE = "readmission-follow-up"
SAMPLE = "going-home-diabetes"


def answer(folder: Path, as_of: datetime, change: Any = None, sample: str = SAMPLE, **settings: Any) -> Any:
    """The answer to the discharge of the sample patient, changed."""

    async def call() -> Any:
        request = request_for(SERVICE, "encounter-discharge", sample, as_of)
        if change is not None:
            change(request["prefetch"])
        async with client(folder, as_of=as_of, **settings) as calls:
            return await calls.post(f"/cds-services/{SERVICE}", json=request)

    return asyncio.run(call())


def resources(prefetch: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The resources of one type in the prefetch."""
    bundles = [
        value for value in prefetch.values() if isinstance(value, dict) and value.get("resourceType") == "Bundle"
    ]
    found = [entry["resource"] for bundle in bundles for entry in bundle.get("entry", ())]
    return [each for each in found if each["resourceType"] == kind]


def stay_of(prefetch: dict[str, Any]) -> dict[str, Any]:
    """The stay that ends."""
    (stay,) = [each for each in resources(prefetch, "Encounter") if each["status"] == "in-progress"]
    return stay


def reasons(told: Any) -> list[str]:
    """Why nothing was said."""
    assert told.json()["cards"] == []
    return [silence["reason"] for silence in ours(told)["silence"]]


def test_who_comes_back_often_gets_a_card_with_a_visit_to_order(tmp_path: Path, as_of: datetime) -> None:
    (card,) = answer(tmp_path, as_of).json()["cards"]
    assert len(card["summary"]) < 140
    assert "Hospital stays in the 12 months before **3 stays**" in card["detail"]
    assert "Where the stay ends **Skilled nursing facility**" in card["detail"]
    (suggestion,) = card["suggestions"]
    order = ServiceRequest.model_validate(suggestion["actions"][0]["resource"])
    assert order.status == "draft"
    assert order.encounter is not None
    assert order.encounter.reference == f"Encounter/{SAMPLE}-stay"
    said = card["extension"]["org.cds-hooks-onnx"]
    assert said["model"]["id"] == "readmission_30d"


def test_without_a_destination_the_twin_speaks_and_says_so(tmp_path: Path, as_of: datetime) -> None:
    (card,) = answer(tmp_path, as_of, lambda prefetch: stay_of(prefetch).pop("hospitalization")).json()["cards"]
    assert card["extension"]["org.cds-hooks-onnx"]["model"]["id"] == "readmission_30d_early"
    assert "Where the stay ends is not charted yet" in card["detail"]


def hospice(prefetch: dict[str, Any]) -> None:
    coding = stay_of(prefetch)["hospitalization"]["dischargeDisposition"]["coding"]
    coding[0] |= {"code": "hosp", "display": "Hospice"}


def no_diabetes(prefetch: dict[str, Any]) -> None:
    for condition in resources(prefetch, "Condition"):
        condition["code"] = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]}


def long_stay(prefetch: dict[str, Any]) -> None:
    stay_of(prefetch)["period"]["start"] = "2026-10-20T09:00:00+00:00"


def dead(prefetch: dict[str, Any]) -> None:
    prefetch["patient"]["deceasedBoolean"] = True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (hospice, "outside-population"),
        (no_diabetes, "outside-population"),
        (long_stay, "out-of-range"),
        (dead, "deceased"),
    ],
)
def test_who_is_not_of_the_study_gets_a_reason(tmp_path: Path, as_of: datetime, change: Any, reason: str) -> None:
    assert reason in reasons(answer(tmp_path, as_of, change))


def test_a_stricter_setting_silences_the_card(tmp_path: Path, as_of: datetime) -> None:
    assert reasons(answer(tmp_path, as_of, alert_share=0.001)) == ["below-threshold"]
