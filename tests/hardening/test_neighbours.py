"""One client sends large bodies or a burst without pause; the small calls of another are answered all the same."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import pytest

from cds_hooks.tools.kit.simulator.signing import SigningKey
from tests.hardening.two_clients import answer_to, body_of, call, write_site
from tests.live import serving
from tests.waiting import until

SMALL_CALLS = 40
pytestmark = pytest.mark.slow


class Site(NamedTuple):
    """A server that trusts A and B."""

    port: int
    a: SigningKey
    b: SigningKey


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("neighbours")
    a, b, trust_file = write_site(folder, "https://fhir.a.example/r4")
    with serving(folder, CDS_TRUST_FILE=str(trust_file), CDS_CALL_SECONDS="120") as address:
        yield Site(int(address.rpartition(":")[2]), a, b)


def _connection(site: Site) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=180))


@contextmanager
def _sending(site: Site, body: bytes, senders: int) -> Iterator[Counter[tuple[int, str]]]:
    """So many senders of A, each with a call under way until the block ends; what they were answered is counted."""
    answered: Counter[tuple[int, str]] = Counter()
    ended = threading.Event()

    def send() -> None:
        with _connection(site) as connection:
            while not ended.is_set():
                answer = answer_to(connection, site.a, body)
                answered[answer.status, answer.headers.get("retry-after", "")] += 1

    threads = [threading.Thread(target=send) for _ in range(senders)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_the_small_calls_of_one_client_are_answered_while_another_sends_the_largest_bodies(site: Site) -> None:
    largest, small = body_of(100, 2000, 10_000, 10_000), body_of(1, 10, 10, 30)
    with _connection(site) as connection:
        assert call(connection, site.b, small) == 200
    with _sending(site, largest, 2) as answered, _connection(site) as connection:
        statuses = Counter(call(connection, site.b, small) for _ in range(SMALL_CALLS))
        beside = answered.total()
    assert statuses == {200: SMALL_CALLS}
    # computed on the event loop, each small call would wait for a large one at least
    assert beside * 5 <= SMALL_CALLS
    assert set(answered) == {(200, "")}


def test_a_call_waits_for_few_of_the_burst_of_another_client_whose_surplus_is_told_when_to_come_again(
    site: Site,
) -> None:
    """What is counted is how many others were computed meanwhile: a clock on a busy machine proves nothing."""
    small = body_of(1, 10, 10, 30)
    with _sending(site, small, 100) as answered, _connection(site) as connection:
        until(lambda: answered[429, "1"] > 100)
        beside = answered[200, ""]
        statuses = Counter(call(connection, site.b, small) for _ in range(SMALL_CALLS))
        beside = answered[200, ""] - beside
    assert statuses == {200: SMALL_CALLS}
    assert beside < 16 * SMALL_CALLS, "of the 64 that A may have under way"
    assert set(answered) <= {(200, ""), (429, "1"), (503, "1")}
