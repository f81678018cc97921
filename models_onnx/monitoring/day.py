"""What is counted of the calls of one day, of one client to one service."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from models_onnx.monitoring.sketch import Sketch, bucket_of

Counts = dict[str, int]
Sketches = dict[str, dict[int, int]]
_EVERYBODY: Final = "all"
DIFFER_BY_SEX: Final = ("creatinine_mg_dl", "rbc_10e6_ul")
"""Inputs in which women and men differ, counted apart as well (drift.py)."""
_RACE: Final = "race_"


class DayCounts(msgspec.Struct, kw_only=True):
    """Counts and sketches only: no row of a patient, no reference, no identifier.

    `cards` are the cards that were shown, `classes` the reasons of calls that failed, `stages` milliseconds by stage.
    `features` and `ages` hold values and their ages in days by input; `missing` counts "input reason"; `scores` holds
    probabilities by "model group", where the group is `all`, a sex, an age band or a race where one is an input.
    `hour_errors` and `hour_milliseconds` are by the hour of the day in UTC. `answers` and `orders` count
    "rule accepted", "rule overridden", "rule changed" and the like, `answer_reasons` "rule reason". `needs` has by
    "model group" and stratum of the estimate how many there were, the sum of their recorded conditions, and the sum of
    the squares. `repeated` are calls that came twice, `behind` those that are dated before an earlier one (arrival.py);
    `uncounted` are calls whose record could not be read: nothing else of them is counted;
    `by_sex` has the values of some inputs by "input men" and "input women".
    `answer_seconds` has how long after an answer was given it arrived, negative where a clock is ahead.
    """

    calls: int = 0
    with_cards: int = 0
    cards: int = 0
    errors: int = 0
    classes: Counts = {}
    hours: dict[int, int] = {}
    keys: Counts = {}
    silences: Counts = {}
    rules: Counts = {}
    missing: Counts = {}
    features: Sketches = {}
    ages: Sketches = {}
    by_sex: Sketches = {}
    scores: Sketches = {}
    milliseconds: dict[int, int] = {}
    stages: Sketches = {}
    accepted: int = 0
    overridden: int = 0
    reasons: Counts = {}
    hour_errors: dict[int, int] = {}
    hour_milliseconds: dict[int, dict[int, int]] = {}
    answers: Counts = {}
    answer_reasons: Counts = {}
    orders: Counts = {}
    needs: dict[str, dict[int, list[float]]] = {}
    repeated: int = 0
    behind: int = 0
    uncounted: int = 0
    answer_seconds: dict[int, int] = {}

    def add(self, other: "DayCounts") -> None:
        """Add what another counted."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            if isinstance(mine, int):
                setattr(self, name, mine + more)
                continue
            _add_into(mine, more)

    def sketch(self, family: str, name: str) -> Sketch:
        """Return one of the sketches of `features`, `ages`, `by_sex` or `scores`; empty where nothing was counted."""
        return Counter(getattr(self, family).get(name, {}))

    def missing_of(self, feature: str) -> int:
        """In how many calls the input was missing, for whatever reason."""
        return sum(count for key, count in self.missing.items() if key.partition(" ")[0] == feature)

    def names(self, family: str) -> list[str]:
        """Return the names of a family, in their order; the inputs that were only ever missing are among `features`."""
        names = set(getattr(self, family))
        if family == "features":
            names |= {key.partition(" ")[0] for key in self.missing}
        return sorted(names)


def _add_into(mine: dict[Any, Any], more: Mapping[Any, Any]) -> None:
    """Add counts, or tables of counts, to those that are there; nothing of `more` is kept or changed."""
    for key, count in more.items():
        if isinstance(count, dict):
            _add_into(mine.setdefault(key, {}), count)
        elif isinstance(count, list):
            kept = mine.get(key)
            mine[key] = list(count) if kept is None else [a + b for a, b in zip(kept, count, strict=True)]
        else:
            mine[key] = mine.get(key, 0) + count


def count_need(needs: dict[str, dict[int, list[float]]], key: str, stratum: int, need: float) -> None:
    """Count the need of one person in a stratum of the estimate."""
    sums = needs.setdefault(key, {}).setdefault(stratum, [0.0, 0.0, 0.0])
    for index, more in enumerate((1.0, need, need * need)):
        sums[index] += more


def count(counts: Counts, key: str, times: int = 1) -> None:
    """Count a key."""
    counts[key] = counts.get(key, 0) + times


def sketch_value(sketches: Sketches, name: str, value: float) -> None:
    """Count a value."""
    bucket, buckets = bucket_of(value), sketches.setdefault(name, {})
    buckets[bucket] = buckets.get(bucket, 0) + 1


def groups_of(values: dict[str, float], recorded: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the groups whose scores are watched apart, by the inputs `sex_male` and `age_years` where they are known.

    `recorded` are the groups of race and ethnicity that the decision record has of the patient, which need not be
    inputs; a model of the site may also have them as inputs (`race_…` with the value 1).
    """
    groups = [_EVERYBODY]
    sex, age = values.get("sex_male"), values.get("age_years")
    if sex is not None:
        groups.append("men" if sex else "women")
    if age is not None:
        groups.append("65 and over" if age >= 65 else "under 65")
    groups += [f"race {name.removeprefix(_RACE)}" for name, value in values.items() if name.startswith(_RACE) and value]
    return (*groups, *(group for group in recorded if group not in groups))


def total_of(days: list[DayCounts]) -> DayCounts:
    """Return all days together, but for `hour_milliseconds`: those are compared hour by hour (today.py)."""
    total = DayCounts()
    for name in DayCounts.__struct_fields__:
        if name == "hour_milliseconds":
            continue
        values = [getattr(day, name) for day in days]
        if name in _SKETCHES:
            setattr(total, name, _total_of_sketches(values))
            continue
        if isinstance(getattr(total, name), int):
            setattr(total, name, sum(values))
            continue
        for value in values:
            _add_into(getattr(total, name), value)
    return total


_SKETCHES: Final = frozenset({"features", "ages", "by_sex", "scores", "stages"})
_WIDEST: Final = 1 << 16


def _total_of_sketches(days: Sequence[Sketches]) -> Sketches:
    """By name the buckets of all days; a month of a large site has a million of them, which numpy adds up."""
    parts: dict[str, list[dict[int, int]]] = {}
    for day in days:
        for name, buckets in day.items():
            parts.setdefault(name, []).append(buckets)
    return {name: _sum_of_buckets(tables) for name, tables in parts.items()}


def _sum_of_buckets(tables: Sequence[dict[int, int]]) -> dict[int, int]:
    import numpy as np  # which takes 80 ms to load: who counts calls or finds decisions adds no days up

    many = sum(map(len, tables))
    buckets = np.fromiter(chain.from_iterable(tables), np.int64, many)
    counts = np.fromiter(chain.from_iterable(table.values() for table in tables), np.int64, many)
    if not many:
        return {}
    first = int(buckets.min())
    distinct: Any
    places: Any
    if int(buckets.max()) - first > _WIDEST:  # values on both sides of zero
        distinct, places = np.unique(buckets, return_inverse=True)
    else:
        distinct, places = np.arange(first, int(buckets.max()) + 1), buckets - first
    sums = np.rint(np.bincount(places, weights=counts, minlength=len(distinct))).astype(np.int64)
    there = sums.nonzero()[0]
    return dict(zip(distinct[there].tolist(), sums[there].tolist(), strict=True))
