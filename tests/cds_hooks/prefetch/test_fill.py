"""What became of every key of one call, with what it took, of a FHIR server that answers at once."""

import asyncio
import dataclasses
from typing import Any, cast

import pytest
from msgspec import structs

from cds_hooks.prefetch import fetch
from cds_hooks.prefetch.fetch import NO_SERVER, NO_TOKEN, OTHER_SUBJECT, PrefetchFetcher, PrefetchFill, _NoServer
from cds_hooks.prefetch.state import FetchCost, KeyState, PrefetchState
from cds_hooks.prefetch.template import Template
from cds_hooks.protocol.request import CDSRequest, FhirAuthorization
from cds_hooks.security.addresses import Budgets, FhirBase, parse_url
from cds_hooks.security.trust import ANONYMOUS, TrustedClient
from fhir.client.client import FetchResult
from fhir.client.errors import FetchError
from tests.cds_hooks.prefetch.test_fetch_engine import ALL_ORDERS, LABS, TODAY, _medication, _order, _request
from tests.fhir.builders import bundle, lean

ORDERS = Template("medications", ALL_ORDERS, "MedicationRequest", "medication orders")
RESULTS = Template("labs", LABS, "Observation", "laboratory results")
PATIENT = Template("patient", "Patient/{{context.patientId}}", "Patient", "the patient")
PRODUCTS = Template("products", "Medication?_id=plain,far", "Medication", "the products")


def _lean(*resources: dict[str, Any]) -> Any:
    return lean(bundle(*resources))


class _Server:
    """A FHIR server: a search is answered by its type, and every query is noted; each takes a quarter of a second."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, bool]] = []
        self.now = 10.0

    def perf_counter(self) -> float:
        return self.now

    async def fetch(self, query: Any, key: str, *, keeps: bool = False) -> FetchResult:
        self.asked.append((query.form if hasattr(query, "form") else query.id, key, keeps))
        return self._answer(self.answers[query.type])

    async def fetch_remaining_pages(self, _page: Any, key: str, *, keeps: bool = False) -> FetchResult:
        self.asked.append(("next", key, keeps))
        return self._answer(self.answers["next"])

    def _answer(self, answer: Any) -> FetchResult:
        self.now += 0.25
        if isinstance(answer, FetchError):
            raise answer
        return cast("FetchResult", answer)


def _fill(
    server: _Server, monkeypatch: pytest.MonkeyPatch, *states: KeyState, request: CDSRequest | None = None, **more: Any
) -> PrefetchFill:
    monkeypatch.setattr(fetch, "perf_counter", server.perf_counter)
    made = request or _request("http://127.0.0.1:9/fhir")
    call = PrefetchFill(cast("Any", server), made, PrefetchState(states), TODAY, "2.0", **more)

    async def run() -> None:
        await call.fill_keys()
        await call.fill_medications()

    asyncio.run(run())
    return call


def _gap(template: Template) -> KeyState:
    return KeyState(template, "unobtainable", "not-sent", text="not sent")


def test_a_page_that_the_client_sent_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    given = KeyState(RESULTS, "given", "partial", "next-page", "x", sent_as="mine")
    request = structs.replace(_request("http://127.0.0.1:9/fhir"), prefetch={"mine": _lean()})
    for size, cost in ((700, FetchCost(250.0, 2, 700, 1)), (0, None)):
        ended = FetchResult(_lean(_medication("a")), (), 3, size)
        call = _fill(_Server(next=ended), monkeypatch, given, request=request)
        assert call.states == {"labs": KeyState(RESULTS, "given", text="x", sent_as="mine", cost=cost)}
        assert call.values == {"mine": ended.value}


def test_what_ended_early_is_a_part_and_what_failed_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    late = FetchError("it took too long")
    call = _fill(_Server(Observation=FetchResult(_lean(), (), 1, 10, late)), monkeypatch, _gap(RESULTS))
    part = call.states["labs"]
    assert (part.state, part.reason, part.cause) == ("fetched", "partial", "not-fetched")
    assert part.text == "the first pages only; it took too long"
    (failed,) = _fill(_Server(Observation=late), monkeypatch, _gap(RESULTS)).states.values()
    assert (failed.state, failed.reason, failed.text) == ("unobtainable", "not-fetched", "not sent; it took too long")
    (nobody,) = _fill(_Server(Patient=FetchResult(None, (), 1, 0)), monkeypatch, _gap(PATIENT)).states.values()
    assert (nobody.state, nobody.reason) == ("unobtainable", "not-found")


def test_products_that_a_key_asks_for_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = _lean(_order(1, "Medication/plain"), _order(2, "Medication/far"), _order(3, "Medication/other"))
    known = KeyState(ORDERS, "given", sent_as="medications")
    request = structs.replace(_request("http://127.0.0.1:9/fhir"), prefetch={"medications": orders})
    late = FetchError("it took too long")

    def filled(**answers: Any) -> tuple[PrefetchFill, list[str]]:
        server = _Server(**answers)
        call = _fill(server, monkeypatch, known, _gap(PRODUCTS), _gap(RESULTS), request=request)
        return call, [query for query, *_ in server.asked]

    labs = FetchResult(_lean(), (), 1, 10)
    whole = FetchResult(_lean(_medication("plain"), _medication("far"), _medication("other")), (), 1, 10)
    call, asked = filled(Medication=whole, Observation=labs)
    assert asked[:1] == ["_id=plain,far"]
    assert asked[2:] == []
    assert call.states["medications"] == known

    call, asked = filled(Medication=FetchResult(_lean(_medication("plain")), (), 1, 10, late), Observation=labs)
    assert len(asked) == 2
    part = call.states["medications"]
    assert (part.reason, part.cause) == ("partial", "not-fetched")
    assert part.text == "1 medication is only referred to; it took too long"

    all_there = FetchResult(_lean(*map(_medication, ("plain", "far", "other"))), (), 1, 10, late)
    call, asked = filled(Medication=all_there, Observation=labs)
    assert call.states["medications"] == known

    call, asked = filled(Medication=late, Observation=labs)
    assert call.states["medications"].text == "2 medications are only referred to; it took too long"

    call, asked = filled(Medication=FetchResult(_lean(_medication("plain")), (), 1, 10), Observation=late)
    assert asked[2:] == ["_id=other&_count=1"]
    assert call.states["medications"] == known


def test_what_needs_the_next_page_of_another_key_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first, rest = _order(1, "Medication/plain"), _order(2, "Medication/far")
    needing = dataclasses.replace(
        PRODUCTS, query="Medication?_id={{%medications.entry.resource.medication.resolve().id}}"
    )
    cut = KeyState(ORDERS, "given", "partial", "next-page", sent_as="medications")
    request = structs.replace(_request("http://127.0.0.1:9/fhir"), prefetch={"medications": _lean(first)})
    products = FetchResult(_lean(*map(_medication, ("plain", "far"))), (), 1, 10)
    server = _Server(next=FetchResult(_lean(first, rest), (), 2, 10), Medication=products)
    _fill(server, monkeypatch, cut, _gap(needing), request=request)
    assert [query for query, *_ in server.asked] == ["next", "_id=plain,far"]


# Which server is asked


class _Trust:
    def __init__(self, *, development: bool, is_open: bool = False) -> None:
        self.development = development
        self.is_open = is_open

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> Any:
        url = parse_url(fhir_server)
        budgets = Budgets(fetch_milliseconds=900)
        return FhirBase(url, url, cast("Any", None), budgets, client.name, open=self.is_open)


def test_a_server_is_asked_with_the_token_for_us_or_where_it_is_open() -> None:
    base = "http://127.0.0.1:9/fhir"
    request, ours = _request(base), TrustedClient("ehr", fhir_client_id="us")
    token = cast("FhirAuthorization", request.fhir_authorization)
    without = structs.replace(request, fhir_authorization=None)

    def asked(made: CDSRequest, client: TrustedClient, **trust: Any) -> Any:
        fetcher = PrefetchFetcher(cast("Any", _Trust(**trust)), 400)
        try:
            server, access = fetcher._server(made, client)
        except _NoServer as error:
            return error.why
        return server.budgets.fetch_milliseconds, access

    for_us = structs.replace(request, fhir_authorization=structs.replace(token, subject="us"))
    assert asked(for_us, ours, development=False) == (900, token.access_token)
    assert asked(for_us, ours, development=True) == (400, token.access_token)
    for_other = structs.replace(request, fhir_authorization=structs.replace(token, subject="them"))
    assert asked(for_other, ours, development=False) == OTHER_SUBJECT
    assert asked(for_other, ANONYMOUS, development=False) == (900, token.access_token)
    assert asked(without, ours, development=False) == NO_TOKEN
    assert asked(without, ours, development=False, is_open=True) == (900, None)
    for address in (None, "", "  "):
        assert asked(structs.replace(request, fhir_server=address), ours, development=False) == NO_SERVER
