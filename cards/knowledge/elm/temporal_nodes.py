"""Compiles dates and times: making them, taking them apart, counting what lies between (CQL Appendix B, section 8)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.temporal import PRECISIONS, Temporal, checked, difference, duration
from cards.knowledge.elm.temporal import add as add_units
from cards.knowledge.elm.units import calendar_unit
from cards.knowledge.elm.values import Quantity, Uncertain, Value, plain

_ALL = (*PRECISIONS, "timezoneOffset")
_PARTS = {"Date": PRECISIONS[:3], "DateTime": _ALL, "Time": PRECISIONS[3:]}


def moved(value: Temporal, amount: Value, sign: int) -> Temporal | None:
    """Return the date so much later (sign 1) or earlier (-1).

    Raises:
        CqlError: the amount is not a duration, or the result is out of range.
    """
    if not isinstance(amount, Quantity):
        raise CqlError("Only a duration can be added to a date or time.")
    unit = calendar_unit(amount.unit)
    if unit is None:
        raise CqlError(f"{amount.unit!r} is not a unit of time.")
    count = amount.value * sign
    if unit == "second" and count != int(count):
        unit, count = "millisecond", count * 1000
    if abs(count) > 10**15:
        raise CqlError("A duration is too long.")
    return add_units(value, int(count), unit)


@builds("Date", "DateTime", "Time")
def _constructor(compiler: Compiler, node: ElmNode) -> Closure:
    kind: Any = node["type"]
    closures = [compiler.build(node.get(part)) for part in _PARTS[kind]]
    fixed_offset = node.get("timezoneOffset") is not None
    if kind == "DateTime" and not fixed_offset:
        compiler.body.reads_context()

    def construct(frame: Frame) -> Value:
        values = [plain(closure(frame)) for closure in closures]
        home = frame[0].home if kind == "DateTime" and frame[0] is not None else 0
        offset = home
        if kind == "DateTime":
            hours = values.pop()
            offset = home if hours is None else round(Decimal(hours) * 60)
        given = 0
        while given < len(values) and values[given] is not None:
            given += 1
        if not given:
            return None
        if any(value is not None for value in values[given:]):
            raise CqlError(f"A {kind} has a {_PARTS[kind][given + 1]} without a {_PARTS[kind][given]}.")
        return checked(kind, tuple(map(int, values[:given])), offset, home)

    return compiler.folded(construct, closures) if kind != "DateTime" else construct


def clock(kind: str) -> Callable[[Frame], Value]:
    """Return a closure that gives the instant of the evaluation, its date or its time of day."""

    def read(frame: Frame) -> Value:
        now: Temporal = frame[0].now
        if kind == "Now":
            return now
        if kind == "Today":
            return Temporal("Date", now.parts[:3])
        return Temporal("Time", now.parts[3:])

    return read


@builds("Now", "Today", "TimeOfDay")
def _now(compiler: Compiler, node: ElmNode) -> Closure:
    compiler.body.reads_context()
    return clock(node["type"])


@computes("DateFrom")
def date_from(value: Value) -> Value:
    """Return the date of a date-time."""
    value = plain(value)
    return Temporal("Date", value.parts[:3])


@computes("TimeFrom")
def _time_from(value: Value) -> Value:
    value = plain(value)
    return Temporal("Time", value.parts[3:]) if len(value.parts) > 3 else None


@computes("TimezoneOffsetFrom", "TimezoneFrom")
def _offset_from(value: Value) -> Value:
    value = plain(value)
    return Decimal(value.offset) / 60 if value.kind == "DateTime" else None


@computes("DateTimeComponentFrom", precision=True)
def _component(value: Value, precision: str) -> Value:
    value = plain(value)
    if precision == "timezoneoffset":
        return Decimal(value.offset) / 60
    index = PRECISIONS.index(precision) - value.first
    return value.parts[index] if 0 <= index < len(value.parts) else None


def _between(
    count: Callable[[Temporal, Temporal, str], int], start: Value, end: Value, unit: str, *, whole: bool
) -> Value:
    """Count units, or say from how many to how many where a precision leaves it open."""
    start, end = _same_kind(plain(start), plain(end))
    if unit not in PRECISIONS and unit != "week":
        raise CqlError(f"{unit!r} is not a precision of time.")
    if start.kind == "Time" and unit in {"year", "month", "week", "day"}:
        raise CqlError("Times of day have no dates between them.")
    needed = PRECISIONS.index("day" if unit == "week" else unit) + 1 - start.first
    if whole and start.kind != "Time":
        needed = max(needed, 3)  # a time of day that is missing does not leave the days between two dates open
    given = min(len(start.parts), len(end.parts))
    if given >= needed:
        return count(start.lowest(), end.lowest(), unit)
    low, high = count(start.highest(), end.lowest(), unit), count(start.lowest(), end.highest(), unit)
    return low if low == high else Uncertain(low, high)


def _same_kind(start: Temporal, end: Temporal) -> tuple[Temporal, Temporal]:
    if start.kind != end.kind and "Time" not in {start.kind, end.kind}:
        home = start.home or end.home
        return tuple(  # type: ignore[return-value]
            value if value.kind == "DateTime" else Temporal("DateTime", value.parts, home, home)
            for value in (start, end)
        )
    return start, end


@computes("DurationBetween", precision=True)
def duration_between(start: Value, end: Value, unit: str) -> Value:
    """Return the whole units that pass; Uncertain where a precision leaves it open."""
    return _between(duration, start, end, unit, whole=True)


@computes("DifferenceBetween", precision=True)
def difference_between(start: Value, end: Value, unit: str) -> Value:
    """Return how many borders of the unit are crossed; Uncertain where a precision leaves it open."""
    return _between(difference, start, end, unit, whole=False)


computes("CalculateAgeAt", precision=True)(lambda birth, at, unit: duration_between(birth, at, unit))


@builds("CalculateAge")
def _age(compiler: Compiler, node: ElmNode) -> Closure:
    compiler.body.reads_context()
    birth, unit, today, now = (
        compiler.build(node["operand"]),
        str(node["precision"]).lower(),
        clock("Today"),
        clock("Now"),
    )

    def age(frame: Frame) -> Value:
        value = plain(birth(frame))
        if value is None:
            return None
        return duration_between(value, (today if value.kind == "Date" else now)(frame), unit)

    return age
