"""Every stored decision is counted, whatever the client left out; one that cannot be is counted as such and told."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.in_process import InProcess
from benchmarks.subject import WrongAnswer
from cds_hooks.app import create_app
from cds_hooks.monitor.book import count_decision
from cds_hooks.monitor.prefetch_rates import prefetch_rates
from cds_hooks.pages.explain.recorded_decision import Basis
from cds_hooks.services import find_services
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import list_decisions
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import incidents
from models_onnx.monitoring.judging import Compared
from tests.cds_hooks.storage.samples import a_decision
from tests.fhir.builders import medication_order

PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01", "gender": "female"}
ORDER = medication_order("warfarin 5 mg", patient="p", id="o1")
OTHER = {**ORDER, "id": "o2", "medicationCodeableConcept": {"text": "ibuprofen 400 mg"}}
CHART = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OTHER}]}
PREFETCHES: tuple[dict[str, Any], ...] = (
    {},
    {"patient": PATIENT},
    {"patient": PATIENT, "medications": CHART},
    {"patient": PATIENT, "medications": {**CHART, "total": 9}},
    {"patient": PATIENT, "medications": None, "conditions": {"resourceType": "OperationOutcome", "issue": []}},
    {"patient": PATIENT, "medications": "x", "unknown": CHART},
)


def _calls() -> Iterator[tuple[str, bytes]]:
    for service in find_services().values():
        for hook in service.hooks:
            for number, prefetch in enumerate(PREFETCHES):
                context: dict[str, Any] = {"userId": "Practitioner/1", "patientId": "p", "encounterId": "e"}
                draft = {**ORDER, "status": "draft"}
                context["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": draft}]}
                context |= {"selections": ["MedicationRequest/o1"], "performer": "Organization/1"}
                context |= {"dispatchedOrders": ["MedicationRequest/o1"]}
                instance = f"120c21ba-69b4-5fc0-ac7e-{number:012}"
                call = {"hook": str(hook), "hookInstance": instance, "context": context, "prefetch": prefetch}
                yield f"/cds-services/{service.id}", json.dumps(call).encode()


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> list[Decision]:
    """What is stored of calls to every service, with and without each part of the chart."""
    folder: Path = tmp_path_factory.mktemp("counting")
    url = f"sqlite:///{folder}/decisions.sqlite3"
    app = create_app(Settings(database_url=url, counts_file=folder / "m.sqlite3", user_keys=folder / "keys.txt"))
    statuses: list[str] = []
    with closing(InProcess(app)) as server:
        for path, body in _calls():
            try:
                server.call("POST", path, body)
            except WrongAnswer as refused:  # it is stored as well, or not at all
                statuses.append(str(refused).partition(" was answered ")[2][:3])
        server._loop.run_until_complete(asyncio.sleep(0.1))
    assert set(statuses) <= {"400", "412"}
    return list(list_decisions(url, limit=1000))


def test_every_stored_decision_goes_through_every_reader(decisions: list[Decision]) -> None:
    assert len(decisions) > 50
    day = DayCounts()
    for decision in decisions:
        count_decision(day, decision)
        msgspec.json.decode(decision.basis, type=Basis)
    assert prefetch_rates((decision.client, decision.service, decision.basis) for decision in decisions)
    assert (day.calls, day.uncounted) == (len(decisions), 0)
    assert day.cards
    assert {key.partition(" ")[2] for key in day.keys} >= {"given", "unobtainable"}


def test_a_call_that_cannot_be_counted_is_an_incident() -> None:
    day, whole = DayCounts(), DayCounts()
    count_decision(day, a_decision(basis=b'{"prefetch": 3}'))
    assert (day.calls, day.uncounted) == (1, 1)
    compared = Compared("ehr", "order-safety", {date(2026, 11, 20): day}, {date(2026, 11, 19): whole})
    told = [incident.text for incident in incidents(list(compared.figures()))]
    assert any("1 of 1 calls could not be counted" in text for text in told), told
