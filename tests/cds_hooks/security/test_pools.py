"""A FHIR server that stalls costs its own client only: nobody else's reads fail, and no connection stays behind."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import httpx
import pytest

from cds_hooks.kit.simulator.signing import new_key, sign_token
from cds_hooks.security.addresses import Budgets, FhirBase, Reach, parse_url, reach_of
from cds_hooks.security.outbound import MOST_WHILE_STALLED, OutboundClient
from fhir.client.client import FhirClient
from fhir.client.errors import FetchError
from fhir.client.query import Read
from tests.cds_hooks.calls import PLANNING, ours, request_for
from tests.cds_hooks.prefetch.fetch_calls import at_server, without
from tests.cds_hooks.security.servers import answering, fhir
from tests.cds_hooks.security.stalling import STALLS, stalling
from tests.fhir_charts import sample_chart, serving_fhir
from tests.live import serving

MILLISECONDS = 150
CALLS, READS = 12, 10
"""Together more than the 100 connections of a pool."""
PATIENT_MILLISECONDS = 30_000
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
    return counted["A", "fhir", "timeout"] >= 10 and counted["A", "fhir", "pool-replaced"] >= 2


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
        end = perf_counter() + PATIENT_MILLISECONDS / 1000
        while _connections_to(stalled.port) and perf_counter() < end:  # what was closed takes the kernel a moment
            await asyncio.sleep(0.1)
        assert _connections_to(stalled.port) == []
        await outbound.aclose()
        return counted

    with stalling(how) as stalled, answering(fhir) as healthy:
        counted = asyncio.run(check())
    if how != "closes when asked":
        assert _was_given_up(counted)
    assert not any(client == "B" for client, _, _ in counted)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="connections are read where Linux lists them")
async def test_a_server_that_has_stalled_is_asked_over_few_connections() -> None:
    with stalling("headers, then nothing") as stalled:
        outbound, most = OutboundClient(), 0
        base = _base(stalled.base, "A", 1000)
        await asyncio.gather(*(_call(outbound, base, READS) for _ in range(2)))
        calls = asyncio.gather(*(_call(outbound, base, READS) for _ in range(2)))
        while not calls.done():
            most = max(most, len(_connections_to(stalled.port)))
            await asyncio.sleep(0.01)
        await outbound.aclose()
    assert 1 <= most <= 2 * MOST_WHILE_STALLED  # those that close count for a moment beside those that take their place


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
        assert await _call(outbound, _base(f"{server.base}/r4", "A", 5000), READS) == READS
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
        times = (200, 5000)
        stalled, good = (
            FhirBase(url, url, loopback, Budgets(fetch_milliseconds=milliseconds), url.host)
            for url, milliseconds in zip(urls, times, strict=True)
        )
        calls = asyncio.gather(*(_call(outbound, stalled, READS) for _ in range(CALLS)))
        assert await _call(outbound, good, 3) == 3
        assert sum(await calls) == 0
        assert asked == {"stalled.example": 1, "good.example": 1}
        await outbound.aclose()


TRUST = """\
version = 1

[[client]]
name = "A"
issuers = ["https://a.example.org"]
jwks_file = "a.json"
fhir = ["{stalled}"]

[[client]]
name = "B"
issuers = ["https://b.example.org"]
jwks_file = "b.json"
fhir = ["{healthy}"]

[client.budgets]
fetch_milliseconds = 5000
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["headers, then nothing", "never accepts"])
async def test_the_calls_of_another_client_are_answered_as_fast_as_before(tmp_path: Path, how: str) -> None:
    now = datetime.now(UTC)
    path = f"/cds-services/{PLANNING}"
    request = without(request_for(PLANNING, "patient-view", "planning-talk", now), "conditions", "observations")
    keys = {name: new_key(f"https://{name}.example.org") for name in "ab"}
    for name, key in keys.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(key.key_set()))

    async def post(calls: httpx.AsyncClient, name: str, base: str) -> float:
        headers = {"authorization": f"Bearer {sign_token(keys[name], f'{address}{path}')}"}
        started = perf_counter()
        answer = await calls.post(f"{address}{path}", json=at_server(request, base), headers=headers)
        assert answer.status_code == 200, answer.text
        silences: list[Any] = ours(answer).get("silence", [])
        was_read = not any(each["subject"] == "prefetch.conditions" for each in silences)
        assert was_read == (name == "b")
        return perf_counter() - started

    with stalling(how) as stalled, serving_fhir([sample_chart("planning-talk", now)]) as running:
        (tmp_path / "trust.toml").write_text(TRUST.format(stalled=stalled.base, healthy=running.base))
        token = "a token for operators"  # noqa: S105 - of this test only
        operator = {"authorization": f"Bearer {token}"}
        file = str(tmp_path / "trust.toml")
        with serving(tmp_path, CDS_TRUST_FILE=file, CDS_OPERATOR_TOKEN=token) as address:
            async with httpx.AsyncClient(timeout=30) as a, httpx.AsyncClient(timeout=30) as b:
                await post(b, "b", running.base)
                alone = [await post(b, "b", running.base) for _ in range(30)]
                beside: list[float] = []
                for _ in range(3):
                    stalled_calls = asyncio.gather(*(post(a, "a", stalled.base) for _ in range(40)))
                    await asyncio.sleep(0.2)  # all of A's calls wait by now
                    beside += [await post(b, "b", running.base) for _ in range(10)]
                    await stalled_calls
            page = httpx.get(f"{address}/metrics", headers=operator).text
    print(f"B alone: median {median(alone) * 1000:.1f} ms; while A stalls: {median(beside) * 1000:.1f} ms")
    assert 'cds_outbound_total{client="A",event="timeout",purpose="fhir"}' in page
    assert 'cds_outbound_total{client="B"' not in page
