"""What a search finds, parameter by parameter, as FHIR R4 says."""

import re
from datetime import date
from typing import Any

import pytest

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.simulator.fhir_search import InvalidSearch, find_resources, prefetch_from
from tests.each import for_rows
from tests.fhir.builders import observation


def _observation(identity: str, date: str = "2026-03-15", patient: str = "p1", **more: Any) -> dict[str, Any]:
    kind = [{"coding": [{"system": "urn:c", "code": "laboratory"}]}]
    return observation("2160-0", when=date, patient=patient, id=identity, category=kind) | more


CHART = [
    _observation("a", "2026-01-31"),
    _observation("b", "2026-03-15T08:00:00+02:00"),
    _observation("c", "2026-02"),
    _observation("d", "2026-03-15", "p2"),
    _observation("e", code={"coding": [{"system": "urn:local", "code": "2160-0"}]}, status="entered-in-error"),
    {"resourceType": "AllergyIntolerance", "id": "f", "patient": {"reference": "Patient/p1"}, "category": ["food"]},
]


def _found(kind: str, *query: tuple[str, str]) -> str:
    return "".join(str(each["id"]) for each in find_resources(CHART, kind, query))


@for_rows(("query", "ids"))
def test_what_is_found(query: list[tuple[str, str]], ids: str) -> None:
    assert _found("Observation", *query) == ids


@for_rows("query")
def test_what_cannot_be_searched_is_refused(query: tuple[str, str]) -> None:
    with pytest.raises(InvalidSearch):
        find_resources(CHART, "Observation", [query])


@for_rows(
    "query",
    sorted({template.query for service in find_services(file="separate").values() for template in service.templates}),
)
def test_every_search_of_a_template_is_answered(query: str) -> None:
    kind, is_search, parameters = re.sub(r"\{\{[^}]*\}\}", "p1", query).partition("?")
    named = [tuple(parameter.split("=", 1)) for parameter in parameters.split("&")] if is_search else []
    assert isinstance(find_resources(CHART, kind, [(name, value) for name, value in named]), list)


# The caller answers templates as a FHIR server would.


TODAY = date(2024, 9, 13)
PATIENT = {"resourceType": "Patient", "id": "p1"}


def _answer(template: str, *resources: dict[str, Any]) -> Any:
    return prefetch_from([PATIENT, *resources], {"key": template}, {"patientId": "p1"}, TODAY)["key"]


def _ids(bundle: Any) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle["entry"]]


def test_medications_come_with_the_orders_that_refer_to_them() -> None:
    order = {"resourceType": "MedicationRequest", "id": "r", "medicationReference": {"reference": "Medication/mix"}}
    mix = {
        "resourceType": "Medication",
        "id": "mix",
        "ingredient": [{"itemReference": {"reference": "Medication/part"}}],
    }
    part = {"resourceType": "Medication", "id": "part"}
    other = {"resourceType": "Medication", "id": "other"}
    bundle = _answer("MedicationRequest?patient={{context.patientId}}", order, mix, part, other)
    assert sorted(_ids(bundle)) == ["mix", "part", "r"]
    assert bundle["total"] == 1
