"""Holds the values of the language that Python does not have, tells their types, and compares any two as CQL does.

Booleans, texts and lists are Python's; an Integer is an `int`, a Decimal a `decimal.Decimal`, null is None.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias

from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.fhir_model import Node, Primitive, is_a
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import Temporal
from cards.knowledge.elm.units import calendar_unit, conversion, read_unit, ucum_spelling

Value: TypeAlias = Any  # what an expression may give; the language decides at run time what it is

# the largest Decimal has 28 digits before and 8 behind the point; a product twice as many
EXACT: Final = Context(prec=60)
SMALLEST: Final = Decimal("0.00000001")
SYSTEM: Final = "{urn:hl7-org:elm-types:r1}"


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


class Uncertain(Interval):
    """A whole number that is somewhere from `low` to `high`: the time between two imprecise dates."""

    __slots__ = ()


def in_unit(quantity: Quantity, unit: str) -> Decimal | None:
    """Return the number of a quantity in another unit; None where that does not measure the same."""
    factor = conversion(quantity.unit, unit)
    if factor is None:
        return None
    return EXACT.divide(EXACT.multiply(quantity.value, Decimal(factor.numerator)), Decimal(factor.denominator))


def plain(value: Value) -> Value:
    """Return what a FHIR primitive holds; another value as it is."""
    return value.property("value") if type(value) is Primitive else value


def as_list(value: Value) -> list[Value]:
    """Return a list as it is, null as an empty one and another value as a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


# Types

_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "Boolean"), (Long, "Long"), (int, "Integer"), (Decimal, "Decimal"), (str, "String"), (Quantity, "Quantity"),
    (Uncertain, "Integer"), (Interval, "Interval"), (list, "List"), (Tuple, "Tuple"), (Code, "Code"),
    (Concept, "Concept"), (Ratio, "Ratio"),
)  # fmt: skip


def type_name(value: Value) -> str | None:
    """Return the System type of a value, the FHIR type of a node; None for null."""
    if isinstance(value, Temporal | Vocabulary):
        return value.kind
    if isinstance(value, Node):
        return value.type
    return next((name for kind, name in _NAMES if isinstance(value, kind)), None)


def point_type(interval: Interval) -> str | None:
    """Return the type of the points of an interval, if it is known."""
    return type_name(interval.low) or type_name(interval.high) or interval.point


def local_name(name: str) -> str:
    """Return a qualified name without its model."""
    return name.rpartition("}")[2]


def specifier_kind(specifier: Mapping[str, Any]) -> str:
    """Return which kind of type a specifier means; some translators write its `type` as something else."""
    for part, kind in (("choice", "Choice"), ("elementType", "List"), ("pointType", "Interval"), ("element", "Tuple")):
        if part in specifier:
            return kind
    return "Named"


def matcher(specifier: Mapping[str, Any]) -> Callable[[Value], bool]:
    """Return a function that says whether a value, which is not null, is of the type."""
    kind = specifier_kind(specifier)
    if kind == "List":
        element = matcher(specifier["elementType"])
        return lambda value: isinstance(value, list) and all(part is None or element(part) for part in value)
    if kind == "Interval":
        point = local_name(str(specifier["pointType"].get("name", "Any")))
        return lambda value: type(value) is Interval and (point == "Any" or point_type(value) in {None, point})
    if kind == "Choice":
        choices = list(map(matcher, specifier["choice"]))
        return lambda value: any(choice(value) for choice in choices)
    if kind == "Tuple":
        names = frozenset(element["name"] for element in specifier["element"])
        return lambda value: isinstance(value, Tuple) and value.keys() <= names
    name, local = str(specifier["name"]), local_name(str(specifier["name"]))
    if not name.startswith(SYSTEM):
        return lambda value: isinstance(value, Node) and is_a(value.type, local)
    kinds = {"ValueSet", "CodeSystem"} if local == "Vocabulary" else {local}
    return lambda value: local == "Any" or (not isinstance(value, Node) and type_name(value) in kinds)


def specifier_key(specifier: Mapping[str, Any]) -> Hashable:
    """Return what two specifiers of the same type share."""
    kind = specifier_kind(specifier)
    if kind == "Named":
        return local_name(str(specifier["name"])), str(specifier["name"]).startswith(SYSTEM)
    if kind == "Choice":
        return kind, frozenset(map(specifier_key, specifier["choice"]))
    if kind == "Tuple":
        types = {part["name"]: part.get("elementType") or part["type"] for part in specifier["element"]}
        return kind, frozenset((name, specifier_key(type_)) for name, type_ in types.items())
    return kind, specifier_key(specifier.get("elementType") or specifier["pointType"])


# Smallest and largest values, the next and the previous one; borders of intervals

_LARGEST: Final = Decimal("99999999999999999999.99999999")
_BITS: Final = {"Integer": 31, "Long": 63}
_ORDERED: Final = frozenset({"Integer", "Long", "Decimal", "Quantity", "Date", "DateTime", "Time"})


def extreme(kind: str | None, sign: int, home: int = 0, unit: str = "1") -> Value:
    """Return the largest (1) or the smallest (-1) value of a type; CqlError where it has none."""
    if kind in _BITS:
        number = 2 ** _BITS[kind] - 1 if sign > 0 else -(2 ** _BITS[kind])
        return number if kind == "Integer" else Long(number)
    if kind in {"Decimal", "Quantity"}:
        return _LARGEST * sign if kind == "Decimal" else Quantity(_LARGEST * sign, unit)
    if kind not in _ORDERED:
        raise CqlError(f"The type {kind} has no smallest and no largest value.")
    nothing_given = Temporal(str(kind), (), home, home)
    return nothing_given.highest() if sign > 0 else nothing_given.lowest()


def step(value: Value, sign: int, precision: str | None = None) -> Value:
    """Return the successor (1) or the predecessor (-1), of a date or time at a precision; CqlError where none is."""
    if isinstance(value, Temporal):
        return value.plus(sign, precision or value.precision)
    if isinstance(value, Quantity):
        return Quantity(step(value.value, sign), value.unit)
    kind = type_name(value)
    if kind not in {"Integer", "Long", "Decimal"} or value == extreme(kind, sign):
        raise CqlError(f"This {kind} has no {'successor' if sign > 0 else 'predecessor'}.")
    moved = value + (SMALLEST if kind == "Decimal" else 1) * sign
    return Long(moved) if kind == "Long" else moved


def start(interval: Interval) -> Value:
    """Return the first point: null where it is not known."""
    return _border(interval, interval.low, interval.high, interval.low_closed, -1)


def end(interval: Interval) -> Value:
    """Return the last point: null where it is not known."""
    return _border(interval, interval.high, interval.low, interval.high_closed, 1)


def _border(interval: Interval, value: Value, other: Value, closed: bool, sign: int) -> Value:
    if value is not None:
        return value if closed else step(value, -sign)
    kind = point_type(interval)
    if not closed or kind not in _ORDERED:
        return None
    return extreme(kind, sign, getattr(other, "home", 0), getattr(other, "unit", "1"))


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
        return left.compare(right, precision)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _compare_quantities(left, right)
    if isinstance(left, Interval) or isinstance(right, Interval):
        (low, high), (other_low, other_high) = point_range(left), point_range(right)
        if low == high == other_low == other_high:
            return 0
        return -1 if high < other_low else 1 if low > other_high else None
    if any(isinstance(left, kind) and isinstance(right, kind) for kind in (str, int | Decimal)):
        return int(left > right) - int(left < right)
    raise CqlError(f"A {type_name(left)} cannot be compared with a {type_name(right)}.")


def point_range(value: Value) -> tuple[int, int]:
    """Return from where to where a number is that may be uncertain."""
    low, high = (start(value), end(value)) if isinstance(value, Interval) else (value, value)
    if not isinstance(low, int) or not isinstance(high, int):
        raise CqlError("An interval cannot be ordered.")
    return low, high


def _compare_quantities(left: Quantity, right: Quantity) -> int | None:
    item, other = left.value, right.value
    if left.unit != right.unit:
        if _calendar_edge(left.unit, right.unit) or conversion(left.unit, right.unit) is None:
            return None
        item, other = _in_base_units(left), _in_base_units(right)
    return (item > other) - (item < other)


def _in_base_units(quantity: Quantity) -> Any:
    return read_unit(quantity.unit).factor * Fraction(quantity.value)


def _calendar_edge(item: str, other: str) -> bool:
    """Return whether a calendar year or month meets one of UCUM: they are equivalent, not equal."""
    words = [unit.removesuffix("s") in {"year", "month"} for unit in (item, other)]
    return words[0] != words[1] and any(calendar_unit(unit) in {"year", "month"} for unit in (item, other))


# Three-valued logic


def negated_truth(value: bool | None) -> bool | None:
    """Return the three-valued Not."""
    return None if value is None else not value


def both(*values: bool | None) -> bool | None:
    """Return the three-valued And."""
    return False if False in values else None if None in values else True


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
    if isinstance(left, Node | Code | Concept | Vocabulary) or isinstance(right, Node):
        return bool(left == right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Tuple) and isinstance(right, Tuple):
        spend(len(left))
        compared = (_equal_parts(item, right.get(name)) for name, item in left.items())
        # the first element that is not equal decides, as the official tests have it
        return left.keys() == right.keys() and next((same for same in compared if same is not True), True)
    if isinstance(left, list) and isinstance(right, list):
        spend(len(left))
        return both(*map(_equal_parts, left, right)) if len(left) == len(right) else False
    if type(left) is type(right) and isinstance(left, Interval | Ratio) and not isinstance(left, Uncertain):
        spend(2)
        return both(*map(equal, _borders(left), _borders(right)))
    if isinstance(left, Temporal) and isinstance(right, Temporal) and left.kind != right.kind:
        return None if "Time" not in {left.kind, right.kind} else False
    try:
        order = compare(left, right)
    except CqlError:
        return False
    return None if order is None else order == 0


def _equal_parts(item: Value, other: Value) -> bool | None:
    return True if item is None and other is None else equal(item, other)


def _borders(value: Interval | Ratio) -> tuple[Value, Value]:
    return (value.numerator, value.denominator) if isinstance(value, Ratio) else (start(value), end(value))


def equivalent(left: Value, right: Value) -> bool:
    """Return whether two values mean the same; always true or false."""
    left, right = plain(left), plain(right)
    if left is None or right is None:
        return left is None and right is None
    if isinstance(left, Code | Concept) and isinstance(right, Code | Concept):
        codes = {(code.code, code.system) for code in _codes(left)}
        return any((code.code, code.system) in codes for code in _codes(right))
    for kind, compared in _EQUIVALENT:
        if isinstance(left, kind) and isinstance(right, kind):
            return compared(left, right)
    return equal(left, right) is True


def _codes(value: Code | Concept) -> tuple[Code, ...]:
    return value.codes if isinstance(value, Concept) else (value,)


def _equivalent_lists(left: Sequence[Value], right: Sequence[Value]) -> bool:
    spend(len(left))
    return len(left) == len(right) and all(map(equivalent, left, right))


def _equivalent_tuples(left: Tuple, right: Tuple) -> bool:
    spend(len(left))
    return left.keys() == right.keys() and all(equivalent(left[name], right[name]) for name in left)


def _equivalent_quantities(left: Quantity, right: Quantity) -> bool:
    """Compare two quantities; a year is equivalent to 12 months and to 365 days, a month to 30 days."""
    days = [{"year": 365, "month": 30}.get(calendar_unit(part.unit) or "") for part in (left, right)]
    parts = [Quantity(part.value, ucum_spelling(part.unit)) for part in (left, right)]
    if (days[0] is None) != (days[1] is None):
        parts = [Quantity(part.value * size, "d") if size else part for part, size in zip(parts, days, strict=True)]
    return equal(*parts) is True


def _equivalent_ratios(left: Ratio, right: Ratio) -> bool:
    """Compare the quotients: 1:100 and 10:1000 are equivalent."""
    if None in (conversion(part.unit, other.unit) for part, other in zip(_borders(left), _borders(right), strict=True)):
        return False
    top, bottom, other_top, other_bottom = map(_in_base_units, (*_borders(left), *_borders(right)))
    return bool(top * other_bottom == other_top * bottom)


def _equivalent_decimals(left: Decimal, right: Decimal) -> bool:
    """Compare at the precision of the less precise one, without its trailing zeros."""
    digits = min(max(-int(value.normalize(EXACT).as_tuple().exponent), 0) for value in (left, right))
    quantum = Decimal(1).scaleb(-digits)
    return left.quantize(quantum, context=EXACT) == right.quantize(quantum, context=EXACT)


_EQUIVALENT: Final[tuple[tuple[type, Callable[[Any, Any], bool]], ...]] = (
    (str, lambda left, right: left.lower().split() == right.lower().split()),
    (list, _equivalent_lists),
    (Tuple, _equivalent_tuples),
    (Interval, lambda left, right: _equivalent_lists(_borders(left), _borders(right))),
    (Temporal, lambda left, right: left.kind == right.kind and left.compare(right) == 0),
    (Quantity, _equivalent_quantities),
    (Ratio, _equivalent_ratios),
    (Decimal, _equivalent_decimals),
)


# Members of lists


def key(value: Value) -> Hashable | None:
    """Return what equal values share, where hashing can tell them apart; None where each pair must be compared."""
    value = plain(value)
    if isinstance(value, str | bool | int | Decimal):
        return (type(value).__name__ if isinstance(value, str | bool) else "number", value)
    if isinstance(value, Node):
        return ("node", hash(value)) if isinstance(value.raw, dict) and "id" in value.raw else None
    return ("code", value.code, value.system) if isinstance(value, Code) else None


def distinct(values: Iterable[Value]) -> list[Value]:
    """Return each value once, at its first place; nulls are one value."""
    collected: list[Value] = []
    by_key: dict[Hashable, list[Value]] = {}
    for value in values:
        same = by_key.setdefault("null" if value is None else key(value), [])
        spend(8 * len(same))  # comparing two tuples takes as long as eight steps
        if not any(value is other or equal(value, other) is True for other in same):
            same.append(value)
            collected.append(value)
    return collected


def is_member(value: Value, values: Sequence[Value]) -> bool:
    """Return whether a list has the value; null is a member of a list that has a null."""
    spend(len(values))
    return any(other is value or equal(other, value) is True for other in values)
