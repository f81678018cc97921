"""The client over real HTTP, with a server that behaves in every way."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from fhir.client.client import FetchResult, FhirClient, next_page
from fhir.client.errors import FetchError
from fhir.client.query import FetchLimits, Read, Search
from fhir.record.resources import Observation, Patient
from tests.each import for_rows
from tests.fhir_charts import Running, chart_of, lab, serving_fhir

CANARY = "canary-token-7f3a"
LABS = Search("Observation", (("patient", "p1"), ("code", "http://loinc.org|2160-0"), ("_sort", "-date")))
CHART = chart_of(*(lab(number) for number in range(1, 8)), lab(9, "9999-9"))


@contextmanager
def refused_for(reason: str) -> Iterator[None]:
    with pytest.raises(FetchError) as raised:
        yield
    assert raised.value.reason == reason


async def _ask(
    base: str,
    question: Callable[[FhirClient], Awaitable[FetchResult]],
    bounds: FetchLimits | None = None,
    seconds: Callable[[], float] = lambda: 10.0,
) -> FetchResult:
    headers = {"authorization": f"Bearer {CANARY}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as http:
        return await question(FhirClient(http, seconds, bounds))


async def _search(running: Running, query: Search = LABS, bounds: FetchLimits | None = None) -> FetchResult:
    return await _ask(running.base, lambda fhir: fhir.fetch(query, "labs"), bounds)


def _ids(found: FetchResult) -> list[Any]:
    return [entry.resource.id for entry in found.value.entry if entry.resource is not None]


async def test_a_read_brings_the_resource() -> None:
    with serving_fhir([CHART], token=CANARY) as running:
        found = await _ask(running.base, lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient"))
    assert isinstance(found.value, Patient)
    assert (found.pages, found.ended) == (1, None)


async def test_a_search_follows_all_pages_with_the_token() -> None:
    with serving_fhir([CHART], token=CANARY, page_size=3) as running:
        found = await _search(running)
    assert _ids(found) == ["o7", "o6", "o5", "o4", "o3", "o2", "o1"]
    assert (found.pages, found.ended, found.value.total) == (3, None, 7)
    assert all(asked.token for asked in running.log.requests)
    assert all(isinstance(entry.resource, Observation) for entry in found.value.entry)


async def test_pages_have_a_bound() -> None:
    with serving_fhir([CHART], page_size=2) as running:
        found = await _search(running, bounds=FetchLimits(pages=2))
    assert len(_ids(found)) == 4
    assert found.ended is not None
    assert found.ended.reason == "too-large"


async def test_bytes_have_a_bound_over_all_pages() -> None:
    with serving_fhir([CHART], page_size=2) as running:
        found = await _search(running, bounds=FetchLimits(bytes=2500))
        assert found.ended is not None
        assert found.ended.reason == "too-large"
        assert 0 < len(_ids(found)) < 7
        with refused_for("too-large"):
            await _search(running, bounds=FetchLimits(bytes=100))


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("401", "unauthorized"), ("403", "forbidden"), ("garbage", "unreadable"), ("redirect", "elsewhere")],
)
async def test_what_cannot_be_had_has_its_reason_and_is_not_asked_for_again(mode: str, reason: str) -> None:
    with serving_fhir([CHART], mode=mode) as running:
        with refused_for(reason):
            await _search(running)
        with refused_for(reason):
            await _ask(running.base, lambda fhir: fhir.fetch(Read("Patient", "p1"), "patient"))
    assert len(running.log.requests) == 2


@pytest.mark.parametrize("mode", ["429", "503"])
async def test_a_busy_server_is_asked_again_within_the_time(mode: str) -> None:
    with serving_fhir([CHART], mode=mode, retry_after=0, failures=2) as running:
        found = await _search(running)
    assert [asked.status for asked in running.log.requests] == [int(mode), int(mode), 200]
    assert len(_ids(found)) == 7


async def test_a_busy_server_is_not_waited_for_beyond_the_time() -> None:
    with serving_fhir([CHART], mode="429", retry_after=60) as running, refused_for("busy"):
        await _search(running)
    assert len(running.log.requests) == 1


async def test_a_next_page_at_another_origin_is_not_fetched() -> None:
    with serving_fhir([CHART], mode="next-elsewhere", page_size=3) as running:
        found = await _search(running)
    assert len(_ids(found)) == 3
    assert found.ended is not None
    assert found.ended.reason == "elsewhere"


async def test_the_deadline_ends_a_slow_answer() -> None:
    with serving_fhir([CHART], mode="slow", delay_seconds=30) as running, refused_for("timeout"):
        await _ask(running.base, lambda fhir: fhir.fetch(LABS, "labs"), seconds=lambda: 0.1)


Answer = tuple[int, dict[str, str], bytes]


async def _answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    status, headers, body = answer
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    writer.close()


async def _ask_answering(answer: Answer, query: Read | Search = LABS) -> FetchResult:
    """What the client makes of one answer that no well-meant server gives."""
    server = await asyncio.start_server(lambda r, w: _answering(r, w, answer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/fhir", trust_env=False) as http:
        return await FhirClient(http, lambda: 10.0).fetch(query, "labs")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, {}, b""), "unreadable"),
        ((200, {}, b"null"), "unreadable"),
        ((200, {}, b"[]"), "unreadable"),
        ((200, {}, b"[" * 100_000), "unreadable"),
        ((200, {}, b'{"resourceType": "Patient"}'), "unreadable"),
        ((200, {}, b'{"resourceType": "Bundle", "entry": 5}'), "unreadable"),
        ((200, {}, b'{"resourceType": "Bundle", "entry": "\xff"}'), "unreadable"),
        ((204, {}, b""), "server-error"),
        ((200, {"content-encoding": "gzip"}, b"\x1f\x8b"), "unreadable"),
        ((304, {}, b""), "elsewhere"),
        ((500, {}, b"oops"), "server-error"),
        (
            (
                200,
                {},
                b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"OperationOutcome",'
                b'"issue":[{"severity":"error","code":"exception"}]}}]}',
            ),
            "server-error",
        ),
    ],
)
async def test_an_answer_that_makes_no_sense_is_no_data(answer: Answer, reason: str) -> None:
    with refused_for(reason):
        await _ask_answering(answer)


async def test_a_resource_that_cannot_be_read_is_there_and_refused() -> None:
    body = b'{"resourceType":"Patient","id":"p1","extension":5}'
    found = await _ask_answering((200, {}, body), Read("Patient", "p1"))
    assert (found.value.resource_type, found.value.id) == ("Patient", "p1")
    assert [refusal.subject for refusal in found.refusals] == ["Patient/p1"]


async def test_pages_that_go_in_a_circle_end() -> None:
    body = b'{"resourceType":"Bundle","link":[{"relation":"next","url":"Observation?_page=1"}]}'
    found = await _ask_answering((200, {}, body))
    assert found.ended is not None
    assert found.ended.reason == "unreadable"
    assert found.pages == 2
    last = await _ask_answering((200, {}, body.replace(b"Observation?_page=1", b"")))
    assert (last.ended, last.pages) == (None, 1)


async def test_no_error_shows_token_address_or_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for mode in ("401", "403", "garbage", "redirect", "429"):
        with serving_fhir([CHART], mode=mode, retry_after=60) as running, pytest.raises(FetchError) as raised:
            await _search(running)
        shown = f"{raised.value} {raised.value!r} {raised.value.text}"
        assert CANARY not in shown
        assert "p1" not in shown
        assert running.base not in shown
    assert CANARY not in caplog.text


# A next page is below the base address, or it is not fetched.


BASE = httpx.URL("https://ehr.example/api/fhir/")


@for_rows("link")
def test_anywhere_else_it_is_not(link: str) -> None:
    with refused_for("elsewhere"):
        next_page(link, BASE)
