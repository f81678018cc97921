"""Fetches what a call's prefetch lacks from the client's FHIR server, within one time budget."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from cds_hooks.call.prefetch.paths import NoValue, TokenValues, fill_template
from cds_hooks.call.prefetch.state import (
    MOST_MEDICATIONS,
    ORDER_TYPES,
    REFERRED_MEDICATIONS_KEY,
    FetchCost,
    KeyState,
    PrefetchState,
    medication_search,
    missing_medications,
)
from cds_hooks.call.protocol.request import CDSRequest
from cds_hooks.call.security.addresses import FhirBase, OutboundRefused
from cds_hooks.call.security.trust import Trust, TrustedClient
from fhir.client.errors import FetchError, InvalidQuery
from fhir.client.query import FetchLimits, Query, Read, Search
from fhir.record.refusals import Refusal, WhyNot
from fhir.record.resources import Bundle

if TYPE_CHECKING:
    from fhir.client.client import FetchResult, FhirClient

# What to do about a missing prefetch key: the query that would bring it, or the reason why it stays missing. The codes
# of these reasons are those below, of `fhir/client/errors.py` and of `cds_hooks/call/security/addresses.py`.


NO_SERVER: Final = WhyNot("prefetch", "no-server", "the call names no FHIR server to read")
NO_TOKEN: Final = WhyNot("prefetch", "no-token", "the EHR did not send them and gave no token to ask with")
OTHER_SUBJECT: Final = WhyNot(
    "prefetch", "not-allowed", "the access token that came with the call is for another client, not for this server"
)
NO_SUCH_PATIENT: Final = WhyNot("prefetch", "not-found", "the FHIR server has no such patient")
NO_VALUE: Final = WhyNot("prefetch", "no-value", "the call has no value for a token of its query")
NOT_KNOWN_BEFORE: Final = WhyNot("prefetch", "needs-another", "the value that it is looked up by is not known")

# What the way out says of an address that is not this client's.
_NOT_ALLOWED: Final = frozenset({"not-registered", "malformed", "address"})


def gap_reason_of_refusal(error: OutboundRefused) -> WhyNot:
    """Of an address or a token that does not leave this server."""
    code = "not-allowed" if error.reason in _NOT_ALLOWED else error.reason
    return WhyNot(
        "prefetch", code, f"the FHIR server is not read ({error.text[0].lower()}{error.text[1:].rstrip('.')})"
    )


def gap_reason(error: FetchError | NoValue) -> WhyNot:
    """Of a query that brought nothing, or not everything."""
    if isinstance(error, NoValue):
        return NOT_KNOWN_BEFORE if error.unknown else NO_VALUE
    # what the way out refuses reaches the FHIR client as a connection that was not to be had
    if isinstance(error.__cause__, OutboundRefused):
        return gap_reason_of_refusal(error.__cause__)
    return WhyNot("prefetch", error.reason, error.text)


def known_token_values(
    request: CDSRequest, states: Iterable[KeyState], values: Mapping[str, Any], today: date
) -> TokenValues:
    """Return what tokens stand for: the context, and the answers of the keys that are known."""
    answered = (state for state in states if state.is_known)
    answers = {
        key_state.template.key: values.get(key_state.sent_as or key_state.template.key) for key_state in answered
    }
    return TokenValues(request.context, today, answers)


def query_for_gap(gap: KeyState, values: TokenValues, protocol: str) -> Query | KeyState:
    """Return the query that would fill the gap; where there is nothing to ask, the state of the key instead.

    A path of CDS Hooks 3.0 that finds no reference in what is known is an answer: there is nothing to look up.
    """
    try:
        query = fill_template(gap.template.query_for(protocol), values)
    except (NoValue, InvalidQuery) as error:
        is_answered = isinstance(error, NoValue) and not error.unknown and gap.template.is_of_3
        return _nothing(gap) if is_answered else still_missing(gap, gap_reason(error))
    return _nothing(gap) if values.are_in_hand(query) else query


def without_answered_gaps(request: CDSRequest, state: PrefetchState, today: date, protocol: str) -> PrefetchState:
    """Return the same without the gaps that need no query."""
    gaps = [gap for gap in state.gaps if gap.template.may_need_no_query and not gap.is_known]
    if not gaps:
        return state
    values = known_token_values(request, state.states, request.prefetch, today)
    filled = {gap.template.key: query_for_gap(gap, values, protocol) for gap in gaps}
    answered = {key: query for key, query in filled.items() if isinstance(query, KeyState) and query.is_known}
    if not answered:
        return state
    return state.changed(tuple(answered), (answered.get(key.template.key, key) for key in state.states))


def still_missing(state: KeyState, reason: WhyNot) -> KeyState:
    """Return the same gap, with why it could not be filled."""
    text = f"{state.text}; {reason.text}"
    if state.state == "unobtainable":
        return replace(state, reason=reason.reason, text=text)
    return replace(state, cause=reason.reason, text=text)


def _nothing(gap: KeyState) -> KeyState:
    return replace(gap, state="null", reason="", cause="", text="")


# A Medication may be a mixture of Medications, and these of others; nobody needs more, and a circle must end.
_DEEPEST_MIXTURE: Final = 3


class _Job(Struct):
    """One query, for all the keys that ask for the same; or a given Bundle of which the next pages are wanted."""

    what: Query | Bundle
    states: list[KeyState] = field(default_factory=list)


class PrefetchFill:
    """The prefetch of one call while its gaps are being filled."""

    def __init__(
        self,
        fhir: "FhirClient",
        request: CDSRequest,
        state: PrefetchState,
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
        self.states: dict[str, KeyState] = {key_state.template.key: key_state for key_state in state.states}
        self.refusals: list[Refusal] = []
        self._products_asked: set[str] = set()
        self._products_ended: WhyNot | None = None

    async def fill_keys(self) -> None:
        """Asks for everything that is missing at the same time; then for what could only be looked up by that."""
        waiting = [state for state in self.states.values() if state.is_gap]
        while waiting:
            names = {key_state.template.key for key_state in waiting}
            ready = [key_state for key_state in waiting if names.isdisjoint(key_state.template.needs)]
            waiting = [key_state for key_state in waiting if not names.isdisjoint(key_state.template.needs)]
            await self._fill(ready)

    async def _fill(self, gaps: list[KeyState]) -> None:
        values = known_token_values(self._request, self.states.values(), self.values, self._today)
        jobs: dict[Query | str, _Job] = {}
        for gap in gaps:
            if gap.cause == "next-page":
                jobs.setdefault(gap.sent_as, _Job(self._request.prefetch[gap.sent_as])).states.append(gap)
                continue
            query = query_for_gap(gap, values, self._protocol)
            if isinstance(query, KeyState):
                self._keep(query)
            else:
                jobs.setdefault(query, _Job(query)).states.append(gap)
        await asyncio.gather(*(self._run(job) for job in jobs.values()))

    async def _run(self, job: _Job) -> None:
        started = perf_counter()
        template = job.states[0].template
        keeps = template.resource in self._keeping
        try:
            if isinstance(job.what, Bundle):
                result = await self._fhir.fetch_remaining_pages(job.what, template.key, keeps=keeps)
            else:
                result = await self._fhir.fetch(job.what, template.key, keeps=keeps)
        except FetchError as error:
            self._remember_products(job, error)
            for state in job.states:
                self._keep(still_missing(state, gap_reason(error)))
        else:
            if result.value is None and isinstance(job.what, Read) and job.what.type == "Patient":
                # a patient without a Patient is not one whose age is unknown: the call is at the wrong server
                for state in job.states:
                    self._keep(still_missing(state, NO_SUCH_PATIENT))
                return
            self._remember_products(job, result.ended)
            self._take(job, result, (perf_counter() - started) * 1000)

    def _take(self, job: _Job, fetch_result: "FetchResult", milliseconds: float) -> None:
        self.refusals += fetch_result.refusals
        self.bodies += fetch_result.bodies
        sent_pages = 1 if isinstance(job.what, Bundle) else 0  # the page that the client sent
        cost = FetchCost(
            round(milliseconds, 1), fetch_result.pages - sent_pages, fetch_result.bytes, _count(fetch_result.value)
        )
        for state in job.states:
            if sent_pages:
                self.values[state.sent_as] = fetch_result.value
                state = replace(state, state="given", cost=cost if fetch_result.bytes else None, reason="", cause="")
            else:
                self.values[state.template.key] = fetch_result.value
                state = replace(state, state="fetched", cost=cost, reason="", cause="", text="the first pages only")
            self._keep(state if fetch_result.ended is None else _in_part(state, gap_reason(fetch_result.ended)))

    def _remember_products(self, job: _Job, error: FetchError | None) -> None:
        """Remember Medications that a client of 3.0 has keys for, so that they are not asked for twice."""
        if isinstance(job.what, Search) and job.what.type == "Medication":
            self._products_asked.update(dict(job.what.parameters).get("_id", "").split(","))
            self._products_ended = self._products_ended if error is None else gap_reason(error)

    def _keep(self, state: KeyState) -> None:
        self.states[state.template.key] = state

    async def fill_medications(self) -> None:
        """Fetch the Medications that orders, drafts and mixtures refer to: one search for each depth."""
        orders = [state for state in self.states.values() if state.template.resource in ORDER_TYPES]
        products = self._products_asked
        missing = [
            missing_medication
            for missing_medication in missing_medications(self._request, self.values)
            if missing_medication in products
        ]
        if missing and self._products_ended is not None:
            self._only_referred_to(len(missing), orders, self._products_ended)
            return
        for depth in range(_DEEPEST_MIXTURE if orders else 0):
            ids = [
                missing_medication
                for missing_medication in missing_medications(self._request, self.values)
                if missing_medication not in products
            ][:MOST_MEDICATIONS]
            if not ids:
                return
            products.update(ids)
            ended = await self._fetch_medications(ids, f"{REFERRED_MEDICATIONS_KEY} {depth + 1}")
            if ended is not None:
                self._only_referred_to(len(ids), orders, ended)
                return

    def _only_referred_to(self, count: int, orders: list[KeyState], ended: WhyNot) -> None:
        text = "1 medication is only referred to" if count == 1 else f"{count} medications are only referred to"
        for state in orders:
            if state.is_known and not state.reason:
                self._keep(_in_part(replace(state, text=text), ended))

    async def _fetch_medications(self, ids: list[str], key: str) -> WhyNot | None:
        try:
            result = await self._fhir.fetch(medication_search(ids), "medications")
        except FetchError as error:
            return gap_reason(error)
        self.refusals += result.refusals
        self.values[key] = result.value
        return gap_reason(result.ended) if result.ended is not None else None


def _in_part(state: KeyState, reason: WhyNot) -> KeyState:
    return replace(state, reason="partial", cause=reason.reason, text=f"{state.text}; {reason.text}")


def _count(value: Any) -> int:
    return len(value.entry) if isinstance(value, Bundle) else int(value is not None)


class FilledPrefetch(Struct, frozen=True):
    """The prefetch with what was fetched, the state of every key, and what of it could not be read.

    `bodies` are pages of the FHIR server as they came, of the types that were to be kept; `fetched_bytes` is the size
    of everything that was read from it.
    """

    values: Mapping[str, Any]
    state: PrefetchState
    refusals: tuple[Refusal, ...] = ()
    bodies: tuple[bytes, ...] = ()
    fetched_bytes: int = 0


class PrefetchFetcher:
    """For one hook call at a time; what several calls share are connections, never tokens or answers."""

    def __init__(self, trust: Trust, milliseconds: int) -> None:
        """`milliseconds` is the time for one call in the development profile; a trust file has it by client."""
        self._trust = trust
        self._milliseconds = milliseconds

    async def fill(
        self,
        request: CDSRequest,
        state: PrefetchState,
        client: TrustedClient,
        today: date,
        protocol: str,
        keeping: Collection[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> FilledPrefetch:
        """Everything that is still missing, as far as it can be had in time.

        Never an error: what cannot be had has its reason in the key's state, and the keys' policies judge by that.
        `today` and `protocol` (the client's version of CDS Hooks) are for templates with dates.
        `keeping` are the resource types whose JSON is to be kept as it came; `headers` go with every request.
        """
        state = without_answered_gaps(request, state, today, protocol)
        if not state.gaps and not missing_medications(request, request.prefetch):
            return FilledPrefetch(request.prefetch, state)
        try:
            base, token = self._server(request, client)
            http = self._trust.outbound.open(base, token, headers)
        except _NoServer as error:
            return FilledPrefetch(request.prefetch, state.changed(error.why, _unfilled(state, error.why)))
        except OutboundRefused as error:
            states = tuple(_unfilled(state, gap_reason_of_refusal(error)))
            return FilledPrefetch(request.prefetch, replace(state, states=states))
        from fhir.client.client import FhirClient  # it needs httpx: see outbound.py

        started = perf_counter()
        end = started + base.budgets.fetch_milliseconds / 1000
        async with http:
            bounds = FetchLimits(base.budgets.max_pages, base.budgets.max_response_bytes)
            fhir = FhirClient(http, lambda: end - perf_counter(), bounds)
            call = PrefetchFill(fhir, request, state, today, protocol, keeping)
            await call.fill_keys()
            await call.fill_medications()
        milliseconds = round((perf_counter() - started) * 1000, 1)
        states = tuple(call.states.values())
        state = replace(state, states=states, milliseconds=milliseconds)
        fetched_bytes = sum(state.cost.bytes for state in states if state.cost is not None)
        return FilledPrefetch(call.values, state, tuple(call.refusals), tuple(call.bodies), fetched_bytes)

    def _server(self, request: CDSRequest, client: TrustedClient) -> tuple[FhirBase, str | None]:
        authorization = request.fhir_authorization
        if request.fhir_server is None or not request.fhir_server.strip():
            raise _NoServer(NO_SERVER)
        if authorization is not None and client.fhir_client_id not in (None, authorization.subject):
            raise _NoServer(OTHER_SUBJECT)
        base = self._trust.may_fetch(client, request.fhir_server)
        if authorization is None and not base.open:
            raise _NoServer(NO_TOKEN)  # every call to other servers carries one (checklist rows FHIR-01, FHIR-02)
        if self._trust.development:
            base = replace(base, budgets=replace(base.budgets, fetch_milliseconds=self._milliseconds))
        return base, authorization.access_token if authorization is not None else None


class _NoServer(Exception):
    """There is no server to ask, or it may not be asked."""

    def __init__(self, why: WhyNot) -> None:
        super().__init__(why.text)
        self.why = why


def _unfilled(state: PrefetchState, reason: WhyNot) -> Iterator[KeyState]:
    for key_state in state.states:
        yield still_missing(key_state, reason) if key_state.is_gap else key_state
