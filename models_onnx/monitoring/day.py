"""What is counted of the calls of one day, of one client to one service."""

from collections import Counter
from typing import Final

import msgspec

from models_onnx.monitoring.sketch import Sketch, bucket_of

Counts = dict[str, int]
Sketches = dict[str, dict[int, int]]
_EVERYBODY: Final = "all"


class DayCounts(msgspec.Struct, kw_only=True):
    """Counts and sketches only: no row of a patient, no reference, no identifier.

    `features` and `ages` hold values and their ages in days by input; `missing` counts "input reason"; `scores` holds
    probabilities by "model group", where the group is `all`, a sex or an age band.
    """

    calls: int = 0
    with_cards: int = 0
    errors: int = 0
    hours: dict[int, int] = {}
    keys: Counts = {}
    silences: Counts = {}
    rules: Counts = {}
    missing: Counts = {}
    features: Sketches = {}
    ages: Sketches = {}
    scores: Sketches = {}
    milliseconds: dict[int, int] = {}
    accepted: int = 0
    overridden: int = 0
    reasons: Counts = {}

    def add(self, other: "DayCounts") -> None:
        """Adds what another counted."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            if isinstance(mine, int):
                setattr(self, name, mine + more)
                continue
            for key, count in more.items():
                if isinstance(count, dict):
                    buckets = mine.setdefault(key, {})
                    for bucket, times in count.items():
                        buckets[bucket] = buckets.get(bucket, 0) + times
                else:
                    mine[key] = mine.get(key, 0) + count

    def sketch(self, family: str, name: str) -> Sketch:
        """One of the sketches of `features`, `ages` or `scores`; empty where nothing was counted."""
        return Counter(getattr(self, family).get(name, {}))

    def missing_of(self, feature: str) -> int:
        """In how many calls the input was missing, for whatever reason."""
        return sum(count for key, count in self.missing.items() if key.partition(" ")[0] == feature)

    def names(self, family: str) -> list[str]:
        """The names of a family, in their order; the inputs that were only ever missing are among `features`."""
        found = set(getattr(self, family))
        if family == "features":
            found |= {key.partition(" ")[0] for key in self.missing}
        return sorted(found)


def count(counts: Counts, key: str, times: int = 1) -> None:
    """Counts a key."""
    counts[key] = counts.get(key, 0) + times


def sketch_value(sketches: Sketches, name: str, value: float) -> None:
    """Counts a value."""
    bucket, buckets = bucket_of(value), sketches.setdefault(name, {})
    buckets[bucket] = buckets.get(bucket, 0) + 1


def groups_of(values: dict[str, float]) -> tuple[str, ...]:
    """The groups whose scores are watched apart, by the inputs `sex_male` and `age_years` where they are known."""
    groups = [_EVERYBODY]
    sex, age = values.get("sex_male"), values.get("age_years")
    if sex is not None:
        groups.append("men" if sex else "women")
    if age is not None:
        groups.append("65 and over" if age >= 65 else "under 65")
    return tuple(groups)


def total_of(days: list[DayCounts]) -> DayCounts:
    """All days together."""
    total = DayCounts()
    for each in days:
        total.add(each)
    return total
