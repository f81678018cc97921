"""The protocol of the server: connections that were kept, and what of an answer is written at once."""

import resource
from typing import Any, cast

import pytest

from cds_hooks.edge import (
    EdgeLimits,
    connections_within,
    raise_descriptor_limit,
)
from cds_hooks.hold_back.governance import ReviewedRule, RulesFileError, read_review

# The bounds of connections, versions of models and the program's last words, each by itself.
INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "wanted", "most"), [(1000, 10_000, 750), (1000, 700, 700), (1, 10, 1), (INFINITE, 10_000, 10_000)]
)
def test_connections_take_three_quarters_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, wanted: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert connections_within(wanted) == most


@pytest.mark.parametrize(
    ("soft", "hard", "changed"),
    [
        (1024, INFINITE, (65_536, INFINITE)),
        (1024, 4096, (4096, 4096)),
        (1024, 100_000, (65_536, 100_000)),
        (4096, 4096, None),
        (65_536, INFINITE, None),
        (INFINITE, INFINITE, None),
    ],
)
def test_a_process_may_open_as_many_files_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, changed: tuple[int, int] | None
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: calls.append(limits))
    raise_descriptor_limit()
    assert calls == ([changed] if changed is not None else [])


class _Connection:
    """A connection as far as the limits know it."""

    def __init__(self, since: float, *, is_waiting: bool = True) -> None:
        self.since, self.is_waiting, self.is_cut = since, is_waiting, False
        self.swept: list[float] = []

    def cut(self) -> None:
        self.is_cut = True

    def sweep(self, now: float) -> None:
        self.swept.append(now)


def test_where_there_are_too_many_connections_the_oldest_that_waits_is_closed() -> None:
    counted: list[str] = []
    accepted: list[int] = []
    limits = EdgeLimits(3, 1, 1, counted.append, accepted=lambda: accepted.append(1))
    busy, young, old = _Connection(0, is_waiting=False), _Connection(2), _Connection(1)
    for connection in (busy, young, old):
        assert limits.take(cast("Any", connection))
    assert limits.take(cast("Any", _Connection(3)))
    assert [connection.is_cut for connection in (busy, young, old)] == [False, False, True]
    assert (counted, len(accepted)) == (["connections"], 4)
    full = EdgeLimits(1, 1, 1)
    assert full.take(cast("Any", busy))
    assert not full.take(cast("Any", _Connection(4)))
    many = EdgeLimits(32, 1, 1)
    waiting = [_Connection(number) for number in range(32)]
    for connection in waiting:
        many.take(cast("Any", connection))
    many.take(cast("Any", _Connection(99)))
    assert [connection.since for connection in waiting if connection.is_cut] == [0, 1, 2]


def test_a_list_to_review_names_rules_with_their_versions() -> None:
    assert read_review("# x\n\nr 1\ns 2 | read it | twice\n") == [
        ReviewedRule("r", "1"), ReviewedRule("s", "2", "read it | twice"),
    ]  # fmt: skip
    for text, fault in (
        ("", "names no rule"),
        ("# x\n", "names no rule"),
        ("r\n", "line 1"),
        ("r 1\nr 1 2\n", "line 2"),
    ):
        with pytest.raises(RulesFileError, match=fault):
            read_review(text)
