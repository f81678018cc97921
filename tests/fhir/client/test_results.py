"""What a read or a search returns, whole: value, pages, bytes and bodies, at the limits and just beyond them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from fhir.client.client import FetchResult, FhirClient
from fhir.client.errors import FetchError, ServerFailed
from fhir.client.query import FetchLimits, Read, Search
from fhir.record.resources import Bundle, BundleLink, Patient

BASE = "https://ehr.example/fhir"
SEARCH = Search("Observation", (("code", "a"),))
PATIENT = b'{"resourceType":"Patient","id":"p1"}'
Handler = Callable[[httpx.Request], httpx.Response]
Question = Callable[[FhirClient], Awaitable[FetchResult]]


def page(number: int, total: int | None = None, is_last: bool = False) -> bytes:
    links = [{"relation": "self", "url": "x"}]
    links += [] if is_last else [{"relation": "next", "url": f"{BASE}/Observation?p={number + 1}"}]
    resource = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "x"}}
    bundle: dict[str, Any] = {"resourceType": "Bundle", "link": links, "entry": [{"resource": resource}]}
    return json.dumps(bundle if total is None else bundle | {"total": total}).encode()


def response(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


def ask(handler: Handler, question: Question, bounds: FetchLimits | None = None,
        seconds: Callable[[], float] = lambda: 10.0) -> FetchResult:  # fmt: skip
    async def run() -> FetchResult:
        async with httpx.AsyncClient(base_url=BASE, transport=httpx.MockTransport(handler)) as http:
            return await question(FhirClient(http, seconds, bounds))

    return asyncio.run(run())


def page_of(request: httpx.Request) -> bytes:
    number = int(request.url.params.get("p", 1))
    return page(number, 7 if number == 2 else None, is_last=number == 3)


def three_pages(request: httpx.Request) -> httpx.Response:
    return response(200, page_of(request))


def ids(result: FetchResult) -> list[str | None]:
    return [entry.resource.id for entry in result.value.entry if entry.resource is not None]


@pytest.mark.parametrize(("status", "is_nothing"), [(404, True), (410, True), (400, False)])
def test_a_resource_that_is_not_there_or_gone_is_nothing(status: int, is_nothing: bool) -> None:
    def question() -> FetchResult:
        return ask(lambda _: response(status, b"{}"),
                   lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient"))  # fmt: skip

    if is_nothing:
        assert question() == FetchResult(None, (), 1, 2)
    else:
        with pytest.raises(ServerFailed):
            question()


def test_all_pages_are_one_bundle_with_the_first_total_that_was_stated() -> None:
    bodies = tuple(page(number, 7 if number == 2 else None, is_last=number == 3) for number in (1, 2, 3))
    result = ask(three_pages, lambda fhir: fhir.fetch(SEARCH, "labs", keeps=True))
    assert (ids(result), result.value.total, result.value.type) == (["o1", "o2", "o3"], 7, "searchset")
    assert (result.pages, result.bytes, result.ended) == (3, sum(map(len, bodies)), None)
    assert result.bodies == bodies
    assert ask(three_pages, lambda fhir: fhir.fetch(SEARCH, "labs")).bodies == ()
    first = Bundle(link=(BundleLink("next", f"{BASE}/Observation?p=2"),), total=9)
    rest = ask(three_pages, lambda fhir: fhir.fetch_remaining_pages(first, "labs", keeps=True))
    assert (ids(rest), rest.value.total, rest.pages) == (["o2", "o3"], 9, 3)
    assert rest.bodies == bodies[1:]
    without = ask(three_pages, lambda fhir: fhir.fetch_remaining_pages(first, "labs"))
    assert without.bodies == ()


def test_encodings_and_redirects_are_not_followed() -> None:
    headers: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        headers.append(request.headers["accept-encoding"])
        return response(200, PATIENT, headers={"content-encoding": "Identity"})

    assert ask(answer, lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient")).value == Patient(id="p1")
    assert headers == ["identity"]
    for status in (300, 302, 399):
        with pytest.raises(FetchError, match="another address"):
            ask(lambda _, status=status: response(status, PATIENT),  # type: ignore[misc]
                lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient"))  # fmt: skip


def test_outcomes_beside_data_or_in_an_empty_page_are_no_failure() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    entries: list[dict[str, Any]] = [{"resource": outcome}]

    def answer(_: httpx.Request) -> httpx.Response:
        body = {"resourceType": "Bundle", "entry": entries}
        return response(200, json.dumps(body).encode())

    with pytest.raises(ServerFailed):
        ask(answer, lambda fhir: fhir.fetch(SEARCH, "labs"))
    entries.append({"resource": {"resourceType": "Patient", "id": "p1"}})
    assert ask(answer, lambda fhir: fhir.fetch(SEARCH, "labs")).pages == 1
    entries.clear()
    assert ask(answer, lambda fhir: fhir.fetch(SEARCH, "labs")).value.entry == ()
