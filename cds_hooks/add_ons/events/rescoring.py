"""Computes the patients whom events have touched, by the stages of a hook call, so that the numbers are the same.

What is due stands in the inbox until the decision is on record. The id of the decision follows from what is due: after
a crash it is looked for before anything is computed again, so that no decision is made twice.

`replay_letter` takes a dead letter in again, as it came or as a person mended it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import select

from cds_hooks.add_ons.events.declaration import Declaration, V2Feed
from cds_hooks.add_ons.events.facts import Fact, chart_of, codes_of
from cds_hooks.add_ons.events.inbox import DeadLetter, Inbox
from cds_hooks.add_ons.events.outbox import add_to_outbox
from cds_hooks.add_ons.events.v2.intake import read_frame
from cds_hooks.call.answer import invoke
from cds_hooks.call.components import ServerComponents
from cds_hooks.call.dialects import DEVELOPMENT
from cds_hooks.call.prefetch.template import Template
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE, PATIENT_VIEW
from cds_hooks.call.security.trust import TrustedClient
from cds_hooks.call.services import Service, every_service, services_for
from cds_hooks.call.stages import Call, Stopwatch
from cds_hooks.errors import CallTimedOut, HookError, RecordFailed
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import decisions
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log

NOBODY: Final = "Device/events"
"""The user of a call that an event made: no clinician."""
_AT_ONCE: Final = 50
_POLL_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 30.0
_CODES: Final = "&code="
_CATEGORY: Final = "&category="
_LOINC: Final = "http://loinc.org|"


class Due(Struct, frozen=True):
    """One patient whom one service is to judge again, up to a message of the inbox."""

    patient: str
    service: str
    since: float
    version: int

    @property
    def decision_id(self) -> str:
        """The id of the decision that settles it: the same however often it is tried."""
        digest = hashlib.sha256(f"{self.service}\0{self.patient}\0{self.version}".encode()).hexdigest()
        time = f"{int(self.since * 1000):012x}"
        return f"{time[:8]}-{time[8:12]}-7{digest[:3]}-8{digest[3:6]}-{digest[6:14]}0000"


def is_read(template: Template, codes: Collection[str]) -> bool:
    """Return whether a prefetch key asks for a fact of its type with these codes.

    Results of a category are read by their names, which is not done where a LOINC code says what they are.
    """
    _, has_codes, rest = template.query.partition(_CODES)
    if has_codes:
        return not frozenset(rest.split("&", 1)[0].split(",")).isdisjoint(codes)
    return _CATEGORY not in template.query or not any(code.startswith(_LOINC) for code in codes)


def prefetch_of(
    templates: Iterable[Template], chart: Sequence[tuple[str, str, dict[str, Any]]], complete: Collection[str]
) -> dict[str, Any]:
    """Return the prefetch that facts answer, of `chart_of`; `complete` are the types of which everything came.

    A key of which no fact came is left out: what was not sent is not known to be absent.
    """
    prefetch: dict[str, Any] = {}
    for template in templates:
        resources = [
            resource
            for kind, codes, resource in chart
            if kind == template.resource and is_read(template, codes.split())
        ]
        if template.resource == "Patient":
            prefetch |= {template.key: resources[0]} if resources else {}
        elif resources or template.resource in complete:
            entries = [{"resource": resource} for resource in resources]
            prefetch[template.key] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    return prefetch


class ReadFacts:
    """Which services read a fact: those whose prefetch asks for its type and one of its codes."""

    def __init__(self, services: Mapping[str, Service], names: Iterable[str], version: Callable[[], str]) -> None:
        """`version` gives that of CDS Hooks which the client of the feeds has now."""
        self._services = {name: services[name] for name in names}
        self._hooks = {name: hook_of(service) for name, service in self._services.items()}
        self._version = version

    def __call__(self, fact: Fact) -> list[str]:
        """Return the ids of the services that read the fact."""
        codes, version = codes_of(fact.resource).split(), self._version()
        return [
            name
            for name, service in self._services.items()
            if any(key.resource == fact.type and is_read(key, codes) for key in service.templates_read_for(version))
            and (self._hooks[name] != ENCOUNTER_DISCHARGE or _is_discharge(fact))
        ]


def _is_discharge(fact: Fact) -> bool:
    return fact.type == "Encounter" and fact.resource.get("status") == "finished"


def hook_of(service: Service) -> str | None:
    """Return the hook at which an event calls a service; None where it answers none that an event can stand for."""
    return next((hook for hook in (PATIENT_VIEW, ENCOUNTER_DISCHARGE) if hook in service.answers), None)


class Rescoring:
    """Computes what is due, beside the calls of clients."""

    def __init__(
        self,
        inbox: Inbox,
        components: ServerComponents,
        services: Mapping[str, Service],
        client_name: str,
        client: Callable[[], TrustedClient | None],
        now: Callable[[], float],
        declaration: Declaration,
    ) -> None:
        """`client` gives the one in whose name patients are computed, if it is registered; `now` the feeds' clock."""
        self._fhir_server, self._complete = declaration.fhir_server, declaration.complete
        self._inbox, self._components, self._services = inbox, components, services
        self._client_name, self._client, self._now = client_name, client, now
        self.computed = 0
        """How many decisions were made because of events."""

    async def keep_computing(self) -> None:
        """Compute what is due until canceled."""
        while True:
            try:
                done = await self.compute_due()
                await asyncio.to_thread(self._mark_withdrawn)
            except (RecordUnavailable, OSError) as error:
                log().error("events cannot be computed", error_type=type(error).__name__)
                done = 0
            await asyncio.sleep(0 if done == _AT_ONCE else _POLL_SECONDS)

    async def compute_due(self) -> int:
        """Compute what is due now, and return how much that was.

        What is due waits while the client is out of the trust file, since its hook calls would be refused too.
        """
        rows = await asyncio.to_thread(
            self._inbox.query,
            "SELECT patient, service, since, version FROM due WHERE ready <= ? ORDER BY ready LIMIT ?",
            (self._now(), _AT_ONCE),
        )
        for number, row in enumerate(rows):
            client = self._client()
            if client is None:
                return number
            await self._compute(Due(*row), client)
        return len(rows)

    async def _compute(self, due: Due, client: TrustedClient) -> None:
        service, body, worklist = self._services.get(due.service), None, None
        if service is not None and not await asyncio.to_thread(self._is_recorded, due.decision_id):
            body = await asyncio.to_thread(self._body, due, service, client.profile.version)
        if service is not None and body is not None:
            try:
                answer = await invoke(self._call(due, service, client), body)
                self.computed += 1
                worklist = len(answer.selected.worklist)
            except (RecordFailed, CallTimedOut):
                await asyncio.to_thread(self._postpone, due)
                return
            except HookError as error:
                log().info("event without an answer", service=due.service, reason=type(error).__name__)
        await asyncio.to_thread(self._settle, due, worklist)

    def _is_recorded(self, decision_id: str) -> bool:
        url = self._components.settings.database_url
        return bool(read_rows(url, select(decisions.c.id).where(decisions.c.id == decision_id)))

    def _call(self, due: Due, service: Service, client: TrustedClient) -> Call:
        components = self._components
        return Call(
            service=service,
            client=client,
            components=components,
            stages=Stopwatch(None),
            decision_id=due.decision_id,
            as_of=components.settings.as_of or datetime.now(UTC),
            released=components.releases.current,
            from_event=True,
        )

    def _body(self, due: Due, service: Service, version: str) -> bytes | None:
        """Return the call that an EHR with these facts would make; None where there is nothing to call about."""
        with self._inbox.transaction() as connection:
            chart = chart_of(connection, due.patient)
        hook = hook_of(service)
        context: dict[str, Any] = {"patientId": due.patient, "userId": NOBODY}
        if hook == ENCOUNTER_DISCHARGE:
            stays = [
                resource for kind, _, resource in chart if kind == "Encounter" and resource["status"] == "finished"
            ]
            if not stays:
                return None
            context["encounterId"] = max(stays, key=lambda stay: stay.get("period", {}).get("end", ""))["id"]
        prefetch = prefetch_of(service.templates_read_for(version), chart, self._complete)
        body = {"hook": hook, "hookInstance": due.decision_id, "context": context, "prefetch": prefetch}
        return orjson.dumps(body | ({"fhirServer": self._fhir_server} if self._fhir_server else {}))

    def _settle(self, due: Due, worklist: int | None) -> None:
        """Take off what was computed; what came meanwhile is due at once. `worklist`: entries of a new decision."""
        now = self._now()
        with self._inbox.transaction() as connection:
            connection.execute(
                "DELETE FROM due WHERE patient = ? AND service = ? AND version = ?",
                (due.patient, due.service, due.version),
            )
            connection.execute(
                "UPDATE due SET since = ?, ready = ?, latest = ? WHERE patient = ? AND service = ?",
                (now, now, now, due.patient, due.service),
            )
            if worklist is not None:
                data = {"decision": due.decision_id, "service": due.service, "patient": due.patient}
                add_to_outbox(connection, due.decision_id, "decision-made", due.patient, now, data)
                if worklist:
                    add_to_outbox(connection, f"{due.decision_id}-w", "worklist-changed", due.patient, now, data)

    def _postpone(self, due: Due) -> None:
        with self._inbox.transaction() as connection:
            connection.execute(
                "UPDATE due SET ready = ? WHERE patient = ? AND service = ?",
                (self._now() + _RETRY_SECONDS, due.patient, due.service),
            )

    def _mark_withdrawn(self) -> None:
        """Note in the record which decisions used a fact that was taken back, by an entry for each decision."""
        for sequence, patient, fact in self._inbox.query("SELECT sequence, patient, fact FROM withdrawn LIMIT 20"):
            url = self._components.settings.database_url
            mine = decisions.c.patient == patient, decisions.c.client == self._client_name
            for row in read_rows(url, select(decisions.c.id, decisions.c.basis).where(*mine)):
                if f'"{fact}"'.encode() in bytes(row.basis):
                    add_event(url, "fact-withdrawn", "events", {"decision": row.id, "fact": fact})
            with self._inbox.transaction() as connection:
                connection.execute("DELETE FROM withdrawn WHERE sequence = ?", (sequence,))


def replay_letter(
    declaration: Declaration, configured: Settings, letter: DeadLetter, content: bytes, now: float
) -> str:
    """Take the letter in and settle it; the reason where it still cannot be read, and "" where it was taken.

    It goes in under an id of its own, since a person decided that it is a message beside the one with the same id.
    """
    feed = declaration.feed.get(letter.source)
    if not isinstance(feed, V2Feed):
        return "Only messages of HL7 v2 feeds can be taken in again."
    rules = tuple(declaration.effect.values())
    names = {service for rule in rules for service in rule.services}
    inbox = Inbox(
        declaration.file, rules, ReadFacts(every_service(services_for(configured)), names, lambda: DEVELOPMENT.version)
    )
    readings = read_frame(content, feed, now)
    fault = next((reading.incoming.fault for reading in readings if reading.incoming.fault), "")
    if fault:
        return fault
    inbox.take(
        [
            replace(reading.incoming, message_id=f"{reading.incoming.message_id}#replay-{letter.sequence}")
            for reading in readings
        ]
    )
    inbox.settle(letter.sequence, "replayed")
    return ""
