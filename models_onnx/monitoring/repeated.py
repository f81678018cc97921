"""Whether values became coarser or one is repeated: rounding and a stuck value hardly move deciles."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from models_onnx.monitoring import drift, shares
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import State
from models_onnx.monitoring.sketch import Sketch, value_of

_FEWEST_IN_A_BIN: Final = 20
_MORE: Final = 0.03
_COARSER: Final = 0.5
_DOUBT: Final = 1e-6


class Repeated(NamedTuple):
    """What is said of one input, with the share (0 to 1) or index now and before."""

    state: State
    value: float
    before: float
    text: str


def one_value(
    name: str,
    window: Mapping[date, DayCounts],
    reference: Sequence[DayCounts],
    alike: Callable[[date], Sequence[DayCounts]],
    sums: tuple[Sketch, Sketch],
    comparisons: int,
) -> Repeated | None:
    """Return whether one value has certainly a larger share than before, in all or on a day: as `shares.rise`.

    `sums` are the sketches of the window and the reference; None where no value has 3 points more in all of it.
    """
    now, then = sums
    n, m = now.total(), then.total()
    bucket = max(now, key=lambda value: now[value] / n - then[value] / m)
    if now[bucket] / n - then[bucket] / m < _MORE:
        return None

    def counted(day: DayCounts) -> tuple[int, int]:
        buckets = day.features.get(name, {})
        return buckets.get(bucket, 0), sum(buckets.values())

    rise = shares.rise(window, reference, alike, counted, comparisons * len({*now, *then}))
    if rise.state not in ("watch", "act"):
        return None
    on = f" on {rise.day:%A}, {rise.day}," if rise.day is not None else ""
    sentence = f"{100 * rise.share:.0f} in 100 values of {name}{on} are about {value_of(bucket):.3g}"
    return Repeated(rise.state, rise.share, rise.before, f"{sentence}, {100 * rise.before:.0f} before.")


def coarser(name: str, now: Sketch, then: Sketch, comparisons: int) -> Repeated | None:
    """Whether the values stand closer together than before: the stability index of single values, without deciles."""
    reference, window = _finely(then, now)
    index = drift.stability_index(reference, window)
    chance = drift.limit_by_chance(len(reference), now.total(), then.total(), 1 - _DOUBT / comparisons)
    if len(reference) <= drift.BINS or index <= max(_COARSER, 2 * chance):
        return None
    text = f"{name} takes other single values than before, as where values are rounded (stability index {index:.2f})."
    return Repeated("act", index, 0.0, text)


def _finely(then: Sketch, now: Sketch) -> tuple[list[int], list[int]]:
    """Both in bins of so many buckets that at least 20 of the window would be expected in each."""
    least = _FEWEST_IN_A_BIN * then.total() / now.total()
    reference, window = [0], [0]
    for bucket in sorted({*then, *now}):
        if reference[-1] >= least:
            reference.append(0)
            window.append(0)
        reference[-1] += then[bucket]
        window[-1] += now[bucket]
    return reference, window
