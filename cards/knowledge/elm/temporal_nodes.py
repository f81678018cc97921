"""Compiles dates and times: making them, taking them apart, counting what lies between (CQL Appendix B, section 8)."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.temporal import PRECISIONS, Temporal, checked, difference, duration
from cards.knowledge.elm.types import to_date, to_time
from cards.knowledge.elm.values import Uncertain, Value, plain

_PARTS = {"Date": PRECISIONS[:3], "DateTime": PRECISIONS, "Time": PRECISIONS[3:]}


@builds("Date", "DateTime", "Time")
def _constructor(body: Body, node: ElmNode) -> Closure:
    kind: Any = node["type"]
    names = _PARTS[kind]
    closures, offset = [body.build(node.get(name)) for name in names], body.build(node.get("timezoneOffset"))
    body.is_fixed = body.is_fixed and kind != "DateTime"

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
def _now(body: Body, node: ElmNode) -> Closure:
    body.is_fixed = False
    clock = {"Today": to_date, "TimeOfDay": to_time}.get(node["type"], lambda now: now)
    return lambda frame: clock(frame[0].now)


@computes("TimezoneOffsetFrom", "TimezoneFrom")
def _offset_from(value: Temporal) -> Decimal | None:
    return Decimal(value.offset) / 60 if value.kind == "DateTime" else None


@computes("DateTimeComponentFrom", precision=True)
def _component(value: Temporal, precision: str) -> Value:
    index = PRECISIONS.index(precision) - value.first
    return value.parts[index] if 0 <= index < len(value.parts) else None


def _between(count: Callable[[Temporal, Temporal, str], int], start: Temporal, end: Temporal, unit: str) -> Value:
    """Count units, or say from how many to how many where a precision leaves it open."""
    if {start.kind, end.kind} == {"Date", "DateTime"}:
        home = start.home or end.home
        start, end = (
            value if value.kind == "DateTime" else Temporal("DateTime", value.parts, home, home)
            for value in (start, end)
        )
    needed = PRECISIONS.index("day" if unit == "week" else unit) + 1 - start.first
    if needed < 1:
        raise CqlError("Times of day have no dates between them.")
    if count is duration and start.kind != "Time":
        needed = max(needed, 3)  # a time of day that is missing does not leave the days between two dates open
    if min(len(start.parts), len(end.parts)) >= needed:
        return count(start.lowest(), end.lowest(), unit)
    low, high = count(start.highest(), end.lowest(), unit), count(start.lowest(), end.highest(), unit)
    return low if low == high else Uncertain(low, high)


computes("DurationBetween", "CalculateAgeAt", precision=True)(partial(_between, duration))
computes("DifferenceBetween", precision=True)(partial(_between, difference))


@builds("CalculateAge")
def _age(body: Body, node: ElmNode) -> Closure:
    return body.build({**node, "type": "CalculateAgeAt", "operand": [node["operand"], {"type": "Now"}]})
