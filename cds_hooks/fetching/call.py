"""What one call fetches: each query once, as many as can be at the same time, and what came of it for each key."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date
from time import perf_counter
from typing import Any, Final

from cds_hooks.fetching.asking import known_values, question, still
from cds_hooks.fetching.medications import MOST, ORDER_TYPES, REFERRED_TO, missing_medications, search_for
from cds_hooks.fetching.reasons import Why, why
from cds_hooks.prefetch import Brought, Cost, KeyState
from cds_hooks.protocol.request import CDSRequest
from fhir.client import FetchError, FhirClient, Found, Query
from fhir.client.query import Search
from fhir.record.refusal import Refusal
from fhir.record.resources import Bundle

# A Medication may be a mixture of Medications, and these of others; nobody needs more, and a circle must end.
_DEEPEST_MIXTURE: Final = 3


@dataclass(slots=True)
class _Job:
    """One query, for all the keys that ask for the same; or a given Bundle of which the next pages are wanted."""

    what: Query | Bundle
    states: list[KeyState] = field(default_factory=list)


class Call:
    """The prefetch of one call while its gaps are being filled."""

    def __init__(
        self,
        fhir: FhirClient,
        request: CDSRequest,
        brought: Brought,
        today: date,
        protocol: str,
        keeping: Collection[str] = (),
    ) -> None:
        self._fhir = fhir
        self._keeping = keeping
        self.bodies: list[bytes] = []
        self._request = request
        self._today = today
        self._protocol = protocol
        self.values: dict[str, Any] = dict(request.prefetch)
        self.states: dict[str, KeyState] = {each.template.key: each for each in brought.states}
        self.refusals: list[Refusal] = []
        self._products_asked: set[str] = set()
        self._products_ended: Why | None = None

    async def fill_keys(self) -> None:
        """Asks for everything that is missing at the same time; then for what could only be looked up by that."""
        waiting = [each for each in self.states.values() if each.is_gap]
        while waiting:
            names = {each.template.key for each in waiting}
            ready = [each for each in waiting if names.isdisjoint(each.template.needs)]
            waiting = [each for each in waiting if not names.isdisjoint(each.template.needs)]
            await self._fill(ready)

    async def _fill(self, gaps: list[KeyState]) -> None:
        values = known_values(self._request, self.states.values(), self.values, self._today)
        jobs: dict[Query | str, _Job] = {}
        for gap in gaps:
            if gap.cause == "next-page":
                jobs.setdefault(gap.sent_as, _Job(self._request.prefetch[gap.sent_as])).states.append(gap)
                continue
            found = question(gap, values, self._protocol)
            if isinstance(found, KeyState):
                self._keep(found)
            else:
                jobs.setdefault(found, _Job(found)).states.append(gap)
        await asyncio.gather(*(self._run(job) for job in jobs.values()))

    async def _run(self, job: _Job) -> None:
        started = perf_counter()
        template = job.states[0].template
        keeps = template.resource in self._keeping
        try:
            if isinstance(job.what, Bundle):
                found = await self._fhir.fetch_rest(job.what, template.key, keeps=keeps)
            else:
                found = await self._fhir.fetch(job.what, template.key, keeps=keeps)
        except FetchError as error:
            self._remember_products(job, error)
            for state in job.states:
                self._keep(still(state, why(error)))
        else:
            self._remember_products(job, found.ended)
            self._take(job, found, (perf_counter() - started) * 1000)

    def _take(self, job: _Job, found: Found, milliseconds: float) -> None:
        self.refusals += found.refusals
        self.bodies += found.bodies
        given = 1 if isinstance(job.what, Bundle) else 0  # the page that the client sent
        cost = Cost(round(milliseconds, 1), found.pages - given, found.bytes, _count(found.value))
        for state in job.states:
            if given:
                self.values[state.sent_as] = found.value
                state = replace(state, state="given", cost=cost if found.bytes else None, reason="", cause="")
            else:
                self.values[state.template.key] = found.value
                state = replace(state, state="fetched", cost=cost, reason="", cause="", text="the first pages only")
            self._keep(state if found.ended is None else _in_part(state, why(found.ended)))

    def _remember_products(self, job: _Job, error: FetchError | None) -> None:
        """A client of 3.0 has keys for the Medications that orders refer to: these are not asked for twice."""
        if isinstance(job.what, Search) and job.what.type == "Medication":
            self._products_asked.update(*(value.split(",") for name, value in job.what.parameters if name == "_id"))
            self._products_ended = self._products_ended if error is None else why(error)

    def _keep(self, state: KeyState) -> None:
        self.states[state.template.key] = state

    async def fill_medications(self) -> None:
        """The Medications that orders, drafts and mixtures refer to: one search for each depth."""
        orders = [each for each in self.states.values() if each.template.resource in ORDER_TYPES]
        asked = self._products_asked
        missing = [each for each in missing_medications(self._request, self.values) if each in asked]
        if missing and self._products_ended is not None:
            self._only_referred_to(len(missing), orders, self._products_ended)
            return
        for depth in range(_DEEPEST_MIXTURE if orders else 0):
            ids = [each for each in missing_medications(self._request, self.values) if each not in asked][:MOST]
            if not ids:
                return
            asked.update(ids)
            ended = await self._fetch_medications(ids, f"{REFERRED_TO} {depth + 1}")
            if ended is not None:
                self._only_referred_to(len(ids), orders, ended)
                return

    def _only_referred_to(self, count: int, orders: list[KeyState], ended: Why) -> None:
        text = f"{count} medications are only referred to"
        for state in orders:
            if state.known and not state.reason:
                self._keep(_in_part(replace(state, text=text), ended))

    async def _fetch_medications(self, ids: list[str], key: str) -> Why | None:
        try:
            found = await self._fhir.fetch(search_for(ids), "medications")
        except FetchError as error:
            return why(error)
        self.refusals += found.refusals
        self.values[key] = found.value
        return why(found.ended) if found.ended is not None else None


def _in_part(state: KeyState, reason: Why) -> KeyState:
    return replace(state, reason="partial", cause=reason.code, text=f"{state.text}; {reason.text}")


def _count(value: Any) -> int:
    return len(value.entry) if isinstance(value, Bundle) else int(value is not None)
