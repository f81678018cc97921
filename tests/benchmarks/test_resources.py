"""A chart without genes, vaccines and imaging is not searched for them; no result costs far more than the others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from benchmarks.bodies import with_marked_ids
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.resources import profile_call
from benchmarks.subject import discover
from benchmarks.touched import functions_of
from cds_hooks.kit.simulator.chart import Chart
from cds_hooks.kit.simulator.request import build_request, drafts_for
from fhir.terminology.analytes import LOINC
from fhir.terminology.medications import RXNORM

NOW = datetime.now(UTC)
PATIENT = {"reference": "Patient/plain"}
SEARCHES = (
    "fhir/mapping/genomics/words.py",
    "fhir/mapping/genomics/translation.py",
    "fhir/mapping/immunizations.py",
    "fhir/mapping/studies.py",
    "fhir/mapping/study_words.py",
    "cards/vaccines/",
)
"""Where a chart is searched for what names a gene, a vaccine or a study."""
OTHERS = ("planning-conversation", "liver-assessment", "nephrology-referral", "statin-discussion", "medication-review")


def code(number: str, text: str, system: str = LOINC) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": number, "display": text}], "text": text}


def blood_pressure(number: int) -> dict[str, Any]:
    values = ((code("8480-6", "Systolic blood pressure"), 128), (code("8462-4", "Diastolic blood pressure"), 78))
    return {
        "resourceType": "Observation",
        "id": f"pressure-{number}",
        "status": "final",
        "subject": PATIENT,
        "code": code("85354-9", "Blood pressure panel with all children optional"),
        "effectiveDateTime": (NOW - timedelta(days=30 * number + 1)).isoformat(),
        "component": [{"code": name, "valueQuantity": {"value": value, "unit": "mm[Hg]"}} for name, value in values],
    }


def order(identity: str, status: str, rxcui: str, text: str) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": status,
        "intent": "order",
        "subject": PATIENT,
        "medicationCodeableConcept": code(rxcui, text, RXNORM),
        "authoredOn": (NOW - timedelta(days=90)).date().isoformat(),
    }


CHART = [
    {"resourceType": "Patient", "id": "plain", "gender": "male", "birthDate": "1960-04-05"},
    *map(blood_pressure, range(6)),
    {
        "resourceType": "Condition",
        "id": "pressure",
        "subject": PATIENT,
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": code("I10", "Essential (primary) hypertension", "http://hl7.org/fhir/sid/icd-10-cm"),
        "recordedDate": "2020-01-01",
    },
    order("taken", "active", "314076", "lisinopril 10 MG Oral Tablet"),
]
# CPIC has advice on clopidogrel by CYP2C19: its rule asks whether the chart has such a result.
DRAFT = order("drafted", "draft", "309362", "clopidogrel 75 MG Oral Tablet")


@pytest.fixture(scope="module")
def service() -> Iterator[InProcess]:
    with service_in_process() as in_process:
        yield in_process


def request_to(service: InProcess, name: str) -> tuple[str, bytes]:
    (entry,) = discover(service.call_json, [name])
    chart = Chart(CHART)
    request = build_request(entry, chart, drafts_for(chart, [DRAFT]))
    return f"/cds-services/{name}", orjson.dumps(with_marked_ids(request))


@pytest.mark.parametrize("name", ["order-safety-select", "order-safety-sign", *OTHERS])
def test_a_plain_chart_is_not_searched_for_genes_vaccines_or_imaging(service: InProcess, name: str) -> None:
    files = {function.file for function in functions_of(service, *request_to(service, name))}
    assert "cds_hooks/answer.py" in files
    assert [file for file in files if file.startswith(SEARCHES)] == []


def test_a_blood_pressure_costs_an_order_check_no_more_than_another_result(service: InProcess) -> None:
    whole, costs = profile_call(service, *request_to(service, "order-safety-sign"))
    by_kind = {cost.kind: cost for cost in costs}
    assert by_kind["Observation"].items == 6
    assert by_kind["Observation"].dearest < 40
    assert not by_kind["Observation"].is_dear
    assert by_kind["Observation"].calls < by_kind["draft"].calls < whole


def test_the_kinds_of_an_order_check_are_told_apart(service: InProcess) -> None:
    _, costs = profile_call(service, *request_to(service, "order-safety-sign"))
    assert {"Observation", "MedicationRequest", "draft", "rule", "silence", "record"} <= {cost.kind for cost in costs}
