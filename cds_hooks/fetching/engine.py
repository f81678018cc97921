"""Reads what a call did not bring from the FHIR server that came with it, if there is one that may be read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from time import perf_counter
from typing import Any

from cds_hooks.fetching.asking import settled, still
from cds_hooks.fetching.call import Call
from cds_hooks.fetching.medications import missing_medications
from cds_hooks.fetching.reasons import NO_SERVER, NO_TOKEN, OTHER_SUBJECT, Why, why_refused
from cds_hooks.prefetch import Brought
from cds_hooks.protocol.request import CDSRequest
from cds_hooks.security.client import TrustedClient
from cds_hooks.security.outbound import FhirBase
from cds_hooks.security.refused import Refused
from cds_hooks.security.trust import Trust
from fhir.client import Bounds, FhirClient
from fhir.record.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Filled:
    """The prefetch with what was fetched, the state of every key, and what of it could not be read.

    `bodies` are pages of the FHIR server as they came, of the types that were to be kept.
    """

    values: Mapping[str, Any]
    brought: Brought
    refusals: tuple[Refusal, ...] = ()
    bodies: tuple[bytes, ...] = ()


class Fetching:
    """For one hook call at a time; what several calls share are connections, never tokens or answers."""

    def __init__(self, trust: Trust, milliseconds: int) -> None:
        """`milliseconds` is the time for one call in the development profile; a trust file has it by client."""
        self._trust = trust
        self._milliseconds = milliseconds

    async def fill(
        self,
        request: CDSRequest,
        brought: Brought,
        client: TrustedClient,
        today: date,
        protocol: str,
        keeping: Collection[str] = (),
    ) -> Filled:
        """Everything that is still missing, as far as it can be had in time.

        Never an error: what cannot be had has its reason in the key's state, and the keys' policies judge by that.
        `today` and `protocol` (the client's version of CDS Hooks) are for templates with dates.
        `keeping` are the resource types whose JSON is to be kept as it came.
        """
        brought = settled(request, brought, today, protocol)
        if not brought.gaps and not missing_medications(request, request.prefetch):
            return Filled(request.prefetch, brought)
        try:
            base, token = self._server(request, client)
            http = self._trust.outbound.open(base, token)
        except _NoServer as error:
            return _unfilled(request, brought, error.why)
        except Refused as error:
            return _unfilled(request, brought, why_refused(error))
        started = perf_counter()
        end = started + base.budgets.fetch_milliseconds / 1000
        async with http:
            bounds = Bounds(base.budgets.max_pages, base.budgets.max_response_bytes)
            fhir = FhirClient(http, lambda: end - perf_counter(), bounds)
            call = Call(fhir, request, brought, today, protocol, keeping)
            await call.fill_keys()
            await call.fill_medications()
        milliseconds = round((perf_counter() - started) * 1000, 1)
        states = tuple(call.states.values())
        brought = replace(brought, states=states, milliseconds=milliseconds)
        return Filled(call.values, brought, tuple(call.refusals), tuple(call.bodies))

    def _server(self, request: CDSRequest, client: TrustedClient) -> tuple[FhirBase, str]:
        authorization = request.fhir_authorization
        if request.fhir_server is None or not request.fhir_server.strip():
            raise _NoServer(NO_SERVER)
        if authorization is None:
            raise _NoServer(NO_TOKEN)  # every call to a FHIR server carries one (checklist rows FHIR-01, FHIR-02)
        if client.fhir_client_id not in (None, authorization.subject):
            raise _NoServer(OTHER_SUBJECT)
        base = self._trust.may_fetch(client, request.fhir_server)
        if self._trust.development:
            base = replace(base, budgets=replace(base.budgets, fetch_milliseconds=self._milliseconds))
        return base, authorization.access_token


class _NoServer(Exception):
    """There is no server to ask, or it may not be asked."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.text)
        self.why = why


def _unfilled(request: CDSRequest, brought: Brought, reason: Why) -> Filled:
    states = tuple(still(each, reason) if each.is_gap else each for each in brought.states)
    return Filled(request.prefetch, replace(brought, states=states))
