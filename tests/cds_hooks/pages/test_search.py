"""The times of a search among decisions: a day ends where the next one begins, and what is left out is no limit."""

from datetime import UTC, datetime

import pytest

from cds_hooks.pages.decisions.search import _is_time, _microseconds


def _epoch(month: int, day: int) -> int:
    return int(datetime(2026, month, day, tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("text", "is_end", "instant"),
    [
        ("", False, None),
        ("", True, None),
        ("2026-11-20", False, _epoch(11, 20)),
        ("2026-11-20", True, _epoch(11, 21)),
        ("2026-11-20T00:00:00+00:00", True, _epoch(11, 20)),
        ("2026-11-20T01:00:00+01:00", False, _epoch(11, 20)),
    ],
)
def test_a_day_is_searched_to_its_end(text: str, *, is_end: bool, instant: int | None) -> None:
    assert _microseconds(text, is_end=is_end) == instant


def test_what_is_no_time_is_known_as_none() -> None:
    assert [_is_time(text) for text in ("2026-11-20", "yesterday", "2026-13-01")] == [True, False, False]
