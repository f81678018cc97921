"""How calls, values and answers arrive: calls that come twice, clocks that are wrong, results that come late.

The limits are the project's own choice, but for those of shares (rates.py).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import State
from models_onnx.monitoring.sketch import Sketch, quantile, value_of

FEWEST_CALLS: Final = 200
FEWEST_ANSWERS: Final = 50
FEWEST_VALUES: Final = 100
_AHEAD_SECONDS: Final = -300.0
_LATE_SECONDS: Final = 300.0
_FUTURE: Final = "future"
_RARE: Final = 1e-6


class Found(NamedTuple):
    """A figure without the client and service that it is of."""

    subject: str
    state: State
    n: int
    minimum: int
    value: float | None
    before: float | None
    text: str


def clocks(now: DayCounts, before: DayCounts) -> Iterator[Found]:
    """Yield whether the clocks of the machines, of the client and of the values agree."""
    yield _machines(now)
    yield _values_of_tomorrow(now)
    yield _answers(Sketch(now.answer_seconds), Sketch(before.answer_seconds))


def _machines(now: DayCounts) -> Found:
    if now.calls < FEWEST_CALLS:
        return _too_few("machines", now.calls, FEWEST_CALLS)
    share = now.behind / now.calls
    state: State = "act" if share >= 0.02 else "watch" if share >= 0.005 else "good"
    text = f"{100 * share:.1f} in 100 calls are dated over 5 minutes before a call that was recorded earlier"
    return Found("machines", state, now.calls, FEWEST_CALLS, share, 0.0, f"{text}; do the machines' clocks agree?")


def _values_of_tomorrow(now: DayCounts) -> Found:
    if now.calls < FEWEST_CALLS:
        return _too_few("values", now.calls, FEWEST_CALLS)
    dated = max((count for key, count in now.missing.items() if key.endswith(f" {_FUTURE}")), default=0)
    share = dated / now.calls
    state: State = "act" if share >= 0.02 else "watch" if share >= 0.005 else "good"
    text = f"in {100 * share:.1f} of 100 calls an input was refused because it is dated in the future"
    return Found("values", state, now.calls, FEWEST_CALLS, share, 0.0, text)


def _answers(now: Sketch, before: Sketch) -> Found:
    """By the times of answers: none can arrive before it was given, and the quickest do not become slower."""
    n, ahead = now.total(), sum(count for bucket, count in now.items() if value_of(bucket) < _AHEAD_SECONDS)
    if n < FEWEST_ANSWERS:
        return _too_few("answers", n, FEWEST_ANSWERS)
    share, quickest = ahead / n, quantile(now, 0.05) or 0.0
    if share >= 0.02:
        text = f"{100 * share:.0f} in 100 answers are dated over 5 minutes after they arrived: its clock is ahead"
        return Found("answers", "act" if share >= 0.10 else "watch", n, FEWEST_ANSWERS, share, 0.0, text)
    then = quantile(before, 0.05) if before.total() >= FEWEST_ANSWERS else None
    late = then is not None and quickest - then > _LATE_SECONDS
    text = f"the quickest answers arrive {quickest:,.0f} seconds after they were given"
    if then is not None:
        text += f", {then:,.0f} before"
    if late:
        text += "; a clock is wrong, or they are sent late"
    return Found("answers", "act" if late else "good", n, FEWEST_ANSWERS, quickest, then, text)


def delay(name: str, ages: Sketch, then: Sketch, comparisons: int) -> Found | None:
    """Return whether the newest values of an input are older than the newest were: a laboratory's results come late.

    A tenth of the reference is newer than its first decile. Results come late where fewer than half as many of the
    window are, certainly, and its own decile is a day older. None where too few values have a time.
    """
    decile = quantile(then, 0.1)
    if decile is None or min(ages.total(), then.total()) < FEWEST_VALUES:
        return None
    newest, newest_then = _up_to(decile, ages), _up_to(decile, then)
    low, _ = rates.difference(newest_then, then.total(), newest, ages.total(), 1 - _RARE / comparisons)
    value = quantile(ages, 0.1) or 0.0
    is_later = value - decile >= 1 and low > 0 and newest / ages.total() < newest_then / then.total() / 2
    text = f"the newest tenth of {name} is up to {value:.1f} days old, {decile:.1f} before"
    if is_later:
        text += "; results may come late"
    state: State = "act" if is_later else "good"
    return Found(f"newest {name}", state, ages.total(), FEWEST_VALUES, value, decile, text)


def _up_to(limit: float, values: Sketch) -> int:
    return sum(count for bucket, count in values.items() if value_of(bucket) <= limit)


def _too_few(subject: str, n: int, minimum: int) -> Found:
    return Found(subject, "insufficient", n, minimum, None, None, f"{subject}: {n:,} counted, {minimum:,} are needed")
