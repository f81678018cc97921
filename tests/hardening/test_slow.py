"""Bodies that come slowly, connections that end, and more calls at the same time than a client may have."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from time import sleep

import httpx
import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.hardening.raw import Answer, Connection
from tests.live import serving
from tests.waiting import MOST_SECONDS, until

pytestmark = pytest.mark.slow

PATH = f"/cds-services/{PLANNING}"
SECONDS, CALLS = 1.0, 3
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that waits a second for a body and answers three calls of a client at the same time."""
    folder = tmp_path_factory.mktemp("bounded")
    bounds = {"body_seconds": SECONDS, "concurrent_calls": CALLS}
    with serving(folder, constants=bounds, CDS_AS_OF=AS_OF.isoformat()) as address:
        yield address


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that answers three calls of a client at the same time, however long their bodies take to come."""
    bounds = {"body_seconds": MOST_SECONDS, "concurrent_calls": CALLS}
    with serving(tmp_path_factory.mktemp("patient"), constants=bounds, CDS_AS_OF=AS_OF.isoformat()) as address:
        yield address


@pytest.fixture
def body() -> bytes:
    """A call that is answered with a card."""
    return json.dumps(request_for(PLANNING, "patient-view", "planning-talk", AS_OF)).encode()


@pytest.mark.parametrize("path", [PATH, f"{PATH}/feedback"])
def test_a_body_that_does_not_come_is_answered_408_and_the_connection_closed(bounded: str, path: str) -> None:
    with Connection(bounded) as connection:
        connection.post(path, b'{"hook":', "Content-Length: 1000")
        answer = connection.answer()
        assert answer.status == 408
        assert json.loads(answer.body)["issue"][0]["code"] == "timeout"
        assert connection.is_closed()


def test_a_body_that_trickles_is_not_waited_for_longer(bounded: str) -> None:
    with Connection(bounded) as connection:
        connection.post(PATH, b"", "Transfer-Encoding: chunked")
        for _ in range(8):
            sleep(SECONDS / 4)
            try:
                connection.send(b"1\r\n{\r\n")
            except ConnectionError:
                break
        assert connection.answer().status == 408


def test_a_connection_that_ends_within_the_body_hurts_nobody(bounded: str, body: bytes) -> None:
    for _ in range(20):
        with Connection(bounded) as connection:
            connection.post(PATH, body[:100], f"Content-Length: {len(body)}")
    headers = {"content-type": "application/json"}
    # until the server has seen that the connections have ended
    until(lambda: httpx.post(f"{bounded}{PATH}", content=body, headers=headers).status_code == 200)


@pytest.mark.parametrize("path", [PATH, f"{PATH}/feedback"])
def test_more_calls_at_the_same_time_than_a_client_may_have_are_told_to_wait(
    patient: str, body: bytes, path: str
) -> None:
    status = 200 if path == PATH else 400  # a call is no feedback

    def one_more() -> Answer:
        with Connection(patient) as connection:
            connection.post(path, body)
            return connection.answer()

    with ExitStack() as stack:
        slow = [stack.enter_context(Connection(patient)) for _ in range(CALLS)]
        for connection in slow:
            connection.post(path, body[:100], f"Content-Length: {len(body)}")
        until(lambda: one_more().status == 429)
        answer = one_more()
        assert int(answer.headers["retry-after"]) >= 1
        assert json.loads(answer.body)["issue"][0]["code"] == "throttled"
        for connection in slow:
            connection.send(body[100:])
        assert [connection.answer().status for connection in slow] == [status] * CALLS
    assert one_more().status == status
