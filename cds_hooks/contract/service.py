"""One service of the server under test, as discovery lists it for one hook, and calls to it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from cds_hooks.contract.calls import new_instance, requests_for
from cds_hooks.contract.charts import Chart
from cds_hooks.contract.connection import Connection
from cds_hooks.contract.dialects import Dialect, Request
from cds_hooks.contract.exchange import Exchange, Purpose
from cds_hooks.contract.finding import NotTested
from cds_hooks.contract.hooks import HOOKS

_HUGE: Final = 200  # resources in one call
_ENOUGH_SILENCE: Final = 3  # calls in a row without an answer: the next would wait in vain, too


@dataclass(frozen=True)
class Call:
    """A conformant request and its answer; `sent` is the request in the published form, before the dialect."""

    about: str
    chart: Chart
    sent: Request
    exchange: Exchange


@dataclass
class Service:
    """What a check of one service is handed; its calls are made once, when first asked for."""

    entry: dict[str, Any]
    connection: Connection
    charts: Sequence[Chart]
    dialect: Dialect
    as_of: datetime
    fhir_host: str = ""

    @property
    def hook(self) -> str:
        """The hook of this entry."""
        return str(self.entry["hook"])

    @property
    def id(self) -> str:
        """The service's id."""
        return str(self.entry["id"])

    @property
    def path(self) -> str:
        """Where it is called."""
        return f"/cds-services/{self.id}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The prefetch keys it asks for."""
        templates = self.entry.get("prefetch")
        return tuple(templates) if isinstance(templates, dict) else ()

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """One call for each chart, or several: every one is conformant and expected to succeed."""
        return tuple(self._calls())

    def _calls(self) -> Iterator[Call]:
        silent = 0
        for chart in self.charts:
            for about, request in requests_for(self.entry, chart, self.as_of):
                exchange = self.send(request, f"{self.hook} for {about}")
                yield Call(about, chart, request, exchange)
                silent = 0 if exchange.status else silent + 1
                if silent == _ENOUGH_SILENCE:
                    return

    @cached_property
    def _base(self) -> Call:
        answered = [call for call in self.calls if call.exchange.cards is not None]
        if not answered:
            known = "" if self.hook in HOOKS else f"; the context of {self.hook} is not in the hook library"
            raise NotTested(f"{self.id} answered no conformant {self.hook} call with 200 and cards{known}")
        return max(answered, key=_worth)

    @property
    def base(self) -> Call:
        """The call that others are made from: answered, if possible with cards and much data, and not huge.

        Raises NotTested where no call was answered: then the refusal of a changed one says nothing.
        """
        return self._base

    def request(self) -> Request:
        """A copy of the base call's request, with a hookInstance of its own, to be changed at will."""
        return self.as_new(self.base.sent)

    def as_new(self, request: Request) -> Request:
        """A deep copy of a request with a hookInstance of its own."""
        return copy.deepcopy(request) | {"hookInstance": new_instance()}

    def send(self, request: Request, what: str, *, broken: bool = False, **more: Any) -> Exchange:
        """Sends a request in the dialect's shape. `broken`: a good server refuses it."""
        more["headers"] = {**self.dialect.headers, **more.get("headers", {})}
        return self.connection.post(self.path, self.dialect.shape(request), what, broken=broken, **more)

    def send_as_is(self, body: Any, what: str, *, broken: bool = False, **more: Any) -> Exchange:
        """Sends a document, or bytes, unshaped."""
        return self.connection.post(self.path, body, what, broken=broken, **more)

    def feedback(self, body: Any, what: str, *, broken: bool = False, **more: Any) -> Exchange:
        """Sends feedback."""
        path = f"{self.path}/feedback"
        return self.connection.post(path, body, what, purpose=Purpose.FEEDBACK, broken=broken, **more)


def _worth(call: Call) -> tuple[bool, int, int, int]:
    """How well a call serves to make others from: with cards, not huge, data under many keys, several under one."""
    values = [value for value in call.sent.get("prefetch", {}).values() if isinstance(value, dict)]
    sizes = [len(value.get("entry", [])) for value in values]
    return bool(call.exchange.cards), -(sum(sizes) // _HUGE), sum(map(bool, sizes)), sum(size > 1 for size in sizes)
