"""Early follow-up after a stay with diabetes: for whom, in which words, and why not."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.calls import client, ours, request_for

SERVICE = "readmission-follow-up"
SAMPLE = "going-home-diabetes"


async def answer(folder: Path, as_of: datetime, change: Any = None, sample: str = SAMPLE, **settings: Any) -> Any:
    """The answer to the discharge of the sample patient, changed."""
    request = request_for(SERVICE, "encounter-discharge", sample, as_of)
    if change is not None:
        change(request["prefetch"])
    async with client(folder, as_of=as_of, **settings) as calls:
        return await calls.post(f"/cds-services/{SERVICE}", json=request)


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


def raises_a_score(resource: dict[str, Any]) -> bool:
    """Whether it is an emergency visit or a disease beside diabetes."""
    if resource["resourceType"] == "Condition":
        return "diabetes" not in resource["code"]["text"]
    return bool(resource["resourceType"] == "Encounter" and resource["class"]["code"] == "EMER")


async def test_without_a_destination_the_twin_speaks_and_says_so(tmp_path: Path, as_of: datetime) -> None:
    """With few other diseases and no emergency visits, because a score that is high comes first."""

    def not_charted(prefetch: dict[str, Any]) -> None:
        stay_of(prefetch).pop("hospitalization")
        bundles = [value for value in prefetch.values() if isinstance(value, dict) and "entry" in value]
        for bundle in bundles:
            bundle["entry"] = [each for each in bundle["entry"] if not raises_a_score(each["resource"])]

    (card,) = (await answer(tmp_path, as_of, not_charted)).json()["cards"]
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
async def test_who_is_not_of_the_study_gets_a_reason(tmp_path: Path, as_of: datetime, change: Any, reason: str) -> None:
    assert reason in reasons(await answer(tmp_path, as_of, change))


async def both(folder: Path, as_of: datetime, change: Any = None, sample: str = SAMPLE, **settings: Any) -> list[Any]:
    """The answers of the two services that estimate who comes back, called at the same time as an EHR does it."""
    async with client(folder, as_of=as_of, **settings) as calls:
        waiting = []
        for service in (SERVICE, "discharge-follow-up"):
            request = request_for(service, "encounter-discharge", sample, as_of)
            if change is not None:
                change(request["prefetch"])
            waiting.append(calls.post(f"/cds-services/{service}", json=request))
        return list(await asyncio.gather(*waiting))


def goes_to(disposition: dict[str, Any]) -> Any:
    """The stay ends as this concept says."""

    def change(prefetch: dict[str, Any]) -> None:
        stay_of(prefetch)["hospitalization"] = {"dischargeDisposition": disposition}

    return change


@pytest.mark.parametrize(
    ("disposition", "words"),
    [
        ({"coding": [{"code": "03"}]}, "a skilled nursing facility"),
        ({"coding": [{"code": "rehab"}]}, "a rehabilitation hospital"),
        ({"text": "Sunrise Nursing Home"}, "an intermediate or long-term care"),
        ({"coding": [{"code": "local-17", "display": "Discharge to acute rehab"}]}, "a rehabilitation hospital"),
    ],
)
async def test_a_facility_is_seen_and_named_in_the_order(
    tmp_path: Path, as_of: datetime, disposition: dict[str, Any], words: str
) -> None:
    (card,) = [card for told in await both(tmp_path, as_of, goes_to(disposition)) for card in told.json()["cards"]]
    assert card["detail"].startswith(f"**Goes to {words}**")
    (suggestion,) = card["suggestions"]
    assert words in suggestion["actions"][0]["resource"]["code"]["text"]
    assert "visit" not in suggestion["label"]


@pytest.mark.parametrize("disposition", [{"coding": [{"code": "02"}]}, {"coding": [{"code": "psy"}]}])
async def test_nobody_is_asked_where_the_stay_goes_on_in_another_hospital(
    tmp_path: Path, as_of: datetime, disposition: dict[str, Any]
) -> None:
    for told in await both(tmp_path, as_of, goes_to(disposition)):
        assert reasons(told) == ["outside-population"]
