"""FHIR topic subscriptions (R4 backport 1.1): notifications come in, gaps are filled, a restart of counting is noticed.

An event is known by its subscription, its epoch and its number. A number that was skipped, or whose resource could not
be read, is a gap, which is asked for by `$events`, else by a search that the site declares; a number that falls without
being one of the gaps begins a new epoch. Every resource is applied by its version, so that an event that is applied
twice, or late, has no second effect.
"""

import asyncio
import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final
from urllib.parse import quote

import orjson
from msgspec import Struct

from cds_hooks.add_ons.events.declaration import SubscriptionFeed
from cds_hooks.add_ons.events.facts import Effects, Fact
from cds_hooks.add_ons.events.inbox import Groups, Inbox, Incoming
from cds_hooks.call.protocol.body import is_nested_deeper
from cds_hooks.call.security.addresses import OutboundRefused
from cds_hooks.call.security.trust import Trust, TrustedClient
from cds_hooks.errors import BadRequest, HookError, NotFound
from cds_hooks.telemetry.logs import log
from fhir.record.datatypes import parse_time

_MOST_GAPS: Final = 1000
_GONE: Final = frozenset({404, 410})
_FILL_SECONDS: Final = 300.0
_READ_SECONDS: Final = 10.0
"""So long the resources of one notification are read: who posted it waits, and so do the notifications after it."""
_OVERLAP_SECONDS: Final = 60.0
"""How far before the last complete moment a search begins: clocks differ."""
_MOST_PAGES: Final = 50
_WITHOUT_EVENTS: Final = frozenset({"handshake", "heartbeat"})
_PATIENTS: Final = ("subject", "patient", "beneficiary")
_HIGHEST_NUMBER: Final = 2**53
_RESOURCE: Final = re.compile(r"[A-Za-z]{1,64}/[A-Za-z0-9-][A-Za-z0-9.-]{0,63}")
"""Type and id of a resource; nothing else of a reference becomes an address that is read."""


class Notification(Struct, frozen=True):
    """A notification: its subscription, topic, type and status, and its events by number with references."""

    subscription: str
    topic: str
    type: str
    status: str
    count: int
    events: tuple[tuple[int, str], ...]
    resources: tuple[dict[str, Any], ...]
    content: bytes


class SubscriptionState(Struct, frozen=True):
    """What is known of a subscription: epoch, highest number, gaps below it, status, and until when it is complete."""

    epoch: int = 0
    highest: int = 0
    gaps: frozenset[int] = frozenset()
    status: str = "requested"
    seen_at: float = 0.0


def read_notification(body: bytes) -> Notification:
    """Return the notification that a body is.

    Raises:
        BadRequest: It is no bundle with the status of a subscription at its beginning.
    """
    try:
        bundle = orjson.loads(body)
        entries = [entry for entry in bundle["entry"] if isinstance(entry, dict)]
        status = entries[0]["resource"]
        if (bundle["resourceType"], status["resourceType"]) != ("Bundle", "Parameters") or is_nested_deeper(bundle):
            raise KeyError("Parameters")
        parameters = [parameter for parameter in status["parameter"] if isinstance(parameter, dict)]
        values = {parameter["name"]: _value(parameter) for parameter in parameters}
        events = [_event(parameter) for parameter in parameters if parameter["name"] == "notification-event"]
        resources = tuple(entry["resource"] for entry in entries[1:] if isinstance(entry.get("resource"), dict))
        return Notification(
            str(values["subscription"]["reference"]),
            str(values.get("topic", "")),
            str(values["type"]),
            str(values.get("status", "")),
            _number(values.get("events-since-subscription-start", 0)),
            tuple(events),
            resources,
            body,
        )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise BadRequest(
            "The body must be a notification of a FHIR topic subscription (R4 backport). Nothing was taken in.",
            "Bundle",
        ) from error


def _value(parameter: Mapping[str, Any]) -> Any:
    return next((value for name, value in parameter.items() if name.startswith("value")), None)


def _number(value: Any) -> int:
    """Return a number of events; ValueError for one that no server can have counted."""
    number = int(value)
    if not 0 <= number <= _HIGHEST_NUMBER:
        raise ValueError("no number of events")
    return number


def _event(parameter: Mapping[str, Any]) -> tuple[int, str]:
    parts = {part["name"]: _value(part) for part in parameter["part"]}
    focus = parts.get("focus") or {}
    return _number(parts["event-number"]), str(focus.get("reference", ""))


class _NotRead(Exception):
    """The FHIR server gave neither a resource nor the word that it has none: it is asked again."""


class Subscriber:
    """Takes the notifications of one subscription."""

    def __init__(
        self, feed: SubscriptionFeed, inbox: Inbox, groups: Groups, trust: Trust, client: TrustedClient
    ) -> None:
        """`client` is the one that may post, and whose FHIR server is read."""
        self._feed, self._inbox, self._groups = feed, inbox, groups
        self._trust, self.client = trust, client
        self._turn = asyncio.Lock()

    async def take(self, body: bytes, now: float) -> None:
        """Apply a notification; when this returns it is on the disk.

        Raises:
            HookError: It is of another subscription or topic, or cannot be read; nothing was applied.
        """
        try:
            notification = read_notification(body)
            self._check(notification)
        except HookError:
            await self._count("refused", now)
            raise
        async with self._turn:  # the numbers of a subscription are judged in their order
            await self._apply(notification, now)

    def _check(self, notification: Notification) -> None:
        if notification.subscription.rstrip("/") != self._feed.subscription.rstrip("/"):
            raise NotFound("The notification is of a subscription that this server does not have.")
        if notification.topic and notification.topic != self._feed.topic:
            raise BadRequest(
                "The notification is of a topic that this server has not subscribed to. Nothing was taken in.", "topic"
            )

    async def _apply(self, notification: Notification, now: float) -> None:
        state = await asyncio.to_thread(self.state)
        counted: Counter[str] = Counter({f"notification:{notification.type}": 1})
        if notification.status == "error":
            log().error("subscription reports an error", client=self._feed.name)
            counted["subscription-error"] += 1
        numbers = [number for number, _ in notification.events]
        came_before = await asyncio.to_thread(self._came_before, state.epoch, notification)
        after = _next_state(state, notification, numbers, now, is_late=came_before)
        counted["epoch"] += after.epoch != state.epoch
        is_known = bool(numbers) and after.epoch == state.epoch and came_before and not state.gaps & set(numbers)
        resources, unread = ((), frozenset()) if is_known else await self._resources(notification, counted)
        after = _with_gaps(after, after.gaps | unread, state, now)
        await self._store(notification, after, resources, counted, now, is_known=is_known)
        if after.epoch != state.epoch and state.gaps:
            await self._search(state.seen_at, now)  # numbers of before can no longer be asked for
        wanted = after.gaps if notification.type == "heartbeat" else after.gaps - state.gaps
        if wanted:
            await self._fill(min(wanted), max(wanted), now)

    async def keep_filling(self, now: Callable[[], float]) -> None:
        """Ask for what is missing every five minutes, until canceled: a server that is down sends no heartbeat."""
        while True:
            await asyncio.sleep(_FILL_SECONDS)
            await self.fill_gaps(now())

    async def fill_gaps(self, now: float) -> None:
        """Ask for the events that did not come, or whose resource could not be read."""
        async with self._turn:
            gaps = (await asyncio.to_thread(self.state)).gaps
            if gaps:
                await self._fill(min(gaps), max(gaps), now)

    def _came_before(self, epoch: int, notification: Notification) -> bool:
        """Return whether these events with these references came in this epoch."""
        key = f"{_key(epoch, notification)}:"
        rows = self._inbox.query(
            "SELECT 1 FROM inbox WHERE source = ? AND message_id >= ? AND message_id < ? LIMIT 1",
            (self._feed.name, key, f"{key}g"),
        )
        return bool(rows) and bool(notification.events)

    async def _resources(
        self, notification: Notification, counted: Counter[str]
    ) -> tuple[tuple[dict[str, Any], ...], frozenset[int]]:
        """Return the resources of the events, and the numbers of those that could not be read from the server.

        Of events that came as an id only, the resource is what the server has. What was not read in time is a gap, and
        so is an event that names nothing (payload `empty`): what changed is asked for.
        """
        until = monotonic() + _READ_SECONDS
        resources = {
            f"{resource.get('resourceType')}/{resource.get('id')}": resource for resource in notification.resources
        }
        unread: dict[str, None] = {}
        for focus in dict.fromkeys(_local(focus) for _, focus in notification.events if focus):
            if focus in resources or focus in unread:
                continue
            try:
                if monotonic() > until:
                    raise _NotRead
                document = await self._get(focus, is_logged=not unread) if _RESOURCE.fullmatch(focus) else None
            except _NotRead:
                document = unread[focus] = None
            if document is None or document.get("resourceType") == "OperationOutcome":
                counted["not-found"] += 1
            else:
                resources[focus] = document
        numbers = {number for number, focus in notification.events if _local(focus) in unread}
        if not notification.resources:
            numbers.update(number for number, focus in notification.events if not focus)
        return tuple(resources.values()), frozenset(numbers)

    async def _get(self, path: str, *, is_logged: bool = True) -> dict[str, Any] | None:
        """Return what the FHIR server has at a path below its base; None where it says that there is nothing.

        `is_logged` is False where the log has it of another resource of the same notification.

        Raises:
            _NotRead: It did not answer, or with something else.
        """
        import httpx

        try:
            base = self._trust.may_fetch(self.client, self._feed.server)
            async with self._trust.outbound.open(base) as http:
                response = await http.get(path)
                document = orjson.loads(response.content) if response.is_success else None
        except (httpx.HTTPError, OutboundRefused, ValueError) as error:
            if is_logged:
                log().warning("FHIR server of a subscription not read", error_type=type(error).__name__)
            raise _NotRead from error
        if isinstance(document, dict) and not is_nested_deeper(document):
            return document
        if response.status_code in _GONE:
            return None
        if is_logged:
            log().warning("FHIR server of a subscription not read", status=response.status_code)
        raise _NotRead

    async def _fill(self, first: int, last: int, now: float) -> None:
        """Ask for events that did not come by `$events`, else by a search; what is not given stays a gap."""
        path = f"Subscription/{self._feed.subscription.rsplit('/', 1)[1]}/$events"
        query = f"{path}?eventsSinceNumber={first}&eventsUntilNumber={last}&content=full-resource"
        state = await asyncio.to_thread(self.state)
        gaps = state.gaps
        with suppress(HookError, _NotRead):
            notification = read_notification(orjson.dumps(await self._get(query)))
            self._check(notification)
            counted: Counter[str] = Counter({"gap-filled": len(notification.events)})
            resources, unread = await self._resources(notification, counted)
            gaps -= {number for number, _ in notification.events} - unread
            await self._store(notification, _with_gaps(state, gaps, state, now), resources, counted, now)
        if gaps and await self._search(state.seen_at, now):
            await asyncio.to_thread(self._note, _with_gaps(state, frozenset(), state, now))
        elif gaps:
            await self._count("gap-not-filled", now)

    async def _search(self, since: float, now: float) -> bool:
        """Read all that changed since a time by the search of the feed, and return whether everything was read."""
        if not self._feed.search or not since:
            return False
        start = datetime.fromtimestamp(since - _OVERLAP_SECONDS, UTC).isoformat(timespec="seconds")
        path = f"{self._feed.search}{'&' if '?' in self._feed.search else '?'}_lastUpdated=ge{quote(start)}"
        resources: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            try:
                page = await self._get(path) or {}
                resources += _entries(page)
                path = _next_page(page, self._feed.server)
            except _NotRead:
                return False
            if not path:
                break
        state = await asyncio.to_thread(self.state)
        content = orjson.dumps([f"{resource.get('resourceType')}/{resource.get('id')}" for resource in resources])
        result = Notification(self._feed.subscription, "", "search", "", 0, (), tuple(resources), content)
        await self._store(result, state, result.resources, Counter({"searched": 1}), now)
        return not path

    async def _store(
        self,
        notification: Notification,
        after: SubscriptionState,
        resources: tuple[dict[str, Any], ...],
        counted: Counter[str],
        now: float,
        *,
        is_known: bool = False,
    ) -> None:
        effects = Effects(counted=counted)
        for resource in resources:
            fact = fact_of(resource)
            if fact is None:
                counted["without-patient"] += 1
            else:
                effects.facts.append(fact)
        effects.latencies += [now - fact.happened for fact in effects.facts if fact.happened is not None]
        counted["duplicate"] += is_known
        digest = hashlib.sha256(notification.content).hexdigest()[:16]
        incoming = Incoming(
            self._feed.name,
            f"{_key(after.epoch, notification) or f'{notification.type}@{now}'}:{digest}",
            notification.type,
            notification.content,
            now,
            effects,
            late_days=self._feed.late_days,
        )
        await self._groups.take([incoming])
        await asyncio.to_thread(self._note, after)

    def state(self) -> SubscriptionState:
        """Return what is known of the subscription."""
        rows = self._inbox.query(
            "SELECT epoch, highest, gaps, status, seen_at FROM subscriptions WHERE feed = ?", (self._feed.name,)
        )
        if not rows:
            return SubscriptionState()
        epoch, highest, gaps, status, seen_at = rows[0]
        return SubscriptionState(epoch, highest, frozenset(json.loads(gaps)), status, seen_at)

    def _note(self, state: SubscriptionState) -> None:
        with self._inbox.transaction() as connection:
            _write_state(connection, self._feed.name, state)

    async def _count(self, name: str, now: float) -> None:
        await asyncio.to_thread(self._inbox.count, self._feed.name, name, now)


def _write_state(connection: sqlite3.Connection, feed: str, state: SubscriptionState) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO subscriptions (feed, epoch, highest, status, seen_at, gaps) VALUES (?, ?, ?, ?, ?, ?)",
        (feed, state.epoch, state.highest, state.status, state.seen_at, json.dumps(sorted(state.gaps))),
    )


def _with_gaps(
    state: SubscriptionState, gaps: frozenset[int], before: SubscriptionState, now: float
) -> SubscriptionState:
    """Return a state with these gaps; while there are any, it is complete until when the one before was."""
    return SubscriptionState(state.epoch, state.highest, gaps, state.status, (before.seen_at or now) if gaps else now)


def _entries(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the resources of a page of a search.

    Raises:
        _NotRead: It is none.
    """
    entries = page.get("entry", [])
    if page.get("resourceType") != "Bundle" or not isinstance(entries, list):
        raise _NotRead
    resources = (entry.get("resource") for entry in entries if isinstance(entry, dict))
    return [resource for resource in resources if isinstance(resource, dict)]


def _next_page(page: Mapping[str, Any], server: str) -> str:
    """Return the path of the next page of a search; "" where there is none.

    Raises:
        _NotRead: It is at another server.
    """
    links = page.get("link") if isinstance(page.get("link"), list) else []
    urls = [link.get("url") for link in links or () if isinstance(link, dict) and link.get("relation") == "next"]
    if not urls:
        return ""
    if not isinstance(urls[0], str) or not urls[0].startswith(f"{server}/"):
        raise _NotRead
    return urls[0].removeprefix(f"{server}/")


def _local(reference: str) -> str:
    """Return the type and id of a reference, as they stand below the base of the server."""
    return "/".join(reference.split("/")[-2:])


def _key(epoch: int, notification: Notification) -> str:
    """Return the numbers and references of the events as a key; "" where there are none."""
    if not notification.events:
        return ""
    numbers = ",".join(str(number) for number, _ in notification.events)
    references = hashlib.sha256(" ".join(focus for _, focus in notification.events).encode()).hexdigest()[:12]
    return f"{epoch}:{numbers}:{references}"


def _next_state(
    state: SubscriptionState, notification: Notification, numbers: list[int], now: float, *, is_late: bool
) -> SubscriptionState:
    """Return what is known after a notification.

    The server counts from the beginning again where it says so by a handshake, or where its total is below the highest
    number that is known here, unless the events came before or close gaps: then the notification is late.
    """
    status = "active" if notification.type == "handshake" else notification.status or state.status
    if notification.status == "error":
        return SubscriptionState(state.epoch, state.highest, state.gaps, "error", now)
    is_late = is_late or (bool(numbers) and state.gaps >= set(numbers))
    has_restarted = notification.count < state.highest and not is_late
    if has_restarted or (notification.type == "handshake" and state.highest):
        state = SubscriptionState(state.epoch + 1, 0, frozenset(), state.status, now)
    if notification.type in _WITHOUT_EVENTS:
        lost = range(state.highest + 1, min(notification.count, state.highest + _MOST_GAPS) + 1)
        highest = max(state.highest, notification.count)
        return SubscriptionState(state.epoch, highest, state.gaps | frozenset(lost), status, now)
    highest = max([state.highest, *(numbers or [notification.count])])  # an empty payload need not list its events
    skipped = range(max(state.highest, highest - _MOST_GAPS) + 1, highest + 1)
    gaps = (state.gaps | frozenset(skipped)) - frozenset(numbers)
    return SubscriptionState(state.epoch, highest, gaps, status, now)


def fact_of(resource: dict[str, Any]) -> Fact | None:
    """Return the fact that a resource of a FHIR server is; None where it is about no patient.

    >>> fact_of({"resourceType": "Patient", "id": "p"}).patient
    'p'
    """
    kind, resource_id = resource.get("resourceType"), resource.get("id")
    if not isinstance(kind, str) or not isinstance(resource_id, str):
        return None
    references = [resource[name].get("reference", "") for name in _PATIENTS if isinstance(resource.get(name), dict)]
    patient = resource_id if kind == "Patient" else next((_local(str(reference)) for reference in references), "")
    patient = patient.removeprefix("Patient/")
    if not patient or "/" in patient:
        return None
    meta = resource["meta"] if isinstance(resource.get("meta"), dict) else {}
    version = str(meta.get("versionId", ""))
    happened = parse_time(str(resource.get("effectiveDateTime") or resource.get("issued") or ""))
    updated = parse_time(str(meta.get("lastUpdated") or ""))
    at = updated.instant if updated is not None else 0.0
    rank = int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0
    return Fact(patient, resource, at, rank, happened=happened.instant if happened is not None else None)
