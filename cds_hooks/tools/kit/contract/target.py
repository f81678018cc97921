"""The server under test: its discovery document, its services, and the calls made to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from msgspec import json as msgspec_json

from cds_hooks.tools.kit.contract.charts import PatientChart
from cds_hooks.tools.kit.contract.connection import Connection, Exchange, Purpose
from cds_hooks.tools.kit.contract.definitions import HOOKS
from cds_hooks.tools.kit.contract.document import Node, observe
from cds_hooks.tools.kit.contract.requests import (
    DIALECTS,
    Dialect,
    Request,
    conformant_requests,
    new_hook_instance,
    unfilled_keys,
)

DISCOVERY: Final = "/cds-services"
"""The path of discovery, below the server's address; services stand under it."""
_HUGE: Final = 200  # resources in one call
_LONGEST_CALLS_SECONDS: Final = 15.0  # of one service: enough is known of a server that is slow


@dataclass(frozen=True)
class Call:
    """A request and its answer; `sent` is the request in the published form, before the dialect.

    `unfilled` are the prefetch keys that no client can fill, because a token names nothing.
    """

    about: str
    chart: PatientChart
    sent: Request
    exchange: Exchange
    unfilled: frozenset[str] = frozenset()

    @property
    def is_refused(self) -> bool:
        """Whether a conformant call with all of its data was not answered; without an unfilled key 412 is right."""
        return not self.exchange.ok and not (self.unfilled and self.exchange.status == 412)


class Service:
    """What a check of one service is handed; its calls are made once, when first asked for.

    `path` is where it is called, `url` the whole address. `must_fetch` says whether the tester said that the server may
    call `fhir_host`; else reading nothing from it is no fault.
    """

    def __init__(self, entry: dict[str, Any], target: Target) -> None:
        self.entry, self.connection, self.charts = entry, target.connection, target.charts
        self.dialect, self.as_of = target.dialect, target.as_of
        self.fhir_host, self.must_fetch = target.fhir_host, target.must_fetch
        self.hook, self.id = str(entry["hook"]), str(entry["id"])
        self.path = f"{DISCOVERY}/{self.id}"
        self.url = f"{self.connection.base}{self.path}"

    @cached_property
    def calls(self) -> list[Call]:
        """One call for each chart, or several: every one is conformant and expected to succeed."""
        calls: list[Call] = []
        for chart in self.charts:
            for about, request in conformant_requests(self.entry, chart, self.as_of):
                exchange = self.send(request, f"{self.hook} for {about}")
                calls.append(Call(about, chart, request, exchange, unfilled_keys(self.entry, request)))
                if sum(call.exchange.seconds for call in calls) > _LONGEST_CALLS_SECONDS:
                    return calls
        return calls

    @cached_property
    def base(self) -> Call:
        """The call that others are made from: answered, if possible with cards and much data, and not huge.

        Raises NotTested where no call was answered: then the refusal of a changed one says nothing.
        """
        answered = [call for call in self.calls if call.exchange.cards is not None]
        explanation = "" if self.hook in HOOKS else f"; the context of {self.hook} is not in the hook library"
        observe(answered, f"{self.id} answered no conformant {self.hook} call with 200 and cards{explanation}")
        return max(answered, key=_worth)

    def request(self, **context: Any) -> Request:
        """Return a copy of the base call's request, with a hookInstance of its own and these members of context."""
        request = self.as_new(self.base.sent)
        request["context"].update(context)
        return request

    def with_value(self, key: str, value: Any) -> Request:
        """Return such a copy with another value under this prefetch key."""
        return self.request() | {"prefetch": self.prefetch() | {key: value}}

    def prefetch(self) -> dict[str, Any]:
        """Return a copy of the base call's prefetch; NotTested where it has none."""
        prefetch: dict[str, Any] = self.request().get("prefetch", {})
        observe(prefetch, f"{self.id} asks for no prefetch that can be filled")
        return prefetch

    def search_keys(self) -> list[str]:
        """Return the prefetch keys that hold a Bundle."""
        prefetch = self.prefetch()
        return [key for key, value in prefetch.items() if isinstance(value, dict) and value["resourceType"] == "Bundle"]

    def as_new(self, request: Request) -> Request:
        """Return a deep copy of a request with a hookInstance of its own.

        Through JSON and not `copy.deepcopy`, which took a third of a run of the kit.
        """
        copy: Request = msgspec_json.decode(msgspec_json.encode(request))
        return copy | {"hookInstance": new_hook_instance()}

    def send(self, request: Request, title: str, *, broken: bool = False, **more: Any) -> Exchange:
        """Send a request in the dialect's shape. `broken`: a good server refuses it."""
        more["headers"] = {**self.dialect.headers, **more.get("headers", {})}
        return self.connection.post(self.path, self.dialect.shape(request), title, broken=broken, **more)

    def send_as_is(self, body: Any, title: str, *, broken: bool = False, **more: Any) -> Exchange:
        """Send a document, or bytes, unshaped."""
        return self.connection.post(self.path, body, title, broken=broken, **more)

    def send_with_token(self, token: str, title: str, *, broken: bool = True) -> Exchange:
        """Send a copy of the base call with this token in place of the tester's; empty: with none."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.send(self.request(), title, headers=headers, authenticated=False, broken=broken)

    def feedback(self, body: Any, title: str, *, broken: bool = False, **more: Any) -> Exchange:
        """Send feedback."""
        path = f"{self.path}/feedback"
        return self.connection.post(path, body, title, purpose=Purpose.FEEDBACK, broken=broken, **more)


def _worth(call: Call) -> tuple[bool, int, int, int]:
    """Rate a call as the base of others: with cards, not huge, data under many keys, several under one."""
    values = [value for value in call.sent.get("prefetch", {}).values() if isinstance(value, dict)]
    sizes = [len(value.get("entry", [])) for value in values]
    return bool(call.exchange.cards), -(sum(sizes) // _HUGE), sum(map(bool, sizes)), sum(size > 1 for size in sizes)


@dataclass
class Target:
    """What a check of the whole server is handed.

    `origin` is the web origin that CORS is tried with; empty: the public sandbox, or a page of this machine where the
    server is on this machine. `fhir_host` is the name by which the server reaches this
    machine; empty: this machine itself, where the server runs on it, and else no FHIR server is offered to read from.
    """

    connection: Connection
    charts: Sequence[PatientChart]
    as_of: datetime
    dialect: Dialect = DIALECTS["standard"]
    origin: str = ""
    fhir_host: str = ""

    def __post_init__(self) -> None:
        here = self.connection.is_local
        self.must_fetch = bool(self.fhir_host)
        if here and not self.fhir_host:
            self.fhir_host = "127.0.0.1"
        if not self.origin:
            self.origin = "http://localhost:8080" if here else "https://sandbox.cds-hooks.org"

    @cached_property
    def discovery(self) -> Exchange:
        """The answer to GET on the path of discovery."""
        return self.connection.get(DISCOVERY, "discovery", Purpose.DISCOVERY)

    @property
    def document(self) -> Node:
        """The discovery document."""
        return Node(self.discovery.document.value)

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """Every entry that can be called: with a hook and an id."""
        return tuple(
            Service(entry.value, self)
            for entry in self.document.objects("services")
            if entry.text("hook") and _callable(entry.value.get("id"))
        )

    def observe_discovery(self) -> None:
        """Raise NotTested where discovery was not answered, because nothing that depends on it can be tested."""
        observe(self.discovery.ok, f"discovery {self.discovery.answer}")

    @property
    def any_service(self) -> Service:
        """One service; NotTested where there is none."""
        observe(self.services, "discovery lists no service that can be called")
        return self.services[0]


def _callable(identifier: Any) -> bool:
    return isinstance(identifier, str) and bool(identifier) and quote(identifier, safe="-._~") == identifier
