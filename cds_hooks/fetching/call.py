"""What one call fetches: each query once, all at the same time, and what came of it for each key."""

import asyncio
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Final

from cds_hooks.fetching.medications import MOST, ORDER_TYPES, REFERRED_TO, missing_medications, search_for
from cds_hooks.fetching.reasons import Why, why
from cds_hooks.prefetch import Brought, Cost, KeyState
from cds_hooks.prefetch.tokens import NoValue, Values, filled
from cds_hooks.protocol.request import CDSRequest
from fhir.client import FetchError, FhirClient, Found, Query
from fhir.client.errors import NotAQuery
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

    def __init__(self, fhir: FhirClient, request: CDSRequest, brought: Brought, tokens: Values, protocol: str) -> None:
        self._fhir = fhir
        self._request = request
        self._tokens = tokens
        self._protocol = protocol
        self.values: dict[str, Any] = dict(request.prefetch)
        self.states: dict[str, KeyState] = {each.template.key: each for each in brought.states}
        self.refusals: list[Refusal] = []

    async def fill_keys(self) -> None:
        """Asks for everything that is missing at the same time."""
        jobs: dict[Query | str, _Job] = {}
        for gap in [each for each in self.states.values() if each.is_gap]:
            try:
                key, what = self._asked_for(gap)
            except (NoValue, NotAQuery) as error:
                self._keep(still(gap, why(error)))
            else:
                jobs.setdefault(key, _Job(what)).states.append(gap)
        await asyncio.gather(*(self._run(job) for job in jobs.values()))

    def _asked_for(self, gap: KeyState) -> tuple[Query | str, Query | Bundle]:
        if gap.cause == "next-page":
            return gap.sent_as, self._request.prefetch[gap.sent_as]
        query = filled(gap.template.query_for(self._protocol), self._tokens)
        return query, query

    async def _run(self, job: _Job) -> None:
        started = perf_counter()
        name = job.states[0].template.key
        try:
            if isinstance(job.what, Bundle):
                found = await self._fhir.fetch_rest(job.what, name)
            else:
                found = await self._fhir.fetch(job.what, name)
        except FetchError as error:
            for state in job.states:
                self._keep(still(state, why(error)))
        else:
            self._take(job, found, (perf_counter() - started) * 1000)

    def _take(self, job: _Job, found: Found, milliseconds: float) -> None:
        self.refusals += found.refusals
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

    def _keep(self, state: KeyState) -> None:
        self.states[state.template.key] = state

    async def fill_medications(self) -> None:
        """The Medications that orders, drafts and mixtures refer to: one search for each depth."""
        orders = [each for each in self.states.values() if each.template.resource in ORDER_TYPES]
        asked: set[str] = set()
        for depth in range(_DEEPEST_MIXTURE if orders else 0):
            ids = [each for each in missing_medications(self._request, self.values) if each not in asked][:MOST]
            if not ids:
                return
            asked.update(ids)
            ended = await self._fetch_medications(ids, f"{REFERRED_TO} {depth + 1}")
            if ended is not None:
                text = f"{len(ids)} medications are only referred to"
                for state in orders:
                    if state.known and not state.reason:
                        self._keep(_in_part(replace(state, text=text), ended))
                return

    async def _fetch_medications(self, ids: list[str], key: str) -> Why | None:
        try:
            found = await self._fhir.fetch(search_for(ids), "medications")
        except FetchError as error:
            return why(error)
        self.refusals += found.refusals
        self.values[key] = found.value
        return why(found.ended) if found.ended is not None else None


def still(state: KeyState, reason: Why) -> KeyState:
    """The same gap, with why it could not be filled."""
    text = f"{state.text}; {reason.text}"
    if state.state == "unobtainable":
        return replace(state, reason=reason.code, text=text)
    return replace(state, cause=reason.code, text=text)


def _in_part(state: KeyState, reason: Why) -> KeyState:
    return replace(state, reason="partial", cause=reason.code, text=f"{state.text}; {reason.text}")


def _count(value: Any) -> int:
    return len(value.entry) if isinstance(value, Bundle) else int(value is not None)
