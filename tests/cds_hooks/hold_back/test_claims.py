"""A name that was taken a moment ago is not first, on either side of a full minute."""

import asyncio
from pathlib import Path

import pytest

from cds_hooks.hold_back.budgets import Claims
from cds_hooks.hold_back.memory import Bounded
from tests.live import record_in


@pytest.mark.parametrize(
    ("first", "second", "is_first"), [(119.0, 120.0, False), (60.0, 179.0, False), (119.0, 180.0, True)]
)
def test_a_name_is_taken_in_its_minute_and_the_next(
    tmp_path: Path, first: float, second: float, *, is_first: bool
) -> None:
    async def claimed() -> list[bool]:
        claims = Claims(record_in(tmp_path))
        answers = [
            await claims.is_first("a", first),
            await claims.is_first("b", second),
            await claims.is_first("a", second),
        ]
        await claims.aclose()
        return answers

    assert asyncio.run(claimed()) == [True, True, is_first]


def test_a_place_is_taken_once_by_whoever_asks_first(tmp_path: Path) -> None:
    async def taken() -> list[bool]:
        one, other = Claims(record_in(tmp_path)), Claims(record_in(tmp_path))
        answers = [await claims.take(name, 1_000.0, 900.0) for name in ("a", "b") for claims in (one, other, one)]
        await one.aclose()
        await other.aclose()
        return answers

    assert asyncio.run(taken()) == [True, False, False] * 2


def test_of_more_values_than_there_is_room_for_the_oldest_is_forgotten() -> None:
    remembered: Bounded[str, int] = Bounded(3)
    for key, value in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
        remembered.put(key, value)
    assert (len(remembered), remembered.get("a"), remembered.get("b")) == (3, 4, 2)
    remembered.put("d", 5)
    assert (len(remembered), remembered.get("a"), remembered.get("b"), remembered.get("c")) == (3, 4, None, 3)
    remembered.remove("c")
    remembered.remove("c")
    assert len(remembered) == 2


def test_what_can_no_longer_count_is_forgotten_and_nothing_else() -> None:
    remembered: Bounded[str, int] = Bounded(3)
    for key, value in (("a", 1), ("b", 2), ("c", 3)):
        remembered.put(key, value)
    remembered.forget(lambda value: value < 3)
    assert (remembered.get("a"), remembered.get("b"), remembered.get("c")) == (None, None, 3)
