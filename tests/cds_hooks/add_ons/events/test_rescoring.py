"""What an event does: the same numbers as a hook call, nothing on a screen, a worklist entry, no decision twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec.structs import replace
from sqlalchemy import select

from cds_hooks.add_ons.events.declaration import Declaration, EffectRule
from cds_hooks.add_ons.events.facts import Effects, Fact
from cds_hooks.add_ons.events.inbox import Inbox
from cds_hooks.add_ons.events.rescoring import ReadFacts, Rescoring
from cds_hooks.call.components import ServerComponents, open_components
from cds_hooks.call.configuration import served_versions
from cds_hooks.call.security import open_trust
from cds_hooks.call.security.trust import NO_SERVICE, RegistrableNames, development_client
from cds_hooks.call.services import Service, services_for, versions_for
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import decisions
from cds_hooks.samples import load_patient
from cds_hooks.settings import Settings
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from cds_hooks.tools.kit.simulator.request import build_request
from tests.cds_hooks.add_ons.events.messages import NOW, incoming, run_async
from tests.cds_hooks.calls import client
from tests.fhir.builders import observation
from tests.live import record_in

AS_OF = datetime(2026, 11, 20, 14, tzinfo=UTC)
SLOW_SAMPLES = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("af-no-anticoagulant", "fatty-liver", "going-home")
]


class Site:
    def __init__(self, folder: Path, components: ServerComponents, services: dict[str, Service]) -> None:
        self.now, self.services = NOW, services
        names = [service.id for service in services.values() if "patient-view" in service.answers]
        rule = EffectRule(services=tuple(names), quiet_seconds=10)
        templates = [template for name in names for template in services[name].templates_read_for("2.0")]
        types = frozenset(template.resource for template in templates)
        declaration = Declaration(complete=types)
        reads = ReadFacts(services, names, lambda: "2.0")
        self.inbox = Inbox(folder / "events.sqlite3", [rule], reads)
        self.url = components.settings.database_url
        self.client = development_client(components.settings)
        self.rescoring = Rescoring(
            self.inbox, components, services, self.client.name, lambda: self.client, lambda: self.now, declaration
        )

    def take(self, control_id: str, resources: list[dict[str, Any]], patient: str) -> None:
        effects = Effects(facts=[Fact(patient, resource, NOW) for resource in resources])
        message = incoming(control_id, orjson.dumps(resources))
        message.effects = effects
        self.inbox.take([message])

    def decided(self) -> list[Any]:
        return list(read_rows(self.url, select(decisions).order_by(decisions.c.sequence)))

    def due(self) -> int:
        return int(self.inbox.query("SELECT count(*) FROM due")[0][0])

    async def compute(self) -> None:
        self.now += 20
        while await self.rescoring.compute_due():
            pass


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    configured = Settings(database_url=record_in(folder), as_of=AS_OF, user_keys=folder / "keys.txt")
    services = services_for(configured)
    versions = versions_for(configured, services)
    hooks = {hook for service in services.values() for hook in service.answers}
    trust = open_trust(
        None,
        configured.public_url,
        configured.database_url,
        registrable=RegistrableNames(services, hooks),
        development=development_client(configured),
    )
    served = served_versions(services, versions)
    components = open_components(configured, services, trust, None, versions, served)
    made = Site(folder, components, services)
    yield made
    made.inbox.close()
    components.computing.close()
    await components.decisions.close()
    await trust.aclose()


def _resources(sample: str) -> tuple[list[dict[str, Any]], str]:
    resources = list(resources_of(load_patient(sample, AS_OF)))
    return resources, next(str(one["id"]) for one in resources if one["resourceType"] == "Patient")


def _numbers(row: Any) -> Any:
    basis = orjson.loads(bytes(row.basis))
    return basis.get("scores"), basis.get("features")


@pytest.mark.parametrize("sample", ["ckd-uacr", *SLOW_SAMPLES])
def test_an_event_gives_the_numbers_of_a_hook_call_and_shows_nothing(sample: str, tmp_path: Path) -> None:
    @run_async
    async def compare() -> None:
        resources, patient = _resources(sample)
        async with site(tmp_path) as here:
            here.take("1", resources, patient)
            await here.compute()
            by_event = {row.service: row for row in here.decided()}
            entries = {service.id: service.discovery() for service in here.services.values()}
        assert by_event
        folder = tmp_path / "hook"
        folder.mkdir()
        async with client(folder, as_of=AS_OF, user_keys=folder / "keys.txt") as calls:
            for name in by_event:
                entry = next(one for one in entries[name] if one["hook"] == "patient-view")
                body = build_request(entry, Chart(resources), [], today=AS_OF.date())
                assert (await calls.post(f"/cds-services/{entry['id']}", json=body)).status_code == 200
        by_hook = {row.service: row for row in read_rows(record_in(folder), select(decisions))}
        assert {name: _numbers(row) for name, row in by_event.items()} == {
            name: _numbers(row) for name, row in by_hook.items()
        }
        for row in by_event.values():
            assert (row.outcome, orjson.loads(bytes(row.response))["cards"]) == ("silent", [])

    compare()


@run_async
async def test_a_card_that_an_event_makes_is_a_worklist_entry_and_rests_for_nobody(tmp_path: Path) -> None:
    resources, patient = _resources("ckd-uacr")
    async with site(tmp_path) as here:
        here.take("1", resources, patient)
        await here.compute()
        said = [orjson.loads(bytes(row.response))["extension"]["org.cds-hooks-onnx"] for row in here.decided()]
        entries = [entry for one in said for entry in one.get("worklist", ())]
        reasons = {silence["reason"] for one in said for silence in one.get("silence", ())}
    assert "from-event" in {entry["because"] for entry in entries}
    assert "from-event" in reasons


@run_async
async def test_events_within_the_quiet_time_are_one_decision(tmp_path: Path) -> None:
    resources, patient = _resources("ckd-uacr")
    async with site(tmp_path) as here:
        here.take("1", resources, patient)
        first = here.due()
        here.take("2", [resources[0] | {"note": [{"text": "again"}]}], patient)
        assert here.due() == first > 0
        assert await here.rescoring.compute_due() == 0
        await here.compute()
        assert len(here.decided()) == first
        here.client = replace(here.client, services=NO_SERVICE)  # its entry of the trust file was edited
        here.take("3", [resources[0] | {"note": [{"text": "once more"}]}], patient)
        await here.compute()
        assert len(here.decided()) == first
        assert here.due() == 0


@run_async
async def test_after_a_crash_between_decision_and_settlement_nothing_is_decided_twice(tmp_path: Path) -> None:
    resources, patient = _resources("ckd-uacr")
    async with site(tmp_path) as here:
        here.take("1", resources, patient)
        due = here.inbox.query("SELECT * FROM due")
        await here.compute()
        made = len(here.decided())
        with here.inbox.transaction() as connection:
            connection.executemany("INSERT INTO due VALUES (?, ?, ?, ?, ?, ?)", due)
        await here.compute()
        assert len(here.decided()) == made > 0
        assert len(here.inbox.query("SELECT * FROM outbox WHERE type = 'decision-made'")) == made


@run_async
async def test_only_services_that_read_a_fact_are_computed(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        fact = observation("10900-9", when=None, patient=None, id="o1")
        here.take("1", [fact], "p9")
        assert {row[0] for row in here.inbox.query("SELECT service FROM due")} == {"vaccines-due"}
        here.take("2", [fact | {"id": "o2", "code": {"coding": [{"system": "urn:v2:L", "code": "XYZ"}]}}], "p8")
        by_name = {row[0] for row in here.inbox.query("SELECT service FROM due WHERE patient = 'p8'")}
        assert by_name == {"medication-review", "preventive-services"}
