"""Compiles intervals and how two of them lie to each other (CQL Appendix B, sections 9 and 10).

A border that is null and closed is the smallest or largest value of its type; one that is null and open is not known.
The same node serves lists and intervals where CQL has one word for both (`in`, `includes`, `union`).
"""

from decimal import ROUND_FLOOR, Decimal
from functools import cmp_to_key
from typing import Any

from cards.knowledge.elm import lists
from cards.knowledge.elm.arithmetic import add, subtract
from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import PRECISIONS, Temporal
from cards.knowledge.elm.typing_of import cast_type
from cards.knowledge.elm.units import calendar_unit, conversion
from cards.knowledge.elm.values import (
    EXACT,
    Interval,
    Long,
    Quantity,
    Uncertain,
    Value,
    both,
    compare,
    end,
    equal,
    plain,
    start,
    step,
)

_MOST_EXPANDED = 1000


@builds("Interval")
def _interval(compiler: Compiler, node: ElmNode) -> Closure:
    low, high = compiler.build(node.get("low")), compiler.build(node.get("high"))
    flags = [
        compiler.build(node[name + "Expression"])
        if node.get(name + "Expression")
        else compiler.constant(node.get(name, True))
        for name in ("lowClosed", "highClosed")
    ]
    # what is null on both sides has a smallest and a largest value only where the library says of which type it is
    point = cast_type(node.get("low")) or cast_type(node.get("high"))

    def construct(frame: Frame) -> Value:
        closed = [plain(flag(frame)) is True for flag in flags]
        interval = Interval(plain(low(frame)), plain(high(frame)), closed[0], closed[1], point)
        return checked_interval(interval)

    return compiler.folded(construct, [low, high, *flags])


def checked_interval(interval: Interval) -> Interval | None:
    """Return the interval; null where both borders are null and open.

    Raises:
        CqlError: it begins after its end.
    """
    if interval.low is not None and interval.high is not None:
        order = compare(interval.low, interval.high)
        if order == 1 or (order == 0 and not (interval.low_closed and interval.high_closed)):
            raise CqlError("An interval begins after its end.")
    return interval


def _border(interval: Value, *, last: bool) -> Value:
    interval = plain(interval)
    if isinstance(interval, Uncertain):
        return interval.high if last else interval.low
    if not isinstance(interval, Interval):
        raise CqlError("Only an interval has a start and an end.")
    return end(interval) if last else start(interval)


computes("Start")(lambda interval: _border(interval, last=False))
computes("End")(lambda interval: _border(interval, last=True))


@computes("Width")
def _width(interval: Interval) -> Value:
    low, high = start(interval), end(interval)
    if low is None or high is None:
        return None
    if isinstance(low, Temporal):
        raise CqlError("The width of an interval of dates or times is not defined.")
    return subtract(high, low)


@computes("Size")
def _size(interval: Interval) -> Value:
    width = _width(interval)
    unit = Quantity(Decimal("0.00000001"), width.unit) if isinstance(width, Quantity) else Decimal("0.00000001")
    return None if width is None else add(width, unit if isinstance(width, Quantity | Decimal) else 1)


@computes("PointFrom")
def _point_from(interval: Interval) -> Value:
    low, high = start(interval), end(interval)
    if low is None and high is None:
        return None
    if equal(low, high) is not True:
        raise CqlError("Only an interval with one point has a point.")
    return low


# The relations; each takes a precision or None


def _is_less(left: Value, right: Value, precision: str | None = None) -> bool | None:
    order = compare(left, right, precision)
    return None if order is None else order < 0


def _is_at_most(left: Value, right: Value, precision: str | None = None) -> bool | None:
    order = compare(left, right, precision)
    return None if order is None else order <= 0


def _is_same(left: Value, right: Value, precision: str | None = None) -> bool | None:
    order = compare(left, right, precision)
    return None if order is None else order == 0


def _first(value: Value) -> Value:
    return start(value) if isinstance(value, Interval) else plain(value)


def _last(value: Value) -> Value:
    return end(value) if isinstance(value, Interval) else plain(value)


computes("Before", precision=True)(lambda left, right, precision: _is_less(_last(left), _first(right), precision))
computes("After", precision=True)(lambda left, right, precision: _is_less(_last(right), _first(left), precision))
computes("SameOrBefore", precision=True)(
    lambda left, right, precision: _is_at_most(_last(left), _first(right), precision)
)
computes("SameOrAfter", precision=True)(
    lambda left, right, precision: _is_at_most(_last(right), _first(left), precision)
)


@computes("SameAs", precision=True)
def _same_as(left: Value, right: Value, precision: str | None) -> Value:
    if isinstance(left, Interval) or isinstance(right, Interval):
        return both(_is_same(_first(left), _first(right), precision), _is_same(_last(left), _last(right), precision))
    return _is_same(left, right, precision)


def _holds(interval: Interval, point: Value, precision: str | None) -> bool | None:
    """Return whether the point lies within; what an open border excludes, it excludes at the given precision, too."""
    point = plain(point)
    if point is None:
        return None
    if precision is None:
        return both(_is_at_most(start(interval), point), _is_at_most(point, end(interval)))
    return both(
        _is_at_most(start(interval), point, precision)
        if interval.low_closed or interval.low is None
        else _is_less(interval.low, point, precision),
        _is_at_most(point, end(interval), precision)
        if interval.high_closed or interval.high is None
        else _is_less(point, interval.high, precision),
    )


def _contains(whole: Value, part: Value, precision: str | None) -> Value:
    if isinstance(whole, list):
        return lists.contains(whole, part)
    return False if whole is None else None if part is None else _holds(whole, part, precision)


computes("Contains", precision=True, nulls=True)(_contains)
computes("In", precision=True, nulls=True)(lambda part, whole, precision: _contains(whole, part, precision))


def _includes(whole: Value, part: Value, precision: str | None) -> Value:
    if isinstance(whole, list) or isinstance(part, list):
        return lists.includes(whole, part)
    if whole is None or part is None:
        return None
    if not isinstance(part, Interval):
        return _holds(whole, part, precision)
    return both(_is_at_most(start(whole), start(part), precision), _is_at_most(end(part), end(whole), precision))


computes("Includes", precision=True, nulls=True)(_includes)
computes("IncludedIn", precision=True, nulls=True)(lambda part, whole, precision: _includes(whole, part, precision))


def _properly_includes(whole: Value, part: Value, precision: str | None) -> Value:
    if isinstance(whole, list) or isinstance(part, list):
        return lists.properly_includes(whole, part)
    if whole is None or part is None:
        return None
    if not isinstance(part, Interval):
        return _properly_contains(whole, part, precision)
    same = _same_as(whole, part, precision)
    return both(_includes(whole, part, precision), None if same is None else not same)


def _properly_contains(whole: Value, part: Value, precision: str | None) -> Value:
    if isinstance(whole, list):
        return lists.properly_contains(whole, part)
    if whole is None or part is None:
        return False if whole is None and part is not None and not isinstance(part, list) else None
    return both(_is_less(start(whole), part, precision), _is_less(part, end(whole), precision))


computes("ProperIncludes", precision=True, nulls=True)(_properly_includes)
computes("ProperIncludedIn", precision=True, nulls=True)(
    lambda part, whole, unit: _properly_includes(whole, part, unit)
)
computes("ProperContains", precision=True, nulls=True)(_properly_contains)
computes("ProperIn", precision=True, nulls=True)(
    lambda part, whole, precision: _properly_contains(whole, part, precision)
)


@computes("Overlaps", precision=True)
def _overlaps(left: Interval, right: Interval, precision: str | None) -> Value:
    return both(_is_at_most(start(left), end(right), precision), _is_at_most(start(right), end(left), precision))


@computes("OverlapsBefore", precision=True)
def _overlaps_before(left: Interval, right: Interval, precision: str | None) -> Value:
    return both(_is_less(start(left), start(right), precision), _overlaps(left, right, precision))


@computes("OverlapsAfter", precision=True)
def _overlaps_after(left: Interval, right: Interval, precision: str | None) -> Value:
    return both(_is_less(end(right), end(left), precision), _overlaps(left, right, precision))


@computes("MeetsBefore", precision=True)
def _meets_before(left: Interval, right: Interval, precision: str | None) -> Value:
    last, first = end(left), start(right)
    if last is None or first is None:
        return False if _is_less(_last(right), _first(left)) is True else None
    try:
        return _is_same(_next(last, precision), first, precision)
    except CqlError:
        return False


def _next(value: Value, precision: str | None) -> Value:
    if isinstance(value, Temporal) and precision is not None:
        return add(value, Quantity(Decimal(1), precision))
    return step(value, 1)


def _meets_after(left: Interval, right: Interval, precision: str | None) -> Value:
    return _meets_before(right, left, precision)


computes("MeetsAfter", precision=True)(_meets_after)


@computes("Meets", precision=True)
def _meets(left: Interval, right: Interval, precision: str | None) -> Value:
    item, other = _meets_before(left, right, precision), _meets_after(left, right, precision)
    return True if item is True or other is True else None if item is None or other is None else False


@computes("Starts", precision=True)
def _starts(left: Interval, right: Interval, precision: str | None) -> Value:
    return both(_is_same(start(left), start(right), precision), _is_at_most(end(left), end(right), precision))


@computes("Ends", precision=True)
def _ends(left: Interval, right: Interval, precision: str | None) -> Value:
    return both(_is_same(end(left), end(right), precision), _is_at_most(start(right), start(left), precision))


# New intervals from old


@builds("Union", "Intersect", "Except")
def _combination(compiler: Compiler, node: ElmNode) -> Closure:
    of_lists, of_intervals = {
        "Union": (lists.union, _union),
        "Intersect": (lists.intersect, _intersect),
        "Except": (lists.without, _without),
    }[node["type"]]
    operands = [compiler.build(operand) for operand in node["operand"]]

    def combine(frame: Frame) -> Value:
        values = [operand(frame) for operand in operands]
        if any(isinstance(value, list) for value in values):
            result = values[0]
            for value in values[1:]:
                result = of_lists(result, value)
            return result
        if any(value is None for value in values):
            return None
        result = values[0]
        for value in values[1:]:
            result = None if result is None else of_intervals(result, value)
        return result

    return combine


def _union(left: Interval, right: Interval) -> Interval | None:
    if _overlaps(left, right, None) is not True and _meets(left, right, None) is not True:
        return None
    low = left if _is_at_most(start(left), start(right)) else right
    high = left if _is_at_most(end(right), end(left)) else right
    return Interval(low.low, high.high, low.low_closed, high.high_closed, left.point)


def _intersect(left: Interval, right: Interval) -> Interval | None:
    if _overlaps(left, right, None) is False:
        return None
    low, high = _later_start(left, right), _earlier_end(left, right)
    if _overlaps(left, right, None) is None and None not in (start(left), start(right), end(left), end(right)):
        return None
    return Interval(low.low, high.high, low.low_closed, high.high_closed, left.point)


def _later_start(left: Interval, right: Interval) -> Interval:
    """Return the interval whose start bounds both; one that is not known does."""
    if start(left) is None or start(right) is None:
        return left if start(left) is None else right
    return left if _is_at_most(start(right), start(left)) else right


def _earlier_end(left: Interval, right: Interval) -> Interval:
    if end(left) is None or end(right) is None:
        return left if end(left) is None else right
    return left if _is_at_most(end(left), end(right)) else right


def _without(left: Interval, right: Interval) -> Interval | None:
    overlaps = _overlaps(left, right, None)
    if overlaps is None:
        return None
    if overlaps is False:
        return left
    before, after = _is_less(start(left), start(right)), _is_less(end(right), end(left))
    if before is True and after is False:
        return Interval(start(left), step(start(right), -1))
    if before is False and after is True:
        return Interval(step(end(right), 1), end(left))
    return None


def _per(value: Value) -> Value:
    """Return a step that is a plain number as a number."""
    value = plain(value)
    return value.value if isinstance(value, Quantity) and value.unit in {"1", ""} else value


@builds("Collapse")
def _collapse(compiler: Compiler, node: ElmNode) -> Closure:
    source, per = map(compiler.build, (*node["operand"], None)[:2])

    def collapse(frame: Frame) -> Value:
        intervals = source(frame)
        return None if intervals is None else collapsed(intervals, _per(per(frame)))

    return collapse


def _order_of_starts(item: Interval, other: Interval) -> int:
    return compare(start(item), start(other)) or 0


def collapsed(intervals: list[Value], per: Value = None) -> list[Interval]:
    """Return the fewest intervals that cover the same points; gaps smaller than `per` are closed."""
    recognized = [
        interval for interval in intervals if interval is not None and None not in (start(interval), end(interval))
    ]
    spend(15 * len(recognized))
    recognized.sort(key=cmp_to_key(_order_of_starts))
    result: list[Interval] = []
    for interval in recognized:
        if result and _touches(result[-1], interval, per):
            if _is_less(end(result[-1]), end(interval)):
                result[-1] = Interval(start(result[-1]), end(interval))
        else:
            result.append(Interval(start(interval), end(interval)))
    return result


def _touches(left: Interval, right: Interval, per: Value) -> bool:
    precision = calendar_unit(per.unit) if isinstance(per, Quantity) else None
    if precision is not None and precision != "week" and per.value == 1:
        return _overlaps(left, right, precision) is True or _meets(left, right, precision) is True
    if _overlaps(left, right, None) is True or _meets(left, right, None) is True:
        return True
    if per is None or isinstance(end(left), Temporal) != isinstance(per, Quantity):
        return False
    return _is_at_most(start(right), add(end(left), per)) is True


@builds("Expand")
def _expand(compiler: Compiler, node: ElmNode) -> Closure:
    source, per = map(compiler.build, (*node["operand"], None)[:2])

    def expand(frame: Frame) -> Value:
        given, unit = source(frame), per(frame)
        if given is None:
            return None
        if isinstance(given, Interval):
            return [start(piece) for piece in expanded(given, unit)]
        result: list[Interval] = []
        for interval in given:
            if interval is not None:
                result += expanded(interval, unit)
        if len(result) > _MOST_EXPANDED:
            raise LimitExceeded(f"Expand gives more than {_MOST_EXPANDED} intervals.")
        return result

    return expand


def expanded(interval: Interval, per: Value) -> list[Interval]:
    """Return the whole pieces of the length `per` (by default one step) that lie in the interval.

    Raises:
        LimitExceeded: there are more than a thousand.
    """
    low, high = start(interval), end(interval)
    if low is None or high is None:
        return []
    if isinstance(low, Temporal):
        return _expanded_time(low, high, per)
    unit = low.unit if isinstance(low, Quantity) else None
    width = _step_width(low, per, unit)
    if width is None:
        return []
    numbers = [Decimal(value.value if isinstance(value, Quantity) else value) for value in (low, high)]
    places = max(0, -int(width.as_tuple().exponent))
    return _expanded_numbers(numbers[0], numbers[1], width, places, low, unit)


def _step_width(low: Value, per: Value, unit: str | None) -> Decimal | None:
    per = plain(per)
    if per is None:
        amount = low.value if isinstance(low, Quantity) else low
        return Decimal(1).scaleb(int(amount.as_tuple().exponent)) if isinstance(amount, Decimal) else Decimal(1)
    number = per.value if isinstance(per, Quantity) else Decimal(per)
    if unit is not None and isinstance(per, Quantity) and per.unit != unit:
        factor = conversion(per.unit, unit)
        if factor is None:
            return None
        number = EXACT.divide(number * factor.numerator, Decimal(factor.denominator))
    return number if number > 0 else None


def _expanded_numbers(
    low: Decimal, high: Decimal, width: Decimal, places: int, like: Value, unit: str | None
) -> list[Interval]:
    quantum = Decimal(1).scaleb(-places)
    at = low.quantize(quantum, ROUND_FLOOR, EXACT)
    limit = high.quantize(quantum, ROUND_FLOOR, EXACT)
    if not isinstance(like, Decimal | Quantity):  # an Integer stands for all of its tenths
        limit = limit if places == 0 else high + 1 - quantum
    result = list[Interval]()
    while at + width - quantum <= limit:
        if len(result) >= _MOST_EXPANDED:
            raise LimitExceeded(f"Expand gives more than {_MOST_EXPANDED} intervals.")
        borders = [_like(value, like, places, unit) for value in (at, at + width - quantum)]
        result.append(Interval(borders[0], borders[1]))
        spend(10)
        at += width
    return result


def _like(number: Decimal, like: Value, places: int, unit: str | None) -> Any:
    if unit is not None:
        return Quantity(number, unit)
    if isinstance(like, Long):
        return Long(number)
    return number if places or isinstance(like, Decimal) else int(number)


def _expanded_time(low: Temporal, high: Temporal, per: Value) -> list[Interval]:
    per = Quantity(Decimal(1), low.precision) if plain(per) is None else plain(per)
    precision = calendar_unit(per.unit) if isinstance(per, Quantity) else None
    if precision is None or per.value <= 0:
        return []
    count = PRECISIONS.index("day" if precision == "week" else precision) + 1 - low.first
    if count > min(len(low.parts), len(high.parts)) or count < 1:
        return []
    at, limit = low.with_parts(low.parts[:count]), high.with_parts(high.parts[:count])
    result: list[Interval] = []
    while True:
        try:
            following = add(at, per)
        except CqlError:
            following = None
        last = limit if following is None else step(following, -1)
        if compare(last, limit) == 1 or compare(at, limit) == 1:
            return result
        if len(result) >= _MOST_EXPANDED:
            raise LimitExceeded(f"Expand gives more than {_MOST_EXPANDED} intervals.")
        result.append(Interval(at, last))
        spend(10)
        if following is None:
            return result
        at = following
