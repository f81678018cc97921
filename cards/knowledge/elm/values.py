"""Holds the values of the language that Python does not have, and compares any two values as CQL does.

Booleans, texts and lists are Python's; an Integer is an `int`, a Decimal a `decimal.Decimal`, null is None.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias

from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.fhir_model import PRIMITIVES, Node
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import Temporal, maximum, minimum
from cards.knowledge.elm.temporal import compare as compare_temporal
from cards.knowledge.elm.temporal import step as step_temporal
from cards.knowledge.elm.units import calendar_unit, conversion, read_unit, ucum_spelling

Value: TypeAlias = Any  # what an expression may give; the language decides at run time what it is

EXACT: Final = Context(
    prec=60
)  # the largest Decimal has 28 digits before and 8 behind the point; a product twice as many
SMALLEST: Final = Decimal("0.00000001")


class Long(int):
    """An integer of 64 bits; the language tells it from an Integer."""

    __slots__ = ()


class Tuple(dict[str, Value]):
    """A tuple: values by name."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Quantity:
    """A decimal with a unit."""

    value: Decimal
    unit: str = "1"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two quantities."""

    numerator: Quantity
    denominator: Quantity


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a code system."""

    code: str | None
    system: str | None = None
    version: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Concept:
    """Codes that mean the same."""

    codes: tuple[Code, ...]
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A value set or a code system by its address."""

    kind: str
    id: str | None
    version: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """Values between two borders; `point` is the type of a border where both may be null."""

    low: Value
    high: Value
    low_closed: bool = True
    high_closed: bool = True
    point: str | None = None


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A whole number that is somewhere from `low` to `high`: the time between two imprecise dates."""

    low: int
    high: int


def type_name(value: Value) -> str | None:
    """Return the System type of a value; None for null."""
    for kind, name in _NAMES:
        if isinstance(value, kind):
            return name
    if isinstance(value, Temporal):
        return value.kind
    if isinstance(value, Vocabulary):
        return value.kind
    return value.type if isinstance(value, Node) else None


_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "Boolean"), (Long, "Long"), (int, "Integer"), (Decimal, "Decimal"), (str, "String"), (Quantity, "Quantity"),
    (Interval, "Interval"), (list, "List"), (Tuple, "Tuple"), (Code, "Code"), (Concept, "Concept"), (Ratio, "Ratio"),
    (Uncertain, "Integer"),
)  # fmt: skip


def plain(value: Value) -> Value:
    """Return what a FHIR primitive holds; another value as it is."""
    return value.property("value") if type(value) is Node and value.type in PRIMITIVES else value


# Smallest and largest values, the next and the previous one


def min_value(kind: str, home: int = 0, like: Value = None) -> Value:
    """Return the smallest value of a type.

    Raises:
        CqlError: the type has none.
    """
    return _extreme(kind, home, like, -1)


def max_value(kind: str, home: int = 0, like: Value = None) -> Value:
    """Return the largest value of a type.

    Raises:
        CqlError: the type has none.
    """
    return _extreme(kind, home, like, 1)


def _extreme(kind: str, home: int, like: Value, sign: int) -> Value:
    if kind == "Integer":
        return 2**31 - 1 if sign > 0 else -(2**31)
    if kind == "Long":
        return Long(2**63 - 1 if sign > 0 else -(2**63))
    if kind == "Decimal":
        return Decimal("99999999999999999999.99999999") * sign
    if kind == "Quantity":
        return Quantity(
            Decimal("99999999999999999999.99999999") * sign, like.unit if isinstance(like, Quantity) else "1"
        )
    if kind in {"Date", "DateTime", "Time"}:
        return maximum(kind, home) if sign > 0 else minimum(kind, home)  # type: ignore[arg-type]
    raise CqlError(f"The type {kind} has no smallest and no largest value.")


def step(value: Value, direction: int) -> Value:
    """Return the successor (1) or the predecessor (-1).

    Raises:
        CqlError: there is none.
    """
    if isinstance(value, Temporal):
        return step_temporal(value, direction)
    if isinstance(value, Quantity):
        return Quantity(step(value.value, direction), value.unit)
    kind = type_name(value)
    if kind not in {"Integer", "Long", "Decimal"}:
        raise CqlError(f"A {kind} has no successor and no predecessor.")
    if value == (max_value(kind) if direction > 0 else min_value(kind)):
        raise CqlError("There is no value beyond the largest or smallest one.")
    moved = value + (SMALLEST if kind == "Decimal" else 1) * direction
    return Long(moved) if kind == "Long" else moved


# Borders of intervals


def point_type(interval: Interval) -> str | None:
    """Return the type of the points of an interval, if it is known."""
    return type_name(interval.low) or type_name(interval.high) or interval.point


def start(interval: Interval) -> Value:
    """Return the first point: null where it is not known."""
    if interval.low is None:
        kind = point_type(interval)
        return min_value(kind, _home(interval), interval.high) if interval.low_closed and kind in _ORDERED else None
    return interval.low if interval.low_closed else step(interval.low, 1)


def end(interval: Interval) -> Value:
    """Return the last point: null where it is not known."""
    if interval.high is None:
        kind = point_type(interval)
        return max_value(kind, _home(interval), interval.low) if interval.high_closed and kind in _ORDERED else None
    return interval.high if interval.high_closed else step(interval.high, -1)


_ORDERED: Final = frozenset({"Integer", "Long", "Decimal", "Quantity", "Date", "DateTime", "Time"})


def _home(interval: Interval) -> int:
    border = interval.low if interval.low is not None else interval.high
    return border.home if isinstance(border, Temporal) else 0


# Order


def compare(left: Value, right: Value, precision: str | None = None) -> int | None:
    """Return -1, 0 or 1; None where null, a precision or different units leave it open.

    Raises:
        CqlError: the two cannot be compared.
    """
    left, right = plain(left), plain(right)
    if left is None or right is None:
        return None
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        return compare_temporal(left, right, precision)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _compare_quantities(left, right)
    if isinstance(left, Uncertain) or isinstance(right, Uncertain):
        return _compare_uncertain(left, right)
    if isinstance(left, Interval) or isinstance(right, Interval):
        return _compare_uncertain(_as_uncertain(left), _as_uncertain(right))
    if _comparable(left, right):
        return int(left > right) - int(left < right)
    raise CqlError(f"A {type_name(left)} cannot be compared with a {type_name(right)}.")


def _comparable(left: Value, right: Value) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str)
    return isinstance(left, int | Decimal) and isinstance(right, int | Decimal)


def _as_uncertain(value: Value) -> Value:
    if not isinstance(value, Interval):
        return value
    low, high = start(value), end(value)
    if isinstance(low, int) and isinstance(high, int):
        return Uncertain(low, high)
    raise CqlError("An interval cannot be ordered.")


def _compare_uncertain(left: Value, right: Value) -> int | None:
    (low, high), (other_low, other_high) = (
        (value.low, value.high) if isinstance(value, Uncertain) else (value, value) for value in (left, right)
    )
    if high < other_low:
        return -1
    if low > other_high:
        return 1
    return 0 if low == high == other_low == other_high else None


def _compare_quantities(left: Quantity, right: Quantity) -> int | None:
    if left.unit == right.unit:
        return (left.value > right.value) - (left.value < right.value)
    if _calendar_edge(left.unit, right.unit) or conversion(left.unit, right.unit) is None:
        return None
    item = read_unit(left.unit).factor * Fraction(left.value)
    other = read_unit(right.unit).factor * Fraction(right.value)
    return (item > other) - (item < other)


def _calendar_edge(item: str, other: str) -> bool:
    """Return whether a calendar year or month meets one of UCUM: they are equivalent, not equal."""
    words = [unit.removesuffix("s") in {"year", "month"} for unit in (item, other)]
    kinds = [calendar_unit(unit) in {"year", "month"} for unit in (item, other)]
    return words[0] != words[1] and any(kinds)


# Equality

_SIMPLE: Final = frozenset({str, int, bool, Decimal})


def equal(left: Value, right: Value) -> bool | None:
    """Return whether two values are equal; None where that is not known."""
    kind = type(left)
    if kind is type(right) and kind in _SIMPLE:
        return bool(left == right)
    left, right = plain(left), plain(right)
    if left is None or right is None:
        return None
    if isinstance(left, Node) or isinstance(right, Node):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return _equal_lists(left, right)
    if isinstance(left, Interval) and isinstance(right, Interval):
        return both(equal(start(left), start(right)), equal(end(left), end(right)))
    if isinstance(left, Tuple) and isinstance(right, Tuple):
        return _equal_tuples(left, right)
    if isinstance(left, Ratio) and isinstance(right, Ratio):
        return both(equal(left.numerator, right.numerator), equal(left.denominator, right.denominator))
    if isinstance(left, Code | Concept | Vocabulary):
        return bool(left == right) if type(left) is type(right) else False
    if isinstance(left, Temporal) and isinstance(right, Temporal) and left.kind != right.kind:
        return None if {left.kind, right.kind} == {"Date", "DateTime"} else False
    return _equal_ordered(left, right)


def _equal_ordered(left: Value, right: Value) -> bool | None:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    try:
        order = compare(left, right)
    except CqlError:
        return False
    return None if order is None else order == 0


def _equal_lists(left: list[Value], right: list[Value]) -> bool | None:
    if len(left) != len(right):
        return False
    spend(len(left))
    result: bool | None = True
    for item, other in zip(left, right, strict=True):
        same = True if item is None and other is None else equal(item, other)
        if same is False:
            return False
        if same is None:
            result = None
    return result


def _equal_tuples(left: Tuple, right: Tuple) -> bool | None:
    if left.keys() != right.keys():
        return False
    for name, item in left.items():
        other = right[name]
        same = True if item is None and other is None else equal(item, other)
        if same is not True:  # the first element that is not equal decides, as the official tests have it
            return same
    return True


def both(left: bool | None, right: bool | None) -> bool | None:
    """Return the three-valued And."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def equivalent(left: Value, right: Value) -> bool:
    """Return whether two values mean the same; always true or false."""
    left, right = plain(left), plain(right)
    if left is None or right is None:
        return left is None and right is None
    if isinstance(left, str) and isinstance(right, str):
        return " ".join(left.lower().split()) == " ".join(right.lower().split())
    if isinstance(left, Code | Concept) and isinstance(right, Code | Concept):
        return _equivalent_codes(left, right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equivalent, left, right))
    if isinstance(left, Tuple) and isinstance(right, Tuple):
        return left.keys() == right.keys() and all(equivalent(left[name], right[name]) for name in left)
    if isinstance(left, Interval) and isinstance(right, Interval):
        return equivalent(start(left), start(right)) and equivalent(end(left), end(right))
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        return left.kind == right.kind and compare_temporal(left, right) == 0
    if isinstance(left, Ratio) and isinstance(right, Ratio):
        return _equivalent_ratios(left, right)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _equivalent_quantities(left, right)
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return _equivalent_decimals(left, right)
    return equal(left, right) is True


def _equivalent_codes(left: Code | Concept, right: Code | Concept) -> bool:
    items = left.codes if isinstance(left, Concept) else (left,)
    others = right.codes if isinstance(right, Concept) else (right,)
    return any(item.code == other.code and item.system == other.system for item in items for other in others)


def _equivalent_quantities(left: Quantity, right: Quantity) -> bool:
    """Compare two quantities; a year is equivalent to 12 months and to 365 days, a month to 30 days."""
    sizes = [{"year": 365, "month": 30}.get(calendar_unit(part.unit) or "") for part in (left, right)]
    if (sizes[0] is None) != (sizes[1] is None):
        left, right = (
            Quantity(part.value * size, "day") if size else part
            for part, size in zip((left, right), sizes, strict=True)
        )
    return (
        equal(Quantity(left.value, ucum_spelling(left.unit)), Quantity(right.value, ucum_spelling(right.unit))) is True
    )


def _equivalent_ratios(left: Ratio, right: Ratio) -> bool:
    """Compare the quotients: 1:100 and 10:1000 are equivalent."""
    numerators, denominators = (
        [read_unit(part.unit).factor * Fraction(part.value) for part in parts]
        for parts in ((left.numerator, right.numerator), (left.denominator, right.denominator))
    )
    same = all(
        conversion(item.unit, other.unit) is not None
        for item, other in ((left.numerator, right.numerator), (left.denominator, right.denominator))
    )
    return same and numerators[0] * denominators[1] == numerators[1] * denominators[0]


def _equivalent_decimals(left: Decimal, right: Decimal) -> bool:
    """Compare at the precision of the less precise one, without its trailing zeros."""
    digits = min(max(-int(value.normalize(EXACT).as_tuple().exponent), 0) for value in (left, right))
    quantum = Decimal(1).scaleb(-digits)
    return left.quantize(quantum, context=EXACT) == right.quantize(quantum, context=EXACT)


# Members of lists


def key(value: Value) -> Hashable | None:
    """Return what equal values share, where hashing can tell them apart; None where each pair must be compared."""
    value = plain(value)
    if isinstance(value, str | bool):
        return (type(value).__name__, value)
    if isinstance(value, int | Decimal):
        return ("number", value)
    if isinstance(value, Node):
        return ("node", hash(value)) if isinstance(value.raw, dict) and "id" in value.raw else None
    return ("code", value.code, value.system) if isinstance(value, Code) else None


def distinct(values: Iterable[Value]) -> list[Value]:
    """Return each value once, at its first place; nulls are one value."""
    collected: list[Value] = []
    by_key: dict[Hashable, list[Value]] = {}
    null = False
    for value in values:
        if value is None:
            if not null:
                collected.append(None)
            null = True
            continue
        same = by_key.setdefault(key(value), [])
        spend(8 * len(same))  # comparing two tuples takes as long as eight steps
        if not any(value is other or equal(value, other) is True for other in same):
            same.append(value)
            collected.append(value)
    return collected


def is_member(value: Value, values: Sequence[Value]) -> bool:
    """Return whether a list has the value; null is a member of a list that has a null."""
    spend(len(values))
    if value is None:
        return any(other is None for other in values)
    return any(other is not None and (other is value or equal(other, value) is True) for other in values)
