"""What the watch learns of two invented feeds, and every signal of days that depart in one way, as a text.

python -m tests.cds_hooks.events.watched --write    # review the difference before you commit it
"""

import copy
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from cds_hooks.events.watch.baseline import Baseline
from cds_hooks.events.watch.history import Signal
from cds_hooks.events.watch.watching import WatchedFeed
from models_onnx.monitoring.sketch import bucket_at, bucket_of
from tests.conftest import ROOT

PINNED: Final = ROOT / "tests" / "cases" / "watch_signals.txt"
_ZONE: Final = ZoneInfo("America/New_York")
_FIRST: Final = int(datetime(2026, 5, 4, 4, tzinfo=UTC).timestamp()) // 300
"""A Monday, midnight in New York."""
_LEARNED_STEPS: Final = 15 * 288
_HOLIDAY: Final = date(2026, 5, 13)
Counts = dict[str, float]
Change = Callable[[int, Counts], Counts]
Make = Callable[[int, np.random.Generator], Counts]
_SHOWN: Final = 5


def _step(step: int, draw: np.random.Generator) -> Counts:
    """Return the counts of a step: 12 messages by day, 4 at night, half of that on weekends."""
    hour, day = (step - _FIRST) // 12 % 24, (step - _FIRST) // 288 % 7
    mean = (12.0 if 7 <= hour < 19 else 4.0) * (1.0 if day < 5 else 0.5)
    messages = int(draw.poisson(mean))
    counts: Counter[str] = Counter(messages=messages, results=messages)
    for _ in range(messages):
        counts[f"sender:{'A' if draw.random() < 0.7 else 'B'}"] += 1
        counts[f"latency:{int(draw.integers(8, 14))}"] += 1
        code, middle = ("2823-3|mmol/L", 4.2) if draw.random() < 0.6 else ("2345-7|mg/dL", 100.0)
        counts[f"result:{code.partition('|')[0]}"] += 1
        counts[f"value:{code}:{bucket_of(middle * float(draw.normal(1.0, 0.1)))}"] += 1
        if draw.random() < 0.01:
            counts["duplicate"] += 1
        if draw.random() < 0.005:
            counts["unmapped:OLD"] += 1
        if draw.random() < 0.02:
            counts["out-of-order"] += 1
    return {name: float(count) for name, count in counts.items()}


def _batch_step(step: int, draw: np.random.Generator) -> Counts:
    hour, minute = (step - _FIRST) // 12 % 24, (step - _FIRST) % 12
    messages = int(draw.poisson(40.0)) if hour == 2 and minute < 6 else 0
    return {"messages": float(messages)} if messages else {}


def _learned(name: str, make: Make) -> WatchedFeed:
    draw = np.random.default_rng(11)
    feed = WatchedFeed(name, _ZONE, _FIRST, frozenset({_HOLIDAY, date(2026, 5, 19)}))
    for step in range(_FIRST, _FIRST + _LEARNED_STEPS):
        feed.append(make(step, draw))
    return feed


def _renamed(pairs: dict[str, str]) -> Change:
    def change(_: int, counts: Counts) -> Counts:
        renamed: Counter[str] = Counter()
        for name, count in counts.items():
            start = next((old for old in pairs if name.startswith(old)), None)
            renamed[pairs[start] + name.removeprefix(start) if start else name] += int(count)
        return dict(renamed)

    return change


def _times(factor: float) -> Change:
    return lambda _, counts: {name: float(int(count * factor)) for name, count in counts.items()}


def _values(code: str, move: int, stuck: bool = False) -> Change:
    def change(_: int, counts: Counts) -> Counts:
        moved: Counter[str] = Counter()
        for name, count in counts.items():
            start, _colon, number = name.rpartition(":")
            moved[f"{start}:{bucket_of(4.2) if stuck else int(number) + move}" if start == code else name] += int(count)
        return dict(moved)

    return change


def _with(**more: float) -> Change:
    def change(_: int, counts: Counts) -> Counts:
        messages = counts.get("messages", 0.0)
        return counts | {name.replace("__", ":"): messages * share // 1 for name, share in more.items()}

    return change


CHANGES: Final[dict[str, Change]] = {
    "as before": lambda _, counts: counts, "silence": lambda _, _counts: {}, "half": _times(0.5),
    "four fifths": _times(0.8), "three times": _times(3.0), "twice": _times(2.0),
    "every third half hour empty": lambda step, counts: {} if (step // 4) % 3 == 0 else counts,
    "without sender B": _renamed({"sender:B": "sender:A"}), "another sender": _renamed({"sender:B": "sender:C"}),
    "potassium higher": _values("value:2823-3|mmol/L", 5), "potassium much higher": _values("value:2823-3|mmol/L", 60),
    "glucose in mmol/L": _values("value:2345-7|mg/dL", -145),
    "glucose a little lower": _values("value:2345-7|mg/dL", -3),
    "potassium stuck": _values("value:2823-3|mmol/L", 0, stuck=True),
    "results late": _renamed({f"latency:{number}": f"latency:{number + 6}" for number in range(13, 7, -1)}),
    "results earlier": _renamed({f"latency:{number}": f"latency:{number - 6}" for number in range(8, 14)}),
    "a clock ahead": _renamed({"latency:8": "latency:-27", "latency:9": "latency:-26"}),
    "duplicates": _with(duplicate=0.3), "a few duplicates": _with(duplicate=0.1),
    "dead letters": _with(state__dead=0.12), "unknown patients": _with(**{"unknown-patients": 0.09}),
    "out of order": _with(**{"out-of-order": 0.4}),
    "a code renamed": _renamed({"result:2345-7": "result:NEW", "value:2345-7|mg/dL": "value:NEW|mg/dL"}),
    "a code not mapped": _renamed({"result:2345-7": "unmapped:NEW"}),
    "a rare code not mapped": lambda step, counts: counts | ({"unmapped:RARE": 1.0} if step % 12 == 0 else {}),
    "a code gone": lambda _, counts: {name: count for name, count in counts.items() if ":2345-7" not in name},
    "another label of a unit": _renamed({"value:2823-3|mmol/L": "value:2823-3|mEq/L"}),
}  # fmt: skip


def _signals(feed: WatchedFeed, change: Change, make: Make, steps: int = 240) -> Iterator[str]:
    """Yield the first signals of each kind and subject, and of all of them the number and the sums."""
    feed, draw = copy.deepcopy(feed), np.random.default_rng(12)
    begin, sums = feed.end, dict[str, list[float]]()
    for step in range(begin, begin + steps):
        counts = make(step, draw)
        feed.append(change(step, counts) if step >= begin + 100 else counts)
        for signal in feed.signals() if step >= begin + 96 else ():
            key = f"{signal.kind} {signal.subject}".strip()
            sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 3), _numbers(signal, begin), strict=True)]
            if sums[key][0] <= _SHOWN:
                yield (
                    f"{step - begin}: {key} {signal.ratio:.4g} since {signal.since - begin} "
                    f"{signal.group} {signal.severity}"
                )
    for key, numbers in sums.items():
        yield f"all of {key}: {' '.join(f'{number:.6g}' for number in numbers)}"


def _numbers(signal: Signal, begin: int) -> tuple[float, ...]:
    return 1.0, signal.ratio, signal.since - begin


def _what_was_learned(baseline: Baseline) -> Iterator[str]:
    for day in range(7):
        yield f"day {day}: {' '.join(f'{value:.3g}' for value in baseline.hours[day])}"
    yield f"spread {baseline.spread:.4g}, variance {baseline.variance:.3g}, batch {baseline.is_batch}"
    yield f"shares { ({name: float(f'{share:.4g}') for name, share in baseline.rates.items()}) }"
    for name, sketch in baseline.values.items():
        yield f"values {name}: {' '.join(str(bucket_at(sketch, share)) for share in (0.05, 0.5, 0.95))}"


def text() -> str:
    """Return what is learned, and the signals of each change."""
    feed, batch = _learned("lab", _step), _learned("nightly", _batch_step)
    parts = []
    for watched in (feed, batch):
        assert watched.judge is not None
        parts += [f"# {watched.name} learned", *_what_was_learned(watched.judge.baseline), ""]
        for column in watched.judge.baseline.due(watched.end - 12, watched.end + 48):
            parts.append(" ".join(f"{value:.4g}" for value in column[::7]))
    for name, change in CHANGES.items():
        parts += [f"# lab, {name}", *_signals(feed, change, _step), ""]
    feed.planned = ((feed.end + 150, feed.end + 156),)
    for name in ("as before", "silence", "three times", "duplicates"):
        parts += [f"# lab with a downtime, {name}", *_signals(feed, CHANGES[name], _step), ""]
    for name in ("as before", "silence", "half", "four fifths"):
        parts += [f"# nightly, {name}", *_signals(batch, CHANGES[name], _batch_step, 420), ""]
    return "\n".join(parts)


if __name__ == "__main__" and "--write" in sys.argv:
    PINNED.write_text(text(), encoding="utf-8")
