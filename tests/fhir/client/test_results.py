"""What a read or a search returns, whole: value, pages, bytes and bodies, at the limits and just beyond them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from fhir.client.client import FetchResult, FhirClient, _decoded, _type_of, seconds_to_wait
from fhir.client.errors import Busy, DeadlineExceeded, FetchError, ServerFailed, TooLarge, Unreadable
from fhir.client.query import LONGEST_URL, FetchLimits, Read, Search, escaped
from fhir.record.resources import Bundle, BundleLink, Patient
from tests.each import for_rows

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


@pytest.mark.parametrize("keeps", [True, False])
def test_a_read_says_how_much_came_and_keeps_it_where_asked(keeps: bool) -> None:
    result = ask(lambda _: response(200, PATIENT),
                 lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient", keeps=keeps))  # fmt: skip
    assert result == FetchResult(Patient(id="p1"), (), 1, len(PATIENT), None, (PATIENT,) if keeps else ())


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


def test_a_read_of_another_kind_or_of_nothing_is_unreadable() -> None:
    for body in (b'{"resourceType":"Observation","id":"p1","status":"final","code":{}}', b"null"):
        with pytest.raises(Unreadable):
            ask(lambda _, body=body: response(200, body),  # type: ignore[misc]
                lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient"))  # fmt: skip


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


@pytest.mark.parametrize(("pages", "is_whole"), [(3, True), (2, False), (1, False)])
def test_as_many_pages_as_the_limit_are_read(pages: int, is_whole: bool) -> None:
    result = ask(three_pages, lambda fhir: fhir.fetch(SEARCH, "labs"), FetchLimits(pages=pages))
    assert (result.pages, result.ended is None) == (pages, is_whole)
    assert is_whole or isinstance(result.ended, TooLarge)


def test_as_many_bytes_as_the_limit_are_read_over_all_pages() -> None:
    whole = ask(three_pages, lambda fhir: fhir.fetch(SEARCH, "labs")).bytes
    exact = ask(three_pages, lambda fhir: fhir.fetch(SEARCH, "labs"), FetchLimits(bytes=whole))
    assert (exact.pages, exact.ended) == (3, None)
    less = ask(three_pages, lambda fhir: fhir.fetch(SEARCH, "labs"), FetchLimits(bytes=whole - 1))
    assert less.pages == 2
    assert isinstance(less.ended, TooLarge)
    limits = FetchLimits()
    assert (limits.pages, limits.bytes) == (20, 10_485_760)


def test_a_server_that_stays_busy_is_asked_eight_times(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[httpx.Request] = []

    def busy(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return response(503, headers={"retry-after": "0"})

    real, waits = asyncio.sleep, []

    async def no_wait(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr("fhir.client.client.asyncio.sleep", no_wait)
    with pytest.raises(Busy):
        ask(busy, lambda fhir: fhir.fetch(SEARCH, "labs"), seconds=lambda: 100.0)
    assert len(requests) == 8
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]


@pytest.mark.parametrize(("left", "error"), [(0.05, Busy), (0.0, DeadlineExceeded), (-1.0, DeadlineExceeded)])
def test_there_is_no_wait_that_takes_all_the_time_that_is_left(left: float, error: type[FetchError]) -> None:
    with pytest.raises(error):
        ask(lambda _: response(429), lambda fhir: fhir.fetch(SEARCH, "labs"), seconds=lambda: left)


@for_rows(("text", "seconds"), [("7", 7.0), (" 7 ", 7.0), ("1234567890", 123456789.0), ("²", 0.05), ("", 0.05)])
def test_the_wait_that_a_server_asks_for(text: str, seconds: float) -> None:
    assert seconds_to_wait({"retry-after": text}, 0) == seconds


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


@for_rows(
    ("status", "error"),
    [(204, "answered with an error"), (400, "answered with an error"), (401, "access token with 401"),
     (403, "user or client with 403"), (429, "busy and asks"), (503, "busy and asks"), (500, "answered with an error")],
)  # fmt: skip
def test_a_status_has_its_sentence(status: int, error: str) -> None:
    with pytest.raises(FetchError, match=error):
        _decoded(status, PATIENT, "patient")
    assert _decoded(399, PATIENT, "patient") == (Patient(id="p1"), [])
    assert _type_of(Patient(id="p1")) == "Patient"


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


def test_a_query_is_posted_from_the_first_character_beyond_the_limit() -> None:
    start = len("Observation?code=")
    longest, longer = (Search("Observation", (("code", "x" * (LONGEST_URL - start + more)),)) for more in (0, 1))
    assert (LONGEST_URL, len(longest.path), longest.is_long, longer.is_long) == (1800, 1800, False, True)
    assert Search("Observation", (("a:b", "http://x/y,z|a b"),)).path == "Observation?a:b=http://x/y,z%7Ca%20b"
    assert Read("Patient", "a b/c".replace("/", ":")).path == "Patient/a%20b%3Ac"
    assert escaped("a\\b$c") == "a\\\\b\\$c"
    large = b" " * 1024 * 1024 + PATIENT
    assert ask(lambda _: response(200, large),
               lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient")).bytes == len(large)  # fmt: skip
