"""A published artifact as a service: in shadow until it is released, a card afterwards, replayed, explained."""

import asyncio
import csv
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.testclient import TestClient

from cds_hooks.server.app import create_app
from tests.cds_hooks.calls import client, ours
from tests.conftest import ROOT
from tests.constants import settings_with
from tests.live import record_in, serving
from tests.program import run_program
from tests.waiting import until

pytestmark = pytest.mark.anyio

SAMPLE = ROOT / "data" / "samples" / "knowledge"
SERVICE = "sample-test-due"
MEASURE = "sample-test-done"
_CODES = "https://example.org/knowledge/CodeSystem/sample-codes"
_CONDITION = {
    "resourceType": "Condition",
    "id": "c1",
    "code": {"coding": [{"system": _CODES, "code": "sample-condition"}], "text": "Sample condition"},
    "subject": {"reference": "Patient/p1"},
}
_FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}


def _bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


PREFETCH = {
    "patient": {"resourceType": "Patient", "id": "p1", "birthDate": "1970-05-01"},
    "conditions": _bundle(_CONDITION),
    "newestResults": _bundle(),
}


def _request(prefetch: dict[str, Any]) -> dict[str, Any]:
    return {
        "hook": "patient-view",
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": prefetch,
    }


async def _ask(calls: httpx.AsyncClient, prefetch: dict[str, Any], service: str = SERVICE) -> httpx.Response:
    answer = await calls.post(f"/cds-services/{service}", json=_request(prefetch))
    assert answer.status_code == 200, answer.text
    return answer


def _silences(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(silence["reason"], silence["text"]) for silence in ours(answer)["silence"]]


def _release(folder: Path, *states: str, name: str = SERVICE) -> None:
    environment = {"CDS_DATABASE_URL": record_in(folder), "CDS_KNOWLEDGE": str(SAMPLE)}
    for state in states:
        done = run_program("release", state, "knowledge", name, "--why", "tried", environment=environment)
        assert done.returncode == 0, done.stderr


async def test_an_artifact_that_nobody_has_released_is_evaluated_recorded_and_not_shown(tmp_path: Path) -> None:
    async with client(tmp_path, knowledge=SAMPLE) as calls:
        answer = await _ask(calls, PREFETCH)
        assert answer.json()["cards"] == []
        assert [reason for reason, _ in _silences(answer)] == ["shadow"]
        page = (await calls.get(f"/explain/{ours(answer)['decision']}")).text
    assert "SampleTestDue.Has Condition" in page
    assert "Condition/c1" in page


def _answer_once_released(folder: Path, knowledge: Path, service: str = SERVICE) -> Any:
    """Ask a server that has read the acts of release: it reads them twice a second."""
    app = create_app(settings_with(database_url=record_in(folder), knowledge=knowledge))
    with TestClient(app, base_url="http://localhost") as calls:

        def answer() -> Any:
            return calls.post(f"/cds-services/{service}", json=_request(PREFETCH))

        until(lambda: "two people have not released" not in answer().text)
        return answer()


async def test_a_released_artifact_shows_its_card_and_the_decision_replays_to_the_byte(tmp_path: Path) -> None:
    async with client(tmp_path, knowledge=SAMPLE):
        pass  # makes the record
    _release(tmp_path, "shadow", "canary", "active")
    answer = await asyncio.to_thread(_answer_once_released, tmp_path, SAMPLE)
    (card,) = answer.json()["cards"]
    assert card["summary"] == "The sample test is due"
    assert card["source"] == {"label": "Example guideline", "url": "https://example.org/guideline"}
    assert card["suggestions"][0]["actions"][0]["resource"]["resourceType"] == "ServiceRequest"
    assert card["overrideReasons"][0]["display"] == "Done elsewhere"
    environment = {"CDS_DATABASE_URL": record_in(tmp_path), "CDS_KNOWLEDGE": str(SAMPLE)}
    replayed = run_program("replay", ours(answer)["decision"], environment=environment)
    assert "same" in replayed.stdout, replayed.stdout


async def test_a_changed_artifact_goes_back_into_shadow(tmp_path: Path) -> None:
    async with client(tmp_path, knowledge=SAMPLE):
        pass
    _release(tmp_path, "shadow", "canary", "active")
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "knowledge"))
    file = next(folder.glob("PlanDefinition-*.json"))
    file.write_text(file.read_text(encoding="utf-8").replace("The sample test is due.", "It is due."), encoding="utf-8")
    answer = await asyncio.to_thread(_answer_once_released, tmp_path, folder)
    assert answer.json()["cards"] == []
    assert "another version is served than was released" in answer.text


@pytest.mark.parametrize("key", ["conditions", "newestResults"])
@pytest.mark.parametrize("failed", [True, False])
async def test_a_prefetch_key_that_is_not_known_is_a_silence_with_its_reason(
    key: str, failed: bool, tmp_path: Path
) -> None:
    prefetch = {name: value for name, value in PREFETCH.items() if name != key} | ({key: _FAILED} if failed else {})
    async with client(tmp_path, knowledge=SAMPLE) as calls:
        answer = await _ask(calls, prefetch)
    assert answer.json()["cards"] == []
    silences = [text for reason, text in _silences(answer) if reason == "input-missing"]
    assert any("which are not known" in text for text in silences)


async def test_a_measure_is_no_card_and_on_the_worklist_once_it_is_released(tmp_path: Path) -> None:
    async with client(tmp_path, knowledge=SAMPLE) as calls:
        answer = await _ask(calls, PREFETCH, MEASURE)
    assert answer.json()["cards"] == []
    assert "worklist" not in ours(answer)
    assert {reason for reason, _ in _silences(answer)} == {"worklist", "shadow"}
    _release(tmp_path, "shadow", "canary", "active", name=MEASURE)
    answer = await asyncio.to_thread(_answer_once_released, tmp_path, SAMPLE, MEASURE)
    assert answer.json()["cards"] == []
    assert [entry["test"] for entry in ours(answer)["worklist"]] == ["Sample test once a year"]


def test_a_measure_is_scored_for_a_folder_of_charts(tmp_path: Path) -> None:
    charts = tmp_path / "charts"
    charts.mkdir()
    for resource in (PREFETCH["patient"], _CONDITION):
        (charts / f"{resource['id']}.json").write_text(json.dumps(resource), encoding="utf-8")
    words = ("score", MEASURE, "--fhir", str(charts), "--out", str(tmp_path / "out.csv"))
    done = run_program(*words, environment={"CDS_KNOWLEDGE": str(SAMPLE)})
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["name"], row["output"], row["text"]) == ("p1", "sample-test-done", "group-1", "open")


async def test_a_broken_artifact_is_not_started_and_the_others_are(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "knowledge"))
    next(folder.glob("ValueSet-*.json")).unlink()
    async with client(tmp_path, knowledge=folder) as calls:
        services = (await calls.get("/cds-services")).json()["services"]
    assert services
    assert SERVICE not in {service["id"] for service in services}


_VARIABLE = re.compile(r"^ *export CDS_KNOWLEDGE=(.+)$", re.MULTILINE)
_COMMAND = re.compile(r"^ *(?:\.venv/bin/)?cds-hooks (.+)$", re.MULTILINE)


@pytest.mark.slow
def test_the_page_takes_a_published_artifact_from_its_folder_to_a_card_command_by_command(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "knowledge.md").read_text(encoding="utf-8")
    (knowledge,) = _VARIABLE.findall(page)
    environment = {"CDS_DATABASE_URL": record_in(tmp_path), "CDS_KNOWLEDGE": knowledge}
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "FOLDER").mkdir()
    for resource in (PREFETCH["patient"], _CONDITION):
        (tmp_path / "FOLDER" / f"{resource['id']}.json").write_text(json.dumps(resource), encoding="utf-8")
    with serving(tmp_path, CDS_KNOWLEDGE=knowledge) as address:

        def cards() -> list[Any]:
            answer = httpx.post(f"{address}/cds-services/{SERVICE}", json=_request(PREFETCH), timeout=180)
            return list(answer.raise_for_status().json()["cards"])

        assert cards() == []
        for words in _COMMAND.findall(page):
            if words != "serve":
                done = run_program(*shlex.split(words), folder=tmp_path, environment=environment)
                assert done.returncode == 0, (words, done.stderr)
        until(cards)
        shown = cards()
    assert [card["summary"] for card in shown] == ["The sample test is due"]
    assert "sample-test-done" in (tmp_path / "gaps.csv").read_text(encoding="utf-8")
