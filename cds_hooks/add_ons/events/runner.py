"""Puts the feeds of a site together: inbox, listeners, computation and outbox, started with the server."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.add_ons.events.declaration import (
    BROKERS,
    BrokerFeed,
    Declaration,
    DeclarationFault,
    FolderFeed,
    MllpFeed,
    SubscriptionFeed,
    read_declaration,
)
from cds_hooks.add_ons.events.folders import FolderListener
from cds_hooks.add_ons.events.inbox import BUCKET_SECONDS, Groups, Inbox, Incoming, Taken
from cds_hooks.add_ons.events.mllp import Listener, certificate_fault
from cds_hooks.add_ons.events.outbox import BrokerDelivery, Delivery, queues
from cds_hooks.add_ons.events.rescoring import ReadFacts, Rescoring, hook_of
from cds_hooks.add_ons.events.subscriptions import Subscriber
from cds_hooks.add_ons.events.watch.running import InterfaceWatch, fold_old_counts
from cds_hooks.call.components import ServerComponents
from cds_hooks.call.routes.entrance import BodyReader
from cds_hooks.call.security.certificates import Certificates
from cds_hooks.call.security.trust import Trust, TrustedClient
from cds_hooks.call.services import Service
from cds_hooks.errors import NotAllowed
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log

if TYPE_CHECKING:
    from cds_hooks.add_ons.events.brokers import BrokerListener

    AnyListener = Listener | FolderListener | BrokerListener

_KEPT_SECONDS: Final = 90 * 86_400.0
_LOCK_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 5.0
_COUNT_SECONDS: Final = 1.0


class Events:
    """The feeds of this server. Of several workers one holds the lock: it listens, computes and sends."""

    def __init__(
        self,
        configured: Settings,
        components: ServerComponents,
        services: Mapping[str, Service],
        trust: Trust,
        now: Callable[[], float] = time,
    ) -> None:
        """Read the declaration and open the inbox.

        Raises:
            DeclarationFault: The declaration, or the file of the inbox, cannot be used.
        """
        path = configured.events_file or Path()
        self.declaration = check_declaration(configured, services)
        self.trust = trust
        self.client = _client(path, self.declaration.client, trust)
        rules = tuple(self.declaration.effect.values())
        names = {service for rule in rules for service in rule.services}
        reads = ReadFacts(services, names, lambda: (self._client_now() or self.client).profile.version)
        try:
            self.inbox = Inbox(self.declaration.file, rules, reads)
        except sqlite3.Error as error:
            raise DeclarationFault(f"{self.declaration.file} cannot be used: {error}") from error
        self.groups = Groups(self.inbox, self.declaration.queue)
        self.rescoring = Rescoring(
            self.inbox, components, services, self.client.name, self._client_now, now, self.declaration
        )
        self.client_fault = ""
        """A sentence where the client of the feeds was taken out of the trust file, else ""."""
        self.ports: dict[str, int] = {}
        """The port of each listener, for a feed that listens on port 0."""
        self._subscribers = {
            name: Subscriber(
                feed, self.inbox, self.groups, trust, _client(path, feed.client, trust) if feed.client else self.client
            )
            for name, feed in self.declaration.feed.items()
            if isinstance(feed, SubscriptionFeed)
        }
        self.watch = InterfaceWatch(self.declaration, self.inbox, components.metrics, now)
        self._source = configured.public_url
        self._now = now
        self._metrics = components.metrics
        self._waiting: list[tuple[str, int, float]] = []
        self._metrics.queues = lambda: self._waiting

    async def keep_counting(self) -> None:
        """Count what waits, once a second until canceled: in a thread, since the file may be locked or damaged."""
        while True:
            kept = f"The trust file has no client {self.client.name!r} now: what feeds bring is kept, not computed."
            self.client_fault = "" if self._client_now() else kept
            self._waiting = await asyncio.to_thread(self._queues)
            await asyncio.sleep(_COUNT_SECONDS)

    def _queues(self) -> list[tuple[str, int, float]]:
        now = self._now()
        return [(queue.name, queue.waiting, max(now - queue.oldest, 0.0) if queue.oldest else 0.0)
                for queue in queues(self.inbox, self.declaration)]  # fmt: skip

    def routes(self, bodies: BodyReader) -> list[Route]:
        """Return the addresses to which FHIR servers post."""
        return [_notification_route(self, name, bodies) for name in self._subscribers]

    def poster(self, name: str) -> str:
        """Return the name of the client that may post to a feed."""
        return self._subscribers[name].client.name

    async def notify(self, name: str, body: bytes) -> None:
        """Take a notification of a feed; when this returns it is on the disk."""
        await self._subscribers[name].take(body, self._now())

    def certificate_fault(self) -> str:
        """Return a sentence where the certificate of a feed cannot be used as its files are now, else ""."""
        feeds = (feed for feed in self.declaration.feed.values() if isinstance(feed, MllpFeed))
        return next(filter(None, map(certificate_fault, feeds)), "")

    def certificates(self) -> Iterator[Certificates]:
        """Yield the certificates of the feeds whose files can be read."""
        for feed in self.declaration.feed.values():
            if isinstance(feed, MllpFeed) and feed.tls is not None and not certificate_fault(feed):
                yield from self._certificates_of(feed.name, feed.tls.certificate, feed.tls.client_ca)

    def _certificates_of(self, name: str, certificate: str, authority: str | None) -> Iterator[Certificates]:
        with suppress(OSError):  # a file that is replaced at this moment is read at the next look
            yield Certificates(f"The certificate of feed.{name}", Path(certificate).read_bytes(), min)
            if authority:
                yield Certificates(f"The authority of the senders of feed.{name}", Path(authority).read_bytes(), max)

    def _client_now(self) -> TrustedClient | None:
        """Return the client of the feeds as the trust file has it now; None where it has none of its name."""
        return next((client for client in self.trust.clients if client.name == self.client.name), None)

    async def keep_running(self) -> None:
        """Run what one worker of a machine runs, as soon as this one holds the lock, until canceled."""
        lock = await self._lock()
        try:
            while True:
                try:
                    await self._run()
                except* Exception as errors:  # a port that is taken, a full disk: said, and tried again
                    log().error("feeds stopped", error_type=type(errors.exceptions[0]).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            os.close(lock)

    async def _run(self) -> None:
        certificates = []
        async with AsyncExitStack() as listening:
            for feed in self.declaration.feed.values():
                if not isinstance(feed, SubscriptionFeed):
                    listener = self._listener(feed)
                    self.ports[feed.name] = await listener.start()
                    listening.push_async_callback(listener.stop)
                    certificates += [listener.keep_certificate()] if isinstance(listener, Listener) else []
            async with asyncio.TaskGroup() as group:
                for work in (*self._works(), *certificates):
                    group.create_task(work)

    def _listener(self, feed: MllpFeed | BrokerFeed | FolderFeed) -> "AnyListener":
        if isinstance(feed, MllpFeed):
            return Listener(feed, self._take, partial(self._metrics.count, "cds_feed_connections"))
        if isinstance(feed, FolderFeed):
            return FolderListener(feed, self._take, self._now)
        from cds_hooks.add_ons.events.brokers import BrokerListener

        return BrokerListener(feed, self._take, self._now, self.inbox.note_at_broker)

    def _works(self) -> list[Coroutine[Any, Any, None]]:
        deliveries = [
            (BrokerDelivery if hook.url.startswith(BROKERS) else Delivery)(
                self.inbox, name, hook, self._source, self._now
            ).keep_sending()
            for name, hook in self.declaration.webhook.items()
        ]
        deliveries += [subscriber.keep_filling(self._now) for subscriber in self._subscribers.values()]
        return [self.rescoring.keep_computing(), self.watch.keep_watching(), self._keep_forgetting(), *deliveries]

    async def _keep_forgetting(self) -> None:
        """Delete what is older than 90 days and no longer needed, once an hour until canceled; facts stay."""
        while True:
            await asyncio.to_thread(self.inbox.forget, self._now() - _KEPT_SECONDS)
            await asyncio.to_thread(fold_old_counts, self.inbox, int(self._now() // BUCKET_SECONDS))
            await asyncio.sleep(3600)

    async def _lock(self) -> int:
        handle = os.open(self.declaration.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            await asyncio.sleep(_LOCK_SECONDS)

    async def _take(self, messages: list[Incoming]) -> list[Taken]:
        try:
            outcomes = await self.groups.take(messages)
        except (sqlite3.Error, OSError):  # the sender gets no acknowledgment, and sends again
            self._metrics.count("cds_store_failures", "events")
            raise
        for message, outcome in zip(messages, outcomes, strict=True):
            self._metrics.count("cds_feed_messages", message.source, outcome.state)
        return outcomes

    def close(self) -> None:
        """Close the inbox."""
        self.inbox.close()


def check_declaration(configured: Settings, services: Mapping[str, Service]) -> Declaration:
    """Return the declaration of the site.

    Raises:
        DeclarationFault: It cannot be used.
    """
    path = configured.events_file or Path()
    declaration = read_declaration(path, services)
    _check_services(path, declaration, services)
    return declaration


def _check_services(path: Path, declaration: Declaration, services: Mapping[str, Service]) -> None:
    for name, rule in declaration.effect.items():
        for service in rule.services:
            if hook_of(services[service]) is None:
                raise DeclarationFault(
                    f"{path}: effect.{name}: {service} judges orders while they are written, so no event can call it"
                )


def _notification_route(events: Events, name: str, bodies: BodyReader) -> Route:
    async def answer(request: Request) -> Response:
        client = await events.trust.client_of(request.scope["headers"], request.scope["path"])
        request.state.client = client.name
        if client.name != events.poster(name):
            raise NotAllowed("This client is not the one whose subscription this is.")
        body = await bodies.read(request.scope["headers"], request.receive)
        await events.notify(name, body)
        return Response(status_code=200)

    return Route(f"/events/{name}", answer, methods=["POST"])


def _client(path: Path, name: str, trust: Trust) -> TrustedClient:
    """Return the client in whose name patients are computed; in the development profile there is only one."""
    if trust.development:
        return trust.clients[0]
    clients = {client.name: client for client in trust.clients}
    if name not in clients:
        raise DeclarationFault(f"{path}: client is {name!r}; it must be a client of the trust file")
    return clients[name]
