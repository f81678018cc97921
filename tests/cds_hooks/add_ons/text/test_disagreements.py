"""The card that the notes and the list disagree: with the words of both, and silent where they agree."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.add_ons.text.chart import read_chart
from cds_hooks.add_ons.text.disagreements import CardWords, words_of_card
from cds_hooks.call.answer import invoke
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.call.stages import open_call
from cds_hooks.evidence.replay.replaying import Replayer
from cds_hooks.evidence.replay.site import open_site
from cds_hooks.evidence.storage.decision import new_decision_id
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import get_decisions
from cds_hooks.settings import Settings
from tests.cds_hooks.add_ons.text.charts import Resource, allergy, condition, drug, note
from tests.cds_hooks.calls import client
from tests.cds_hooks.evidence.replay.answered import record_at
from tests.each import for_rows

ON = date(2026, 11, 2)
STOPPED = note("d1", "Apixaban stopped, bleeding.")
LISTED = drug("m1", "Apixaban 5 mg tablet", "5 mg twice daily", authoredOn="2026-11-01")  # on the day of the note


def _card(*resources: Resource) -> CardWords | None:
    return words_of_card(read_chart(resources, ON))


@for_rows(
    ("resources", "words", "indicator"),
    [
        ([LISTED, STOPPED], ["Apixaban 5 mg tablet (5 mg twice daily)", "Apixaban: stopped"], "info"),
        ([allergy("a1", "Latex"), note("d1", "Allergies: penicillin (rash).")],
         ["allergies: Latex (rash)", "allergy: penicillin"], "warning"),
        ([condition("c1", "Asthma"), note("d1", "No asthma.")], ["“Asthma”", "no asthma"], "info"),
        ([condition("c1", "Epilepsy"), note("d1", "No history of epilepsy.")], ["“Epilepsy”", "no epilepsy"], "info"),
        ([drug("m1", "Lisinopril 10 mg tablet", "10 mg daily", "stopped"), note("d1", "Lisinopril 10 mg daily.")],
         ["Lisinopril 10 mg tablet: stopped", "taken"], "info"),
    ],
)  # fmt: skip
def test_both_are_quoted_with_their_resources(resources: list[Resource], words: list[str], indicator: str) -> None:
    card = _card(*resources)
    assert card is not None
    assert all(word in card.detail for word in words), card.detail
    assert all(f"{resource['resourceType']}/{resource['id']}" in card.detail for resource in resources)
    assert "Clinic letter of 2026-11-01" in card.detail
    assert (card.indicator, len(card.summary) < 140) == (indicator, True)
    assert card.summary.startswith("The notes and the list disagree: ")


def test_several_disagreements_are_one_card() -> None:
    card = _card(LISTED, condition("c1", "Asthma"), note("d1", "Apixaban stopped. No asthma."))
    assert card is not None
    assert card.summary == "The notes and the list disagree: apixaban and 1 more"
    assert card.detail.count("\n- ") == 2


SERVICE = "notes-and-lists"
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SUBJECT = {"reference": "Patient/p1"}
APIXABAN = drug("m1", "Apixaban 5 mg tablet", "5 mg twice daily", authoredOn="2026-01-01", intent="order")


def bundle(*resources: Resource) -> Resource:
    about = [
        resource | {"patient" if resource["resourceType"] == "AllergyIntolerance" else "subject": SUBJECT}
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": resource} for resource in about]}


def request(*resources: Resource, **more: Any) -> dict[str, Any]:
    """A call about these resources, each under the key of its type."""
    by_key: dict[str, list[Resource]] = {"notes": [], "conditions": [], "medications": [], "allergies": []}
    keys = {"DocumentReference": "notes", "Condition": "conditions", "AllergyIntolerance": "allergies"}
    for resource in resources:
        by_key[keys.get(resource["resourceType"], "medications")].append(resource)
    patient = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-04-02", **more}
    prefetch = {"patient": patient, **{key: bundle(*entries) for key, entries in by_key.items()}}
    context = {"userId": "Practitioner/1", "patientId": "p1"}
    return {"hook": "patient-view", "hookInstance": "h1", "context": context, "prefetch": prefetch}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text.toml"
    path.write_text("")
    return path


async def answer(folder: Path, file: Path | None, body: dict[str, Any]) -> dict[str, Any]:
    async with client(folder, text_file=file, as_of=NOW) as calls:
        found: dict[str, Any] = (await calls.post(f"/cds-services/{SERVICE}", json=body)).json()
    return found


def silences(document: dict[str, Any]) -> list[dict[str, Any]]:
    (extension,) = document["extension"].values()
    found: list[dict[str, Any]] = extension["silence"]
    return found


async def test_a_server_has_the_service_where_the_site_has_a_file_for_the_text_part(tmp_path: Path, file: Path) -> None:
    for given, is_there in ((None, False), (file, True)):
        async with client(tmp_path, text_file=given) as calls:
            ids = [entry["id"] for entry in (await calls.get("/cds-services")).json()["services"]]
        assert (SERVICE in ids) is is_there


async def test_a_client_that_sends_no_notes_is_told_that_nothing_is_known_of_them(tmp_path: Path, file: Path) -> None:
    body = request(APIXABAN)
    del body["prefetch"]["notes"]
    document = await answer(tmp_path, file, body)
    assert document["cards"] == []
    assert "not known" in silences(document)[0]["text"]


async def test_a_note_of_another_patient_ends_the_call(tmp_path: Path, file: Path) -> None:
    body = request(APIXABAN, STOPPED)
    body["prefetch"]["notes"]["entry"][0]["resource"]["subject"] = {"reference": "Patient/p2"}
    document = await answer(tmp_path, file, body)
    assert document["resourceType"] == "OperationOutcome"
    assert "another patient" in document["issue"][0]["diagnostics"]


async def test_a_decision_is_the_same_when_it_is_replayed(tmp_path: Path, file: Path) -> None:
    url, settings = record_at(tmp_path), Settings(text_file=file)
    at = open_site(settings)
    bodies = [
        request(APIXABAN, STOPPED),
        request(APIXABAN),
        request(condition("c1", "Asthma"), note("d1", "No asthma.")),
    ]
    log = open_decision_log(url)
    (caller,) = at.clients.values()
    ids = []
    for body in bodies:
        sent = json.dumps(body).encode()
        ids.append(new_decision_id())
        parts = at.components
        call = open_call(at.services[SERVICE], caller, _recording(parts, log), ids[-1])
        await invoke(call, sent)
    await log.close()
    decisions = [*get_decisions(url, ids).values()]
    assert [decision.outcome for decision in decisions] == ["cards", "silent", "cards"]
    assert [verdict.outcome for verdict in Replayer(at, url).verdicts(decisions)] == ["same"] * 3


def _recording(parts: Any, log: Any) -> Any:
    configured = parts.settings.model_copy(update={"as_of": NOW})
    return replace(parts, settings=configured, decisions=log, restraint=Restraint(None, needs_approval=False))
