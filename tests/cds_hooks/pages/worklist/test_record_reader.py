"""What the page of the worklist keeps of the record, and when it reads, makes and forgets it."""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cds_hooks.pages.worklist import record_reader
from cds_hooks.pages.worklist.record_reader import Progress, WorklistKeeper
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.pages.worklist.test_worklist_page import a_row, keep, keeper_of
from tests.cds_hooks.services.equation_calls import NOW
from tests.live import record_in


class Clocks:
    """The two clocks of a keeper: the day, and the seconds that the process runs."""

    def __init__(self) -> None:
        self.day = NOW
        self.seconds = 1_000.0


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks that go on when a test says so."""
    made = Clocks()
    monkeypatch.setattr(record_reader, "monotonic", lambda: made.seconds)
    return made


@pytest.fixture
def keeper(tmp_path: Path, clocks: Clocks) -> WorklistKeeper:
    """A keeper by these clocks."""
    now: Callable[[], datetime] = lambda: clocks.day  # noqa: E731
    return WorklistKeeper(record_in(tmp_path), now)


def patients(keeper: WorklistKeeper) -> set[str]:
    """Who is on the list after the record was followed."""
    keeper.follow()
    return {row.patient for row in keeper.worklist().rows}


@pytest.mark.parametrize(("done", "total", "is_whole"), [(0, 0, True), (4, 5, False), (5, 5, True), (6, 5, True)])
def test_everything_is_read_where_nothing_is_left(done: int, total: int, *, is_whole: bool) -> None:
    assert Progress(done, total, is_cut=False).is_whole == is_whole


def test_how_far_it_is_counts_from_the_first_decision_that_is_read(tmp_path: Path, keeper: WorklistKeeper) -> None:
    assert keeper.follow() == Progress(0, 0, is_cut=False)
    keep(tmp_path, *(a_row(f"p{number}") for number in range(5)))
    assert keeper.follow() == Progress(5, 5, is_cut=False)
    assert keeper_of(tmp_path, 5).follow() == Progress(5, 5, is_cut=False)
    cut = keeper_of(tmp_path, 4)
    assert cut.follow() == Progress(4, 4, is_cut=True)
    keep(tmp_path, a_row("new"))
    assert cut.follow() == Progress(5, 5, is_cut=True)
    assert patients(cut) == {"p1", "p2", "p3", "p4", "new"}


def test_more_decisions_than_are_read_at_once_are_all_read(
    tmp_path: Path, keeper: WorklistKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_reader, "_AT_ONCE", 2)
    keep(tmp_path, *(a_row(f"p{number}") for number in range(5)))
    assert patients(keeper) == {f"p{number}" for number in range(5)}


def test_the_list_is_made_again_where_something_is_new_and_after_a_minute(
    tmp_path: Path, keeper: WorklistKeeper, clocks: Clocks
) -> None:
    keep(tmp_path, a_row("ann"))
    keeper.follow()
    first = keeper.worklist()
    clocks.seconds += 59.9
    keep(tmp_path, a_row("nobody", ()), msgspec.structs.replace(a_row(""), patient=""))  # with nothing to show
    keeper.follow()
    assert keeper.worklist() is first
    clocks.seconds += 0.1
    again = keeper.worklist()
    assert again is not first
    assert again == first
    keep(tmp_path, a_row("ben"))
    assert patients(keeper) == {"ann", "ben"}
    keep(tmp_path, a_row("ben", (), days=1))  # what was missing is there now
    assert patients(keeper) == {"ann"}
    keep(tmp_path, a_row("ann", ("Blood count",), days=20))  # an older one than was read says nothing
    assert [entry.test for row in keeper.worklist().rows for entry in row.entries] == ["Lipid panel"]


def test_who_was_not_called_about_for_ninety_days_is_forgotten_once_an_hour(
    tmp_path: Path, keeper: WorklistKeeper, clocks: Clocks
) -> None:
    keep(tmp_path, a_row("ann", days=80), a_row("ben", days=10), a_row("cy", (), days=80))
    assert patients(keeper) == {"ann", "ben"}
    clocks.day += timedelta(days=11)
    clocks.seconds += 3_599.9
    assert patients(keeper) == {"ann", "ben"}
    clocks.seconds += 0.1
    assert patients(keeper) == {"ben"}
    clocks.day += timedelta(days=80)
    clocks.seconds += 100
    assert patients(keeper) == {"ben"}
    clocks.seconds += 3_500
    assert patients(keeper) == set()


def test_a_record_that_lost_its_decisions_is_read_anew(tmp_path: Path, keeper: WorklistKeeper) -> None:
    keep(tmp_path, a_row("ann"), a_row("ben"))
    assert patients(keeper) == {"ann", "ben"}
    with sqlite3.connect(tmp_path / "decisions.sqlite3") as connection:
        for trigger in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger[0]}")
        connection.execute("DELETE FROM decisions")
    connection.close()
    assert patients(keeper) == set()
    keep(tmp_path, a_row("cy"))
    assert patients(keeper) == {"cy"}


def test_a_decision_of_another_form_is_left_out_and_the_log_names_it(tmp_path: Path, keeper: WorklistKeeper) -> None:
    broken = msgspec.structs.replace(a_row("ann"), basis=b'{"silence": 1}')
    keep(tmp_path, broken, a_row("ben"))
    with capture_logs() as lines:
        assert patients(keeper) == {"ben"}
    assert [(line["event"], line["decision"], line["error_type"]) for line in lines if "decision" in line] == [
        ("record in another form", broken.id, "ValidationError")
    ]
