"""The load generator against the bare handler, for real, for a moment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import bare
from benchmarks.load import LOST, Order, RunningLoad, Tally
from benchmarks.servers import DidNotStart, Server, bare_command, running

pytestmark = pytest.mark.slow  # They measure a running server.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running("bare", bare_command(), tmp_path_factory.mktemp("bare"), cores=None) as server:
        yield server


@pytest.fixture
def body(tmp_path: Path) -> str:
    file = tmp_path / "body.json"
    file.write_bytes(b'{"hook": "patient-view", "filler": "' + b"x" * 100_000 + b'"}')
    return str(file)


def order(server: Server, body: str, path: str = bare.PATH, seconds: float = 0.2) -> Order:
    return Order(server.port, path, body, seconds, warm_up_seconds=0.05, connections=3)


def send_load(order: Order) -> Tally:
    return RunningLoad(order).tally()


def test_answers_are_counted_and_their_bodies_looked_at(server: Server, body: str) -> None:
    tally = send_load(order(server, body))
    assert tally.errors == {}
    assert 0 < tally.answered <= tally.answered_in_all
    assert tally.with_cards == tally.answered_in_all


def test_an_answer_that_is_not_200_is_an_error(server: Server, body: str) -> None:
    tally = send_load(order(server, body, path="/nowhere"))
    assert tally.answered == 0
    assert tally.errors["status 404"] > 0


def test_an_answer_without_a_decision_is_an_error_where_one_is_expected(server: Server, body: str) -> None:
    tally = send_load(Order(server.port, bare.PATH, body, 0.1, connections=1, keep_decisions=True))
    assert tally.decisions == []
    assert tally.errors["answer without decision id"] > 0


def test_a_killed_server_ends_the_load_and_every_connection_is_counted_as_lost(tmp_path: Path, body: str) -> None:
    with running("bare", bare_command(), tmp_path, cores=None) as server:
        endless = Order(server.port, bare.PATH, body, 60.0, connections=3, announce_after=5)
        load = RunningLoad(endless)
        load.wait_for_answers()
        server.kill()
        tally = load.tally()
    assert tally.answered_in_all >= 5
    assert sum(count for text, count in tally.errors.items() if text.startswith(LOST)) == 3


def test_a_server_that_does_not_start_says_what_it_printed(tmp_path: Path) -> None:
    command = bare_command(app="benchmarks.bare:no_such_app")
    with pytest.raises(DidNotStart, match="no_such_app"), running("bare", command, tmp_path, cores=None):
        pass


def test_processor_time_and_memory_of_a_running_server_are_read(server: Server) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    assert server.cpu_seconds() > 0
    assert all(megabytes > 1 for megabytes in server.resident_mb())
