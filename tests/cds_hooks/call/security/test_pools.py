"""A FHIR server that stalls costs its own client only: nobody else's reads fail, and no connection stays behind."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, sleep

import pytest

from cds_hooks.call.security.addresses import Budgets, FhirBase, Reach, parse_url, reach_of
from cds_hooks.call.security.outbound import OutboundClient
from fhir.client.client import FhirClient
from fhir.client.errors import FetchError
from fhir.client.query import Read
from tests.cds_hooks.call.security.servers import answering, fhir
from tests.cds_hooks.call.security.stalling import STALLS, stalling
from tests.waiting import until_async

MILLISECONDS = 150
CALLS, READS = 12, 10
"""Together more than the 100 connections of a pool."""
PATIENT_MILLISECONDS = 180_000
"""Enough for a healthy server on the busiest machine: who waits for a connection that never comes, waits longer."""
MOST_ATTEMPTS = 10


def _base(address: str, client: str, milliseconds: int = MILLISECONDS) -> FhirBase:
    url = parse_url(address)
    return FhirBase(url, url, reach_of(url, Reach()), Budgets(fetch_milliseconds=milliseconds), client)


async def _call(outbound: OutboundClient, base: FhirBase, reads: int) -> int:
    """How many reads of one call brought something."""
    end = perf_counter() + base.budgets.fetch_milliseconds / 1000
    async with outbound.open(base, "token") as http:
        client = FhirClient(http, lambda: end - perf_counter())
        found = await asyncio.gather(
            *(client.fetch(Read("Patient", "1"), "patient") for _ in range(reads)), return_exceptions=True
        )
    assert all(isinstance(each, FetchError) for each in found if isinstance(each, BaseException))
    return sum(not isinstance(each, BaseException) for each in found)


def _connections_to(port: int) -> list[str]:
    """What the kernel lists of connections of this machine to a port: SYN-SENT, ESTABLISHED or CLOSE-WAIT."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [line[3] for line in lines if line[2].endswith(f":{port:04X}") and line[3] in ("01", "02", "08")]


def _was_given_up(counted: Counter[tuple[str, str, str]]) -> bool:
    return counted["A", "fhir", "timeout"] >= 10


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="connections are read where Linux lists them")
@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=() if how == "headers, then nothing" else pytest.mark.slow) for how in STALLS]
)
def test_a_server_that_stalls_harms_no_other_and_leaves_no_connection(how: str) -> None:
    async def check() -> Counter[tuple[str, str, str]]:
        outbound = OutboundClient()
        counted: Counter[tuple[str, str, str]] = Counter()
        outbound.count_with(lambda *event: counted.update([event]))
        good = _base(f"{healthy.base}/r4", "B", PATIENT_MILLISECONDS)
        for attempt in range(MOST_ATTEMPTS):
            bad = asyncio.gather(*(_call(outbound, _base(stalled.base, "A"), READS) for _ in range(CALLS)))
            assert await _call(outbound, good, READS) == READS  # meanwhile
            assert sum(await bad) == 0
            # on a busy machine many calls end before all of their reads have begun
            if attempt and (how == "closes when asked" or _was_given_up(counted)):
                break
        assert await _call(outbound, good, READS) == READS
        again = _base(f"{healthy.base}/other", "A", PATIENT_MILLISECONDS)
        assert await _call(outbound, again, READS) == READS  # the same client at another base
        await until_async(lambda: _connections_to(stalled.port) == [])  # what was closed takes the kernel a moment
        await outbound.aclose()
        return counted

    with stalling(how) as stalled, answering(fhir) as healthy:
        counted = asyncio.run(check())
    if how != "closes when asked":
        assert _was_given_up(counted)
    assert not any(client == "B" for client, _, _ in counted)


async def test_a_server_that_recovers_is_read_again() -> None:
    stalls = True

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if stalls:
            sleep(MILLISECONDS * 2 / 1000)  # in a thread of the server
        return fhir(path)

    with answering(answer) as server:
        outbound = OutboundClient()
        assert (
            sum(await asyncio.gather(*(_call(outbound, _base(f"{server.base}/r4", "A"), READS) for _ in range(CALLS))))
            == 0
        )
        stalls = False
        await asyncio.sleep(MILLISECONDS * 3 / 1000)
        assert await _call(outbound, _base(f"{server.base}/r4", "A", PATIENT_MILLISECONDS), READS) == READS
        await outbound.aclose()


async def test_a_name_server_that_stalls_is_asked_once_and_holds_up_no_other_name() -> None:
    asked: Counter[str] = Counter()

    async def resolver(host: str, port: int) -> Sequence[str]:
        del port
        asked[host] += 1
        if host.startswith("stalled"):
            await asyncio.sleep(3600)
        return ["127.0.0.1"]

    with answering(fhir) as server:
        outbound = OutboundClient(resolver)
        loopback = reach_of(parse_url("http://127.0.0.1/"), Reach())
        urls = [parse_url(f"http://{name}.example:{server.port}/r4") for name in ("stalled", "good")]
        times = (200, PATIENT_MILLISECONDS)
        stalled, good = (
            FhirBase(url, url, loopback, Budgets(fetch_milliseconds=milliseconds), url.host)
            for url, milliseconds in zip(urls, times, strict=True)
        )
        calls = asyncio.gather(*(_call(outbound, stalled, READS) for _ in range(CALLS)))
        assert await _call(outbound, good, 3) == 3
        assert sum(await calls) == 0
        assert asked == {"stalled.example": 1, "good.example": 1}
        await outbound.aclose()
