"""Calls of the services of published equations over HTTP: a sample patient, changed as a test wants."""

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.cds_hooks.calls import client, ours, request_for
from tests.fhir import builders
from tests.fhir.builders import problem

HOOKS = {
    "statin-discussion": "patient-view",
    "nephrology-referral": "patient-view",
    "anticoagulation-discussion": "patient-view",
    "liver-assessment": "patient-view",
    "discharge-follow-up": "encounter-discharge",
}
Change = Callable[[dict[str, Any]], None]

NOW = datetime.now(UTC).replace(microsecond=0)
"""The server that is called has no clock but the real one."""


def ago(days: int) -> str:
    """The date so many days ago."""
    return (NOW - timedelta(days=days)).date().isoformat()


def answer(server: str, service: str, sample: str, *changes: Change) -> httpx.Response:
    """The answer of a running server for a sample, its request changed first."""
    answered = httpx.post(f"{server}/cds-services/{service}", json=equation_request(service, sample, changes))
    assert answered.status_code == 200, answered.text
    return answered


def answer_of_site(folder: Path, service: str, sample: str, *changes: Change, **settings: Any) -> httpx.Response:
    """The same of a site with settings of its own, in process."""

    async def call() -> httpx.Response:
        async with client(folder, as_of=NOW, **settings) as calls:
            return await calls.post(f"/cds-services/{service}", json=equation_request(service, sample, changes))

    answered = asyncio.run(call())
    assert answered.status_code == 200, answered.text
    return answered


def equation_request(service: str, sample: str, changes: tuple[Change, ...]) -> dict[str, Any]:
    request = copy.deepcopy(request_for(service, HOOKS.get(service, "patient-view"), sample, NOW))
    for change in changes:
        change(request)
    return request


def reasons(answered: httpx.Response) -> list[str]:
    """The reason codes of a silent answer; there is at least one."""
    assert answered.json()["cards"] == []
    return [silence["reason"] for silence in ours(answered)["silence"]]


def only_card(answered: httpx.Response) -> dict[str, Any]:
    """The one card."""
    (card,) = answered.json()["cards"]
    assert isinstance(card, dict)
    return card


def resources(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Every resource of the prefetch."""
    found: list[dict[str, Any]] = []
    for value in request["prefetch"].values():
        if isinstance(value, dict) and value.get("resourceType") == "Bundle":
            found += [entry["resource"] for entry in value.get("entry", [])]
        elif isinstance(value, dict):
            found.append(value)
    return found


def without(*codes: str) -> Change:
    """Takes the observations of these LOINC codes out."""

    def change(request: dict[str, Any]) -> None:
        for resource in resources(request):
            coded = {coding.get("code") for coding in resource.get("code", {}).get("coding", [])}
            if resource["resourceType"] == "Observation" and coded & set(codes):
                resource["status"] = "cancelled"

    return change


def valued(code: str, value: float, unit: str | None = None) -> Change:
    """Gives every observation of this LOINC code this value."""

    def change(request: dict[str, Any]) -> None:
        for resource in resources(request):
            for part in [resource, *resource.get("component", [])]:
                if any(coding.get("code") == code for coding in part.get("code", {}).get("coding", [])):
                    part["valueQuantity"] = {"value": value, "unit": unit or part["valueQuantity"]["unit"]}

    return change


def added(key: str, *more: dict[str, Any]) -> Change:
    """Adds resources under a prefetch key."""

    def change(request: dict[str, Any]) -> None:
        bundle = request["prefetch"].get(key) or {"resourceType": "Bundle", "type": "searchset", "entry": []}
        bundle.setdefault("entry", []).extend({"resource": each} for each in more)
        request["prefetch"][key] = bundle

    return change


def condition(sample: str, code: str, system: str = "http://hl7.org/fhir/sid/icd-10-cm") -> dict[str, Any]:
    """An active condition."""
    return problem(f"condition {code}", code, system, patient=sample, id=f"added-{code}", recordedDate=ago(300))


def order(sample: str, code: str, words: str) -> dict[str, Any]:
    """An active order of an ingredient."""
    drug = builders.concept(words, code, builders.RXNORM)
    return builders.medication_order(drug, patient=sample, id=f"added-{code}", authoredOn=ago(50))


def service_request(sample: str, words: str, status: str = "active", **more: Any) -> dict[str, Any]:
    """An order for a service, in words."""
    return builders.service_request(words, status=status, patient=sample, id="added-request", authoredOn=ago(3)) | more


def said(answered: Any) -> str:
    """The sentences of a silent answer."""
    return " ".join(each["text"] for each in ours(answered)["silence"])


def changed(kind: str, change: Callable[[dict[str, Any]], None], code: str = "") -> Change:
    """Changes every resource of a type, of a code where one is given."""

    def change_all(request: dict[str, Any]) -> None:
        for resource in resources(request):
            codes = {coding.get("code") for coding in (resource.get("code") or {}).get("coding", [])}
            if resource["resourceType"] == kind and (not code or code in codes):
                change(resource)

    return change_all


def born(years: int) -> Change:
    """The patient as somebody of so many years."""

    def change(request: dict[str, Any]) -> None:
        request["prefetch"]["patient"]["birthDate"] = ago(years * 366)

    return change


def visit_of(sample: str, words: str, status: str, days_ago: int, **more: Any) -> dict[str, Any]:
    """A visit whose type has these words."""
    kind, period = [{"text": words}], {"start": ago(days_ago)}
    return builders.encounter("AMB", status, patient=sample, id="added-visit", type=kind, period=period) | more
