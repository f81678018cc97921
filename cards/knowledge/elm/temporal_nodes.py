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

_PARTS = {"Date": PRECISIONS[:3], "DateTime": PRECISIONS, "Time": PRECISIONS[3:]}


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
    names = _PARTS[kind]
    closures, offset = [compiler.build(node.get(name)) for name in names], compiler.build(node.get("timezoneOffset"))
    if kind == "DateTime":
        compiler.reads_evaluation()

    def construct(frame: Frame) -> Value:
        values = [plain(closure(frame)) for closure in closures]
        given = values.index(None) if None in values else len(values)
        if any(value is not None for value in values[given:]):
            raise CqlError(f"A {kind} has a component without its {names[given]}.")
        home, hours = frame[0].home if kind == "DateTime" else 0, plain(offset(frame))
        minutes = home if hours is None else round(Decimal(hours) * 60)
        return checked(kind, tuple(map(int, values[:given])), minutes, home) if given else None

    return construct


@builds("Now", "Today", "TimeOfDay")
def _now(compiler: Compiler, node: ElmNode) -> Closure:
    compiler.reads_evaluation()
    clock = {"Today": _date_from, "TimeOfDay": _time_from}.get(node["type"])
    return lambda frame: frame[0].now if clock is None else clock(frame[0].now)


@computes("DateFrom")
def _date_from(value: Temporal) -> Temporal:
    return Temporal("Date", value.parts[:3])


@computes("TimeFrom")
def _time_from(value: Temporal) -> Temporal | None:
    return Temporal("Time", value.parts[3:]) if len(value.parts) > 3 else None


@computes("TimezoneOffsetFrom", "TimezoneFrom")
def _offset_from(value: Temporal) -> Decimal | None:
    return Decimal(value.offset) / 60 if value.kind == "DateTime" else None


@computes("DateTimeComponentFrom", precision=True)
def _component(value: Temporal, precision: str) -> Value:
    if precision == "timezoneoffset":
        return Decimal(value.offset) / 60
    index = PRECISIONS.index(precision) - value.first
    return value.parts[index] if 0 <= index < len(value.parts) else None


def _between(count: Callable[[Temporal, Temporal, str], int], start: Temporal, end: Temporal, unit: str) -> Value:
    """Count units, or say from how many to how many where a precision leaves it open."""
    if start.kind != end.kind and "Time" not in {start.kind, end.kind}:
        home = start.home or end.home
        start, end = (
            value if value.kind == "DateTime" else Temporal("DateTime", value.parts, home, home)
            for value in (start, end)
        )
    if unit not in PRECISIONS and unit != "week":
        raise CqlError(f"{unit!r} is not a precision of time.")
    if start.kind == "Time" and unit in {"year", "month", "week", "day"}:
        raise CqlError("Times of day have no dates between them.")
    needed = PRECISIONS.index("day" if unit == "week" else unit) + 1 - start.first
    if count is duration and start.kind != "Time":
        needed = max(needed, 3)  # a time of day that is missing does not leave the days between two dates open
    if min(len(start.parts), len(end.parts)) >= needed:
        return count(start.lowest(), end.lowest(), unit)
    low, high = count(start.highest(), end.lowest(), unit), count(start.lowest(), end.highest(), unit)
    return low if low == high else Uncertain(low, high)


@computes("DurationBetween", "CalculateAgeAt", precision=True)
def _duration_between(start: Temporal, end: Temporal, unit: str) -> Value:
    return _between(duration, start, end, unit)


@computes("DifferenceBetween", precision=True)
def _difference_between(start: Temporal, end: Temporal, unit: str) -> Value:
    return _between(difference, start, end, unit)


@builds("CalculateAge")
def _age(compiler: Compiler, node: ElmNode) -> Closure:
    compiler.reads_evaluation()
    birth, unit = compiler.build(node["operand"]), str(node["precision"]).lower()

    def age(frame: Frame) -> Value:
        value, now = plain(birth(frame)), frame[0].now
        if value is None:
            return None
        return _between(duration, value, _date_from(now) if value.kind == "Date" else now, unit)

    return age
