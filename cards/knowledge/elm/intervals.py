"""Compiles intervals and how two of them lie to each other (CQL Appendix B, sections 9 and 10).

A border that is null and closed is the smallest or largest value of its type; one that is null and open is not known.
The same node serves lists and intervals where CQL has one word for both (`in`, `includes`, `union`).
"""

from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from functools import cmp_to_key, reduce
from typing import Final

from cards.knowledge.elm.arithmetic import add, subtract
from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, builds, computes, constant
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.lists import Relation, is_at_most, is_less, is_same
from cards.knowledge.elm.temporal import PRECISIONS, Temporal
from cards.knowledge.elm.types import convert_quantity
from cards.knowledge.elm.units import calendar_unit
from cards.knowledge.elm.values import (
    SMALLEST,
    SYSTEM,
    Interval,
    Quantity,
    Value,
    as_list,
    both,
    compare,
    distinct,
    end,
    equal,
    is_member,
    local_name,
    negated_truth,
    plain,
    start,
    step,
)

_MOST_EXPANDED: Final = 1000


@builds("Interval")
def _interval(body: Body, node: ElmNode) -> Closure:
    low, high = body.build(node.get("low")), body.build(node.get("high"))
    flags = [
        body.build(node[name + "Expression"]) if node.get(name + "Expression") else constant(node.get(name, True))
        for name in ("lowClosed", "highClosed")
    ]
    point = _cast_type(node.get("low")) or _cast_type(node.get("high"))

    def construct(frame: Frame) -> Value:
        closed = [plain(flag(frame)) is True for flag in flags]
        interval = Interval(plain(low(frame)), plain(high(frame)), closed[0], closed[1], point)
        order = compare(interval.low, interval.high)
        if order == 1 or (order == 0 and not all(closed)):
            raise CqlError("An interval begins after its end.")
        return interval

    return construct


def _cast_type(node: ElmNode | None) -> str | None:
    """Return the System type that a border is cast to: null has a smallest and a largest value only of a type."""
    specifier = (node or {}).get("asTypeSpecifier") or {"name": (node or {}).get("asType", "")}
    name = str(specifier.get("name", ""))
    return local_name(name) if name.startswith(SYSTEM) and name != SYSTEM + "Any" else None


computes("Start")(lambda interval: start(interval))
computes("End")(lambda interval: end(interval))


@computes("Width")
def _width(interval: Interval) -> Value:
    low, high = start(interval), end(interval)
    if isinstance(low, Temporal):
        raise CqlError("The width of an interval of dates or times is not defined.")
    return None if low is None or high is None else subtract(high, low)


@computes("Size")
def _size(interval: Interval) -> Value:
    width = _width(interval)
    if width is None:
        return None
    unit: Value = 1 if isinstance(width, int) else SMALLEST
    return add(width, Quantity(SMALLEST, width.unit) if isinstance(width, Quantity) else unit)


@computes("PointFrom")
def _point_from(interval: Interval) -> Value:
    low, high = start(interval), end(interval)
    if (low is not None or high is not None) and equal(low, high) is not True:
        raise CqlError("Only an interval with one point has a point.")
    return low


# The relations; each takes a precision or None


def _relates(name: str, converse: str | None = None, *, nulls: bool = False) -> Callable[[Relation], Relation]:
    """Register a relation, and under another name the one that holds of the two the other way round."""

    def register(relation: Relation) -> Relation:
        computes(name, precision=True, nulls=nulls)(relation)
        if converse is not None:
            computes(converse, precision=True, nulls=nulls)(lambda left, right, unit: relation(right, left, unit))
        return relation

    return register


def _first(value: Value) -> Value:
    return start(value) if isinstance(value, Interval) else value


def _last(value: Value) -> Value:
    return end(value) if isinstance(value, Interval) else value


_relates("Before", "After")(lambda left, right, unit: is_less(_last(left), _first(right), unit))
_relates("SameOrBefore", "SameOrAfter")(lambda left, right, unit: is_at_most(_last(left), _first(right), unit))


@_relates("SameAs")
def _same_as(left: Value, right: Value, precision: str | None) -> bool | None:
    first = is_same(_first(left), _first(right), precision)
    if not isinstance(left, Interval) and not isinstance(right, Interval):
        return first
    return both(first, is_same(_last(left), _last(right), precision))


def _holds(interval: Interval, point: Value, precision: str | None) -> bool | None:
    """Return whether the point lies within; what an open border excludes, it excludes at the given precision, too."""
    after, before = is_at_most(start(interval), point, precision), is_at_most(point, end(interval), precision)
    if precision is not None and not interval.low_closed and interval.low is not None:
        after = is_less(interval.low, point, precision)
    if precision is not None and not interval.high_closed and interval.high is not None:
        before = is_less(point, interval.high, precision)
    return both(after, before)


@_relates("Contains", "In", nulls=True)
def _contains(whole: Value, part: Value, precision: str | None) -> bool | None:
    if isinstance(whole, list):
        member = is_member(part, whole)
        return None if part is None and not member and whole else member
    return False if whole is None else None if part is None else _holds(whole, part, precision)


@_relates("Includes", "IncludedIn")
def _includes(whole: Value, part: Value, precision: str | None) -> bool | None:
    if isinstance(whole, list) or isinstance(part, list):
        return all(is_member(value, whole) for value in as_list(part))
    if not isinstance(part, Interval):
        return _holds(whole, part, precision)
    return both(is_at_most(start(whole), start(part), precision), is_at_most(end(part), end(whole), precision))


@_relates("ProperIncludes", "ProperIncludedIn")
def _properly_includes(whole: Value, part: Value, precision: str | None) -> bool | None:
    if isinstance(part, list):
        return _includes(whole, part, None) is True and len(distinct(whole)) > len(distinct(part))
    if isinstance(whole, list) or not isinstance(part, Interval):
        return _properly_contains(whole, part, precision)
    return both(_includes(whole, part, precision), negated_truth(_same_as(whole, part, precision)))


@_relates("ProperContains", "ProperIn", nulls=True)
def _properly_contains(whole: Value, part: Value, precision: str | None) -> bool | None:
    if isinstance(whole, list):
        if part is None:
            return None in whole and len(distinct(whole)) > 1
        same = [equal(value, part) for value in whole]
        return both(*(True if wanted in same else None if None in same else False for wanted in (True, False)))
    if whole is None or part is None:
        return False if whole is None and part is not None and not isinstance(part, list) else None
    return both(is_less(start(whole), part, precision), is_less(part, end(whole), precision))


@_relates("Overlaps")
def _overlaps(left: Interval, right: Interval, precision: str | None = None) -> bool | None:
    return both(is_at_most(start(left), end(right), precision), is_at_most(start(right), end(left), precision))


_relates("OverlapsBefore")(lambda a, b, unit: both(is_less(start(a), start(b), unit), _overlaps(a, b, unit)))
_relates("OverlapsAfter")(lambda a, b, unit: both(is_less(end(b), end(a), unit), _overlaps(a, b, unit)))
_relates("Starts")(lambda a, b, unit: both(is_same(start(a), start(b), unit), is_at_most(end(a), end(b), unit)))
_relates("Ends")(lambda a, b, unit: both(is_same(end(a), end(b), unit), is_at_most(start(b), start(a), unit)))


@_relates("MeetsBefore", "MeetsAfter")
def _meets_before(left: Interval, right: Interval, precision: str | None) -> bool | None:
    last, first = end(left), start(right)
    if last is None or first is None:
        return False if is_less(end(right), start(left)) is True else None
    try:
        return is_same(step(last, 1, precision), first, precision)
    except CqlError:
        return False


@_relates("Meets")
def _meets(left: Interval, right: Interval, precision: str | None = None) -> bool | None:
    apart = (negated_truth(_meets_before(*pair, precision)) for pair in ((left, right), (right, left)))
    return negated_truth(both(*apart))


# New intervals from old


def _shared(values: list[Value], others: list[Value], *, wanted: bool) -> list[Value]:
    """Return each value once that the others have, or that they do not have."""
    return [value for value in distinct(values) if is_member(value, others) is wanted]


def _combines(name: str, of_lists: Callable[[Value, Value], Value]) -> Callable[..., Callable[..., Value]]:
    """Register a function of two intervals, and beside it the one of two lists."""

    def register(of_intervals: Callable[[Interval, Interval], Value]) -> Callable[..., Value]:
        def combine(left: Value, right: Value) -> Value:
            if isinstance(left, list) or isinstance(right, list):
                return of_lists(left, right)
            return None if left is None or right is None else of_intervals(left, right)

        computes(name, nulls=True)(lambda *values: reduce(combine, values))
        return of_intervals

    return register


@_combines("Union", lambda left, right: distinct([*as_list(left), *as_list(right)]))
def _union(left: Interval, right: Interval) -> Interval | None:
    if _overlaps(left, right) is not True and _meets(left, right) is not True:
        return None
    low = left if is_at_most(start(left), start(right)) else right
    high = left if is_at_most(end(right), end(left)) else right
    return Interval(low.low, high.high, low.low_closed, high.high_closed, left.point)


@_combines("Intersect", lambda left, right: None if None in (left, right) else _shared(left, right, wanted=True))
def _intersect(left: Interval, right: Interval) -> Interval | None:
    overlaps, starts, ends = _overlaps(left, right), (start(left), start(right)), (end(left), end(right))
    if overlaps is False or (overlaps is None and None not in (*starts, *ends)):
        return None
    # a border that is not known bounds both
    low = left if starts[0] is None or (starts[1] is not None and is_at_most(starts[1], starts[0])) else right
    high = left if ends[0] is None or (ends[1] is not None and is_at_most(ends[0], ends[1])) else right
    return Interval(low.low, high.high, low.low_closed, high.high_closed, left.point)


@_combines("Except", lambda left, right: None if left is None else _shared(left, right or [], wanted=False))
def _without(left: Interval, right: Interval) -> Interval | None:
    overlaps = _overlaps(left, right)
    if overlaps is not True:
        return left if overlaps is False else None
    before, after = is_less(start(left), start(right)), is_less(end(right), end(left))
    if before is True and after is False:
        return Interval(start(left), step(start(right), -1))
    return Interval(step(end(right), 1), end(left)) if before is False and after is True else None


@computes("Collapse", nulls=True)
def _collapse(given: list[Value] | None, per: Value = None) -> list[Interval] | None:
    """Return the fewest intervals that cover the same points; gaps smaller than `per` are closed."""
    if given is None:
        return None
    bounded = [interval for interval in given if interval is not None and None not in (start(interval), end(interval))]
    spend(15 * len(bounded))
    bounded.sort(key=cmp_to_key(_order_of_starts))
    result: list[Interval] = []
    for interval in bounded:
        if not result or not _touches(result[-1], interval, per):
            result.append(Interval(start(interval), end(interval)))
        elif is_less(end(result[-1]), end(interval)):
            result[-1] = Interval(start(result[-1]), end(interval))
    return result


def _order_of_starts(item: Interval, other: Interval) -> int:
    return compare(start(item), start(other)) or 0


def _touches(left: Interval, right: Interval, per: Value) -> bool:
    if isinstance(per, Quantity) and per.unit in {"1", ""}:
        per = per.value
    precision = calendar_unit(per.unit) if isinstance(per, Quantity) and per.value == 1 else None
    precision = None if precision == "week" else precision
    if _overlaps(left, right, precision) is True or _meets(left, right, precision) is True:
        return True
    if precision is not None or per is None or isinstance(end(left), Temporal) != isinstance(per, Quantity):
        return False
    return is_at_most(start(right), add(end(left), per)) is True


@computes("Expand", nulls=True)
def _expand(given: Value, per: Value = None) -> list[Value] | None:
    if given is None:
        return None
    if isinstance(given, Interval):
        return [start(piece) for piece in _pieces(given, per)]
    result: list[Interval] = []
    for interval in given:
        result += _pieces(interval, per) if interval is not None else []
        _limit(result)
    return result


def _limit(pieces: list[Interval]) -> None:
    if len(pieces) > _MOST_EXPANDED:
        raise LimitExceeded(f"Expand gives more than {_MOST_EXPANDED} intervals.")


def _pieces(interval: Interval, per: Value) -> list[Interval]:
    """Return the whole pieces of the length `per` (by default one step) that lie in the interval."""
    low, high = start(interval), end(interval)
    if low is None or high is None:
        return []
    ready = _times_to_cut(low, high, per) if isinstance(low, Temporal) else _numbers_to_cut(low, high, per)
    pieces: list[Interval] = []
    at, limit, width, smallest = ready or (None, None, None, None)
    while at is not None and compare(at, limit) != 1:
        try:
            following = add(at, width)
            last = None if following is None else subtract(following, smallest)
        except CqlError:
            following, last = None, limit
        if last is None or compare(last, limit) == 1:
            break
        pieces.append(Interval(at, last))
        _limit(pieces)
        spend(10)
        at = following
    return pieces


def _numbers_to_cut(low: Value, high: Value, per: Value) -> tuple[Value, ...] | None:
    """Return the first point, the last one, the width of a piece and the distance of two points."""
    first, last = (value.value if isinstance(value, Quantity) else value for value in (low, high))
    if per is None:
        width = Decimal(1).scaleb(int(first.as_tuple().exponent) if isinstance(first, Decimal) else 0)
    elif isinstance(per, Quantity) and isinstance(low, Quantity) and per.unit != low.unit:
        converted = convert_quantity(per, low.unit)
        width = Decimal(0) if converted is None else converted.value
    else:
        width = per.value if isinstance(per, Quantity) else Decimal(per)
    if width <= 0:
        return None
    places = max(0, -int(width.as_tuple().exponent))
    smallest = Decimal(1).scaleb(-places)
    if not isinstance(first, Decimal):  # an Integer stands for all of its tenths
        return (Decimal(first), last + 1 - smallest, width, smallest) if places else (first, last, int(width), 1)
    numbers = (first.quantize(smallest, ROUND_FLOOR), last.quantize(smallest, ROUND_FLOOR), width, smallest)
    return tuple(Quantity(number, low.unit) for number in numbers) if isinstance(low, Quantity) else numbers


def _times_to_cut(low: Temporal, high: Temporal, per: Value) -> tuple[Value, ...] | None:
    per = Quantity(Decimal(1), low.precision) if per is None else per
    precision = calendar_unit(per.unit) if isinstance(per, Quantity) else None
    if precision is None or per.value <= 0:
        return None
    count = PRECISIONS.index("day" if precision == "week" else precision) + 1 - low.first
    if not 1 <= count <= min(len(low.parts), len(high.parts)):
        return None
    first, last = low.with_parts(low.parts[:count]), high.with_parts(high.parts[:count])
    return first, last, per, Quantity(Decimal(1), first.precision)
