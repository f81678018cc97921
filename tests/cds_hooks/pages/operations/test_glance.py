"""The top of the page of operations, and what is judged beside it: with counts, clocks and servers made by hand."""

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.monitor.book import Verified
from cds_hooks.pages.count_keeper import Counted, CountKeeper
from cds_hooks.pages.operations import comparison
from cds_hooks.pages.operations.comparison import Judged
from cds_hooks.pages.operations.counts import Span
from cds_hooks.pages.operations.glance import Caller, Glance, Task, _task, look, tasks_of
from tests.cds_hooks.storage.samples import a_decision, store
from tests.live import record_in

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
BEFORE = datetime(2025, 12, 1, tzinfo=UTC)
"""A day on which no dated table has ended."""


def server(waiting: int = 0, not_approved: int | None = None, as_of: datetime = BEFORE, **services: Any) -> Any:
    counts = {"not_approved": not_approved} if not_approved is not None else None
    governance = SimpleNamespace(approval_counts=lambda: counts)
    releases = SimpleNamespace(waiting_for_second=lambda: [None] * waiting)
    return SimpleNamespace(
        components=SimpleNamespace(governance=governance, releases=releases),
        services=services,
        settings=SimpleNamespace(as_of=as_of, contact="Ann at 4711"),
    )


def book(verified: Verified | None = None, callers: dict[str, tuple[int, int]] | None = None) -> Any:
    asked: list[int] = []

    def called(since: int) -> Any:
        asked.append(since)
        return callers or {}

    return SimpleNamespace(last_verification=lambda: verified, callers=called, asked=asked)


def verified(days: float) -> Verified:
    return Verified(int(NOW.timestamp() - days * 86_400), 5, "")


@pytest.mark.parametrize(
    ("given", "last", "tasks"),
    [
        ({}, 0.0, []),
        ({}, 7.0, []),
        ({}, 7.1, [Task("The record was last verified 7 days ago.", "warning", "ops#record")]),
        ({}, 9.9, [Task("The record was last verified 9 days ago.", "warning", "ops#record")]),
        ({}, None, [Task("The record was never verified on this machine.", "warning", "ops#record")]),
        ({"waiting": 1}, 0.0, [Task("1 act that waits for a second signature", "warning", "approvals")]),
        ({"waiting": 2}, 0.0, [Task("2 acts that wait for a second signature", "warning", "approvals")]),
        ({"not_approved": 0}, 0.0, []),
        (
            {"not_approved": 1200},
            0.0,
            [Task("1,200 rules that are not approved here", "warning", "rules?kind=waiting")],
        ),
    ],
)
def test_what_waits_for_a_person(given: Any, last: float | None, tasks: list[Task]) -> None:
    made = book(verified(last) if last is not None else None)
    assert tasks_of(server(**given), made, NOW) == tasks


def test_a_dated_table_that_has_ended_waits_on_the_page_of_services() -> None:
    tasks = tasks_of(server(as_of=datetime(2026, 11, 22, tzinfo=UTC)), book(verified(0)), NOW)
    assert any(task.what.startswith("Influenza vaccine") for task in tasks)
    assert {(task.sign, task.link) for task in tasks} == {("warning", "services")}


def test_one_thing_and_several_have_words_of_their_own_and_none_has_no_words() -> None:
    made = [_task(count, "x", "critical", ("incident", "incidents")).what for count in (0, 1, 2)]
    assert made == ["", "1 incident", "2 incidents"]


def glance(figures: Any = (), note: str = "", fault: str | None = None, **callers: tuple[int, int]) -> Glance:
    made: Any = book(Verified(int(datetime.now(UTC).timestamp()), 5, fault or ""), callers)
    result = look(server(), made, Counted(made, note), list(figures) if figures is not None else None)
    (since,) = made.asked
    assert abs(since / 1e6 - datetime.now(UTC).timestamp() + 3600) < 60
    return result


def test_the_strip_says_who_called_in_the_last_hour_and_why_all_is_not_well() -> None:
    whole = glance(b=(1_795_165_200_000_000, 3), a=(0, 0))
    assert (whole.health, whole.reasons, whole.sign, whole.calls) == ("healthy", (), ("good", "healthy"), 3)
    assert whole.callers == (Caller("a", "never", 0), Caller("b", "2026-11-20 09:00 UTC", 3))
    assert (whole.tasks, whole.contact) == ((), "Ann at 4711")
    unknown = glance(None, "12 decisions are not counted yet.")
    assert (unknown.health, unknown.sign) == ("unknown", ("none", "unknown"))
    assert unknown.reasons == ("12 decisions are not counted yet.", "Incidents are being worked out.")
    broken = glance(None, "x", "row 3 was changed")
    assert (broken.health, broken.reasons) == ("degraded", ("The record is not as it was written: row 3 was changed.",))


# What is judged beside the page


class Book:
    """A book whose windows have these figures, and how often it was judged."""

    def __init__(self) -> None:
        self.counted, self.judged = 1, 0
        self.windows: list[Any] = []

    def counted_to(self) -> int:
        return self.counted

    def compared(self, last: date, days: int, before: int) -> list[Any]:
        assert (last, days, before) == (date(2026, 11, 20), 7, 28)
        self.judged += 1
        return self.windows


def _window(client: str, service: str, *orders: int) -> Any:
    figures = [SimpleNamespace(order=order, name=f"{client}{order}") for order in orders]
    return SimpleNamespace(client=client, service=service, figures=lambda: figures)


def test_figures_are_judged_again_when_something_was_counted_and_a_minute_has_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = [1000.0]
    monkeypatch.setattr(comparison, "monotonic", lambda: seconds[0])
    made, judged, span = Book(), Judged(), Span(date(2026, 11, 20), 7)
    made.windows = [_window("b", "s", 3, 1), _window("a", "t", 2)]

    def names(span: Span = span) -> list[str]:
        figures: Any = judged.figures(made, span, None)  # type: ignore[arg-type]
        return [figure.name for figure in figures]

    assert names() == ["b1", "a2", "b3"]
    seconds[0] += 1000
    assert (names(), made.judged) == (["b1", "a2", "b3"], 1)
    made.counted = 2
    assert (names(), made.judged) == (["b1", "a2", "b3"], 2)
    made.counted = 3
    seconds[0] += 59.9
    names()
    assert made.judged == 2
    seconds[0] += 0.1
    names()
    assert made.judged == 3
    assert names(Span(date(2026, 11, 20), 7, client="a")) == ["a2"]
    assert names(Span(date(2026, 11, 20), 7, service="s")) == ["b1", "b3"]
    assert names(Span(date(2026, 11, 20), 7, "a", "s")) == []


def test_eight_spans_are_kept_and_what_is_not_ready_is_not_waited_for() -> None:
    made, judged = Book(), Judged()
    for number in range(8):
        judged.figures(made, Span(date(2026, 11, 20), 7, f"{number}"), None)  # type: ignore[arg-type]
    judged.figures(made, Span(date(2026, 11, 20), 7, "0"), None)  # type: ignore[arg-type]
    assert made.judged == 8
    judged.figures(made, Span(date(2026, 11, 20), 7, "8"), None)  # type: ignore[arg-type]
    judged.figures(made, Span(date(2026, 11, 20), 7, "0"), None)  # type: ignore[arg-type]
    assert made.judged == 10


# The counts


def test_little_is_counted_at_once_and_much_is_left_to_the_command(tmp_path: Path) -> None:
    url, file = record_in(tmp_path), tmp_path / "counts.sqlite3"
    store(url, *(a_decision() for _ in range(3)))
    counted = CountKeeper(url, file).counted()
    assert counted.book is not None
    assert (counted.note, counted.book.counted_to()) == ("", 3)
    (tmp_path / "none.sqlite3").write_bytes(b"no database" * 100)
    unusable = CountKeeper(url, tmp_path / "none.sqlite3").counted()
    assert unusable.book is None
    assert unusable.note.startswith("The counts cannot be used: ")
    assert unusable.note.endswith("look through the record as it is, which takes longer.")
