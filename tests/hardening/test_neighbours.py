"""One client sends the largest bodies without pause; the small calls of another are answered all the same."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from cds_hooks.tools.kit.simulator.signing import SigningKey
from tests.hardening.two_clients import body_of, call, write_site
from tests.live import serving

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


def test_the_small_calls_of_one_client_are_answered_while_another_sends_the_largest_bodies(site: Site) -> None:
    largest, small = body_of(100, 2000, 10_000, 10_000), body_of(1, 10, 10, 30)
    with _connection(site) as connection:
        assert call(connection, site.b, small) == 200
    answered: Counter[int] = Counter()
    ended = threading.Event()

    def send() -> None:
        with _connection(site) as connection:
            while not ended.is_set():
                answered[call(connection, site.a, largest)] += 1

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    try:
        with _connection(site) as connection:
            statuses = Counter(call(connection, site.b, small) for _ in range(SMALL_CALLS))
            beside = answered.total()
    finally:
        ended.set()
        for sender in senders:
            sender.join()
    assert statuses == {200: SMALL_CALLS}
    # computed on the event loop, each small call would wait for a large one at least
    assert beside * 5 <= SMALL_CALLS
    assert set(answered) == {200}
