"""Summaries that the server shows: on the page of a patient, and to a client that sends a chart."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Lifetimes, Person, Sessions
from cds_hooks.text import chart
from cds_hooks.text.served import recorded_chart
from cds_hooks.web.visitor import PatientBound
from fhir.notes.reading import NoteReading, read_note
from tests.cds_hooks.access.browsing import entries, store_of
from tests.cds_hooks.calls import client, request_for
from tests.cds_hooks.kit.samples.reading import AS_OF
from tests.cds_hooks.text.charts import CHART, note
from tests.cds_hooks.text.stub import MODEL, Stub, playing
from tests.fhir.builders import bundle
from tests.live import record_in

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-04-02"}
BUNDLE = bundle(PATIENT, *CHART, type="collection")


@pytest.fixture
def stub() -> Iterator[Stub]:
    with playing() as played:
        yield played


@pytest.fixture
def file(tmp_path: Path, stub: Stub) -> Path:
    path = tmp_path / "text.toml"
    path.write_text(f"pages = 'ward'\nendpoints.ward = {{address = '{stub.address}', model = '{MODEL}'}}")
    return path


async def test_a_client_gets_the_summary_of_the_chart_that_it_sends(tmp_path: Path, file: Path, stub: Stub) -> None:
    async with client(tmp_path, text_file=file) as calls:
        answer = await calls.post("/summaries", json=BUNDLE)
        as_json = {"content-type": "application/json"}
        refused = [
            await calls.post("/summaries", content=body, headers=as_json)
            for body in (b"{", b"[]", b'{"resourceType":"Bundle"}')
        ]
    document: dict[str, Any] = answer.json()
    assert answer.status_code == 200
    assert document["sentences"][0]["cites"]
    assert "Problems: Atrial fibrillation (since 2020-01-01)." in [s["text"] for s in document["sentences"]]
    assert "is not released here" in document["notice"]
    assert (stub.sent, document["provenance"], document["cards"]) == ([], None, [])
    assert [refusal.status_code for refusal in refused] == [400] * 3
    ((actor, detail),) = entries(tmp_path, "text-summary")
    assert (actor, detail["patient"], detail["sentences"]) == ("client anonymous", "p1", len(document["sentences"]))
    assert "fibrillation" not in json.dumps(detail)


async def test_where_notes_and_lists_disagree_the_client_gets_a_card(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = [*BUNDLE["entry"], {"resource": note("d2", "Apixaban stopped.")}]
    read: list[str] = []

    def reading(text: str, on: date) -> NoteReading:
        read.append(text)
        return read_note(text, on=on)

    monkeypatch.setattr(chart, "read_note", reading)
    async with client(tmp_path, text_file=file) as calls:
        (card,) = (await calls.post("/summaries", json=BUNDLE | {"entry": entry})).json()["cards"]
    assert card["summary"] == "The notes and the list disagree: apixaban"
    assert "“Apixaban 5 mg tablet (5 mg twice daily)”" in card["detail"]
    assert len(read) == len(set(read)), "the card is of the notes as they were read for the summary"


async def test_without_the_file_of_the_site_there_is_neither_route_nor_page(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        assert (await calls.post("/summaries", json=BUNDLE)).status_code in (404, 405)
        page = await calls.get("/summary", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "shows no summaries" in page.text


async def test_the_page_of_a_patient_has_the_summary_of_the_chart_as_it_was_sent(tmp_path: Path, file: Path) -> None:
    request = request_for("planning-conversation", "patient-view", "planning-talk", AS_OF)
    patient = request["context"]["patientId"]
    async with client(tmp_path, text_file=file, as_of=AS_OF) as calls:
        assert (await calls.post("/cds-services/planning-conversation", json=request)).status_code == 200
        resources, sent_at = recorded_chart(record_in(tmp_path), "anonymous", patient)
        assert sent_at is not None
        assert {"Condition", "Observation"} <= {str(resource["resourceType"]) for resource in resources}
        assert recorded_chart(record_in(tmp_path), "another", patient) == ([], None)
        sessions = Sessions(store_of(tmp_path), Lifetimes(3600, 3600), secure=False)
        bound = PatientBound("anonymous", patient)
        person = Person("smart ehr Practitioner/7", "Dr. Sample", frozenset({Role.CLINICIAN_LINK}), bound=bound)
        cookie = {"cookie": f"{sessions.cookie}={sessions.begin(person)}", "accept": "text/html"}
        page = await calls.get("/summary", headers=cookie)
    assert page.status_code == 200, page.text
    assert "From what the EHR sent" in page.text
    assert "Problems:" in page.text
    assert [actor for actor, _ in entries(tmp_path, "text-summary")] == ["smart ehr Practitioner/7"]
    assert entries(tmp_path, "page-view") == [("smart ehr Practitioner/7", {"page": "/summary"})]


# The server, its services and its pages load nothing of the text part.
OUT = (
    "import sys, cds_hooks.app, cds_hooks.server, cds_hooks.cli, cds_hooks.app\n"
    "print(sorted(name for name in sys.modules if name.startswith(('cds_hooks.text', 'fhir.notes', 'mcp'))))"
)


def test_the_server_loads_no_module_of_the_text_part() -> None:
    answer = subprocess.run([sys.executable, "-c", OUT], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.strip() == "[]"
