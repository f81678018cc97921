"""What is asked and settled when an event makes a service compute: the call, the prefetch, what is due, the outbox."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from cds_hooks.events.declaration import Declaration, EffectRule
from cds_hooks.events.effects import Effects, Fact
from cds_hooks.events.inbox import Inbox, Incoming
from cds_hooks.events.rescoring import Due, ReadFacts, Rescoring, codes_read, hook_of, prefetch_of
from cds_hooks.prefetch.template import Template
from cds_hooks.services import Service

Json = dict[str, Any]
POTASSIUM, SODIUM = "http://loinc.org|2823-3", "http://loinc.org|2951-2"
PATIENT = Template("patient", "Patient/{{context.patientId}}", "Patient", "patient")
PROBLEMS = Template("problems", "Condition?patient={{context.patientId}}", "Condition", "problems")
LABS = Template(
    "labs",
    f"Observation?patient={{{{context.patientId}}}}&code={POTASSIUM},{SODIUM}&_sort=-date",
    "Observation",
    "labs",
)
ALL_LABS = Template("all", "Observation?patient={{context.patientId}}", "Observation", "results")
VISITS = Template("visits", "Encounter?patient={{context.patientId}}", "Encounter", "visits")


def _service(*templates: Template, answers: tuple[str, ...] = ("patient-view",)) -> Service:
    return cast(Service, SimpleNamespace(answers=answers, templates_read_for=lambda _version: list(templates)))


def _lab(code: str, **members: Any) -> Json:
    system, _, number = code.partition("|")
    concept = {"coding": [{"system": system, "code": number}]}
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": concept} | members


def test_the_id_of_a_decision_follows_from_patient_service_message_and_time() -> None:
    due = Due("p1", "a", 1_795_182_000.25, 3)
    digest = "e247f8346929b2"
    assert due.decision_id == f"01a1f92f-787a-7{digest[:3]}-8{digest[3:6]}-{digest[6:14]}0000"
    others = [Due("p2", "a", due.since, 3), Due("p1", "b", due.since, 3), Due("p1", "a", due.since, 4)]
    assert len({due.decision_id, *(other.decision_id for other in others)}) == 4


def test_the_codes_of_a_key() -> None:
    assert codes_read(LABS) == frozenset({POTASSIUM, SODIUM})
    assert codes_read(ALL_LABS) is None


def test_the_prefetch_of_facts_answers_the_keys_of_which_something_came() -> None:
    person = {"resourceType": "Patient", "id": "p1"}
    potassium, other = _lab(POTASSIUM), _lab("urn:x|1")
    chart = [
        ("Patient", "", person),
        ("Observation", f" {POTASSIUM} ", potassium),
        ("Observation", " urn:x|1 ", other),
    ]
    found = prefetch_of([PATIENT, PROBLEMS, LABS, ALL_LABS], chart, frozenset())
    bundle = {"resourceType": "Bundle", "type": "searchset"}
    assert found == {
        "patient": person,
        "labs": bundle | {"entry": [{"resource": potassium}]},
        "all": bundle | {"entry": [{"resource": potassium}, {"resource": other}]},
    }
    complete = prefetch_of([PATIENT, PROBLEMS, LABS], [], {"Condition", "Patient"})
    assert complete == {"problems": bundle | {"entry": []}}


def test_a_service_reads_a_fact_of_a_type_and_code_that_it_asks_for() -> None:
    services = {
        "labs": _service(LABS),
        "all": _service(ALL_LABS, PROBLEMS),
        "home": _service(VISITS, LABS, answers=("encounter-discharge",)),
    }
    reads = ReadFacts(services, ["labs", "all", "home"], "2.0")
    assert reads(Fact("p", _lab(POTASSIUM), 1)) == ["labs", "all"]
    assert reads(Fact("p", _lab("urn:x|1"), 1)) == ["all"]
    assert reads(Fact("p", {"resourceType": "Condition", "id": "c"}, 1)) == ["all"]
    assert reads(Fact("p", {"resourceType": "Procedure", "id": "c"}, 1)) == []
    stay = {"resourceType": "Encounter", "id": "e", "status": "finished"}
    assert reads(Fact("p", stay, 1)) == ["home"]
    assert reads(Fact("p", stay | {"status": "in-progress"}, 1)) == []
    assert ReadFacts(services, ["labs"], "2.0")(Fact("p", _lab(SODIUM), 1)) == ["labs"]


@pytest.mark.parametrize(
    ("answers", "hook"),
    [
        (("order-sign", "encounter-discharge", "patient-view"), "patient-view"),
        (("encounter-discharge",), "encounter-discharge"),
        (("order-sign",), None),
    ],
)
def test_the_hook_of_an_event(answers: tuple[str, ...], hook: str | None) -> None:
    assert hook_of(_service(answers=answers)) == hook


class Site:
    """An inbox, and what computes from it, without a server."""

    def __init__(self, folder: Path, **declared: Any) -> None:
        self.now = 1000.0
        self.inbox = Inbox(folder / "events.sqlite3", [EffectRule(services=("a",))], lambda _fact: ("a",))
        client = SimpleNamespace(name="events", profile=SimpleNamespace(version="2.0"))
        components: Any = SimpleNamespace(settings=SimpleNamespace(database_url="sqlite://"))
        services = {"a": _service(PATIENT, VISITS)}
        self.rescoring = Rescoring(
            self.inbox, components, services, cast(Any, client), lambda: self.now, Declaration(**declared)
        )

    def take(self, message_id: str, *resources: Json, at: float = 1000.0, patient: str = "p1") -> None:
        effects = Effects(facts=[Fact(patient, resource, at) for resource in resources])
        self.inbox.take([Incoming("lab", message_id, "x", message_id.encode(), at, effects)])

    def due(self) -> list[tuple[Any, ...]]:
        return self.inbox.query("SELECT patient, service, since, ready, latest, version FROM due")

    def outbox(self) -> list[tuple[Any, ...]]:
        return self.inbox.query("SELECT id, type, subject, at, data FROM outbox ORDER BY sequence")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.inbox.close()


def test_the_call_of_an_event(tmp_path: Path) -> None:
    here = Site(tmp_path, fhir_server="https://fhir.example.org", complete=frozenset({"Encounter"}))
    here.take("1", {"resourceType": "Patient", "id": "p1"})
    due, service = Due("p1", "a", 1.0, 1), _service(PATIENT, VISITS)
    body = here.rescoring._body(due, service)
    assert body is not None
    assert orjson.loads(body) == {
        "hook": "patient-view",
        "hookInstance": due.decision_id,
        "context": {"patientId": "p1", "userId": "Device/events"},
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "p1"},
            "visits": {"resourceType": "Bundle", "type": "searchset", "entry": []},
        },
        "fhirServer": "https://fhir.example.org",
    }
    here.inbox.close()


def test_a_discharge_is_of_the_stay_that_ended_last_and_of_nothing_without_one(site: Site) -> None:
    service = _service(VISITS, answers=("encounter-discharge",))
    stays = [
        {"resourceType": "Encounter", "id": name, "status": status} | ({"period": {"end": end}} if end else {})
        for name, status, end in (
            ("e1", "finished", "2026-11-01"),
            ("e2", "finished", "2026-11-19"),
            ("e3", "in-progress", "2026-11-20"),
            ("e4", "finished", ""),
        )
    ]
    site.take("1", stays[2])
    assert site.rescoring._body(Due("p1", "a", 1.0, 1), service) is None
    site.take("2", *stays)
    body = orjson.loads(site.rescoring._body(Due("p1", "a", 1.0, 1), service) or b"")
    assert (body["hook"], body["context"]) == (
        "encounter-discharge",
        {"patientId": "p1", "userId": "Device/events", "encounterId": "e2"},
    )
    assert "fhirServer" not in body


def test_what_was_computed_is_settled_and_reported(site: Site) -> None:
    site.take("1", {"resourceType": "Patient", "id": "p1"})
    [row] = site.due()
    due = Due(row[0], row[1], row[2], row[5])
    site.now = 1500.0
    site.rescoring._settle(due, 2)
    data = f'{{"decision":"{due.decision_id}","service":"a","patient":"p1"}}'
    assert site.due() == []
    assert site.outbox() == [
        (due.decision_id, "decision-made", "p1", 1500.0, data),
        (f"{due.decision_id}-w", "worklist-changed", "p1", 1500.0, data),
    ]


@pytest.mark.parametrize(
    ("worklist", "kinds"), [(None, []), (0, ["decision-made"]), (1, ["decision-made", "worklist-changed"])]
)
def test_a_worklist_without_entries_has_not_changed(site: Site, worklist: int | None, kinds: list[str]) -> None:
    site.take("1", {"resourceType": "Patient", "id": "p1"})
    site.rescoring._settle(Due("p1", "a", 1000.0, 1), worklist)
    assert [kind for _, kind, *_ in site.outbox()] == kinds


def test_what_came_while_it_was_computed_is_due_at_once(site: Site) -> None:
    site.take("1", {"resourceType": "Patient", "id": "p1"})
    site.take("2", {"resourceType": "Patient", "id": "p1", "gender": "male"}, at=1001.0)
    site.take("3", {"resourceType": "Patient", "id": "p2"}, patient="p2")
    others = [row for row in site.due() if row[0] == "p2"]
    site.now = 1500.0
    site.rescoring._settle(Due("p1", "a", 1000.0, 1), None)
    assert site.due() == [("p1", "a", 1500.0, 1500.0, 1500.0, 2), *others]


def test_what_could_not_be_computed_is_tried_again_in_half_a_minute(site: Site) -> None:
    site.take("1", {"resourceType": "Patient", "id": "p1"})
    site.take("2", {"resourceType": "Patient", "id": "p2"}, patient="p2")
    [(_, _, since, ready, latest, version), other] = site.due()
    site.now = 1500.0
    site.rescoring._postpone(Due("p1", "a", since, version))
    assert site.due() == [("p1", "a", since, 1530.0, latest, version), other]
    assert ready < 1530.0


def test_an_inbox_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "events.sqlite3") as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(sqlite3.DatabaseError, match="the file of events was made by a newer version of this program"):
        Inbox(tmp_path / "events.sqlite3")
