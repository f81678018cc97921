"""Computes with numbers and quantities, and over lists of them (CQL Appendix B, sections 4 and 11).

A result that is out of the range of its type is null, as the specification asks; digits are limited, so that no
power is computed that could not be shown.
"""

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, InvalidOperation
from functools import partial, reduce
from typing import Any, Final

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import Temporal
from cards.knowledge.elm.types import element_of
from cards.knowledge.elm.units import calendar_unit, product
from cards.knowledge.elm.values import (
    EXACT,
    SMALLEST,
    Interval,
    Long,
    Quantity,
    Uncertain,
    Value,
    compare,
    distinct,
    extreme,
    in_unit,
    local_name,
    plain,
    point_range,
    step,
    type_name,
)

_MOST_DIGITS: Final = 60
_BEYOND: Final = Decimal(10) ** 28  # a step of a computation may be one more than the largest Decimal


def in_range(value: Value) -> Value:
    """Return the number with at most eight decimals, or null where its type cannot hold it."""
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value) > _BEYOND:
            return None
        value = value.quantize(SMALLEST, context=EXACT) if int(value.as_tuple().exponent) < -8 else value
        return value + 0 if value == 0 else value
    kind = "Long" if isinstance(value, Long) else "Integer"
    return value if extreme(kind, -1) <= value <= extreme(kind, 1) else None


def _numbers(left: Value, right: Value) -> tuple[Value, Value]:
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise CqlError(f"A {type_name(value)} is not a number.")
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return Decimal(left), Decimal(right)
    return left, right


def _arithmetic(
    of_decimals: Callable[[Any, Any], Value], of_integers: Callable[[Any, Any], int]
) -> Callable[[Value, Value], Value]:
    def compute(left: Value, right: Value) -> Value:
        left, right = _numbers(left, right)
        result = (of_decimals if isinstance(left, Decimal) else of_integers)(left, right)
        return in_range(Long(result) if isinstance(left, Long) or isinstance(right, Long) else result)

    return compute


def _whole_quotient(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_plus = _arithmetic(EXACT.add, lambda left, right: left + right)
_times = _arithmetic(EXACT.multiply, lambda left, right: left * right)
_truncated_quotient = _arithmetic(EXACT.divide_int, _whole_quotient)
_remainder = _arithmetic(EXACT.remainder, lambda left, right: left - right * _whole_quotient(left, right))


def _quantity(value: Value, unit: str) -> Quantity | None:
    return None if value is None else Quantity(Decimal(value), unit)


def _negated(value: Value) -> Value:
    if isinstance(value, Quantity):
        return Quantity(-value.value, value.unit)
    if isinstance(value, Uncertain):
        return Uncertain(-value.high, -value.low)
    negative = EXACT.minus(value) if isinstance(value, Decimal) else -value
    return in_range(Long(negative) if isinstance(value, Long) else negative)


def _moved(value: Temporal, amount: Value, sign: int) -> Temporal:
    """Return the date so much later (sign 1) or earlier (-1)."""
    unit = calendar_unit(amount.unit) if isinstance(amount, Quantity) else None
    if unit is None:
        raise CqlError("Only a duration can be added to a date or time.")
    count = amount.value * sign
    if unit == "second" and count != int(count):
        unit, count = "millisecond", count * 1000
    if abs(count) > 10**15:
        raise CqlError("A duration is too long.")
    return value.plus(int(count), unit)


@computes("Add")
def add(left: Value, right: Value) -> Value:
    """Return the sum; of a date and a duration the later date."""
    if isinstance(left, Temporal):
        return _moved(left, right, 1)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        other = in_unit(right, left.unit)
        return None if other is None else _quantity(_plus(left.value, other), left.unit)
    if isinstance(left, Uncertain) or isinstance(right, Uncertain):
        (low, high), (other_low, other_high) = point_range(left), point_range(right)
        return Uncertain(low + other_low, high + other_high)
    if isinstance(left, Interval) and isinstance(right, Interval):
        return Interval(add(left.low, right.low), add(left.high, right.high))
    return _plus(left, right)


@computes("Subtract")
def subtract(left: Value, right: Value) -> Value:
    """Return the difference; of a date and a duration the earlier date."""
    return _moved(left, right, -1) if isinstance(left, Temporal) else add(left, _negated(right))


@computes("Multiply")
def _multiply(left: Value, right: Value) -> Value:
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _quantity(_times(left.value, right.value), product(left.unit, right.unit))
    for item, other in ((left, right), (right, left)):
        if isinstance(item, Quantity):
            return _quantity(_times(item.value, Decimal(other)), item.unit)
        if isinstance(item, Uncertain):
            products = [a * b for a in point_range(item) for b in point_range(other)]
            return Uncertain(min(products), max(products))
    return _times(left, right)


@computes("Divide")
def _divide(left: Value, right: Value) -> Value:
    """Return the quotient as a Decimal; null for a division by zero."""
    number, divisor = (value.value if isinstance(value, Quantity) else value for value in (left, right))
    if divisor == 0:
        return None
    unit = left.unit if isinstance(left, Quantity) else None
    if unit is not None and isinstance(right, Quantity):
        same = in_unit(left, right.unit)
        number, unit = (number, product(unit, right.unit, divided=True)) if same is None else (same, "1")
    quotient = in_range(EXACT.divide(Decimal(number), Decimal(divisor)))
    return quotient if unit is None else _quantity(quotient, unit)


def _truncating(compute: Callable[[Value, Value], Value], left: Value, right: Value) -> Value:
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        other = in_unit(right, left.unit)
        return None if not other else _quantity(compute(left.value, other), left.unit)
    return None if right == 0 else compute(left, right)


computes("TruncatedDivide")(partial(_truncating, _truncated_quotient))
computes("Modulo")(partial(_truncating, _remainder))


@builds("Negate")
def _negate(body: Body, node: ElmNode) -> Closure:
    literal = node["operand"]
    if literal.get("type") == "Literal" and str(literal.get("value")) in {str(2**31), str(2**63)}:
        # the smallest Integer is written as the negation of a literal that is one too large
        return body.build({**literal, "value": "-" + str(literal["value"])})
    if literal.get("type") == "ToDecimal" and (literal.get("operand") or {}).get("type") == "Literal":
        return body.build({"type": "ToDecimal", "operand": {"type": "Negate", "operand": literal["operand"]}})
    operand = body.build(literal)
    return lambda frame: None if (value := plain(operand(frame))) is None else _negated(value)


computes("Abs")(lambda value: _negated(value) if (value.value if isinstance(value, Quantity) else value) < 0 else value)
computes("Ceiling")(lambda value: in_range(int(Decimal(value).to_integral_value(ROUND_CEILING))))
computes("Floor")(lambda value: in_range(int(Decimal(value).to_integral_value(ROUND_FLOOR))))
computes("Truncate")(lambda value: in_range(int(value)))
computes("Successor")(lambda value: step(value, 1))
computes("Predecessor")(lambda value: step(value, -1))


@computes("Round", parts=("operand", "precision?"))
def _round(value: Value, digits: int | None) -> Decimal:
    """Return the number rounded as CQL does: halves away from zero."""
    quantum = Decimal(1).scaleb(-max(-28, min(digits or 0, 28)))
    rounded = Decimal(value).quantize(quantum, ROUND_HALF_UP, EXACT)
    return rounded + 0 if rounded == 0 else rounded


@computes("Exp")
def _exp(value: Value) -> Value:
    number = Decimal(value)
    if number > 64:
        raise CqlError("The result of Exp is larger than a Decimal can be.")
    return Decimal(0) if number < -64 else in_range(number.exp(EXACT))


@computes("Ln")
def _ln(value: Value) -> Value:
    if value == 0:
        raise CqlError("The logarithm of 0 is not defined.")
    return None if value < 0 else in_range(Decimal(value).ln(EXACT))


@computes("Log")
def _log(value: Value, base: Value) -> Value:
    if value <= 0 or base <= 0 or base == 1:
        return None
    return in_range(EXACT.divide(Decimal(value).ln(EXACT), Decimal(base).ln(EXACT)))


@computes("Power")
def power(base: Value, exponent: Value) -> Value:
    """Return the power; LimitExceeded where it would have more digits than a number can have."""
    base, exponent = _numbers(base, exponent)
    digits = abs(float(exponent)) * abs(math.log10(abs(float(base)))) if base else 0.0
    if digits > _MOST_DIGITS:
        if (abs(base) > 1) != (exponent > 0):
            return Decimal(0)
        raise LimitExceeded(f"A power would have more than {_MOST_DIGITS} digits.")
    if isinstance(base, Decimal) or exponent < 0:
        try:
            return in_range(EXACT.power(Decimal(base), Decimal(exponent)))
        except (InvalidOperation, ZeroDivisionError):
            return None
    result = int(base) ** int(exponent)
    return in_range(Long(result) if isinstance(base, Long) or isinstance(exponent, Long) else result)


@builds("MinValue", "MaxValue")
def _extreme(body: Body, node: ElmNode) -> Closure:
    kind, sign = local_name(str(node["valueType"])), -1 if node["type"] == "MinValue" else 1
    body.is_fixed = False
    return lambda frame: extreme(kind, sign, frame[0].home)


# Precision

_LENGTHS: Final = {"Date": (4, 6, 8), "DateTime": (4, 6, 8, 10, 12, 14, 17), "Time": (2, 4, 6, 9)}


def _decimals(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


@computes("Precision")
def _precision(value: Value) -> Value:
    return _LENGTHS[value.kind][len(value.parts) - 1] if isinstance(value, Temporal) else _decimals(Decimal(value))


def _boundary(sign: int, value: Value, digits: Value = None) -> Value:
    if value is None:
        return None
    if isinstance(value, Temporal):
        lengths = _LENGTHS[value.kind]
        whole = value.highest() if sign > 0 else value.lowest()
        count = len(lengths) if digits is None else lengths.index(digits) + 1 if digits in lengths else 0
        return whole.with_parts(whole.parts[:count]) if count else None
    number = value.value if isinstance(value, Quantity) else Decimal(value)
    places, amount = int(8 if digits is None else digits), _decimals(number)
    if not 0 <= places <= 8:
        return None
    gap = Decimal(1).scaleb(-amount) - Decimal(1).scaleb(-places) if sign > 0 and places > amount else Decimal(0)
    result = (number + (gap if number >= 0 else -gap)).quantize(Decimal(1).scaleb(-places), context=EXACT)
    return Quantity(result, value.unit) if isinstance(value, Quantity) else result


computes("LowBoundary", nulls=True)(partial(_boundary, -1))
computes("HighBoundary", nulls=True)(partial(_boundary, 1))


# Over lists


def _aggregates(name: str, function: Callable[[list[Value]], Value]) -> None:
    """Register a function of the values of a list that are not null; an empty list gives null."""

    def build(body: Body, node: ElmNode) -> Closure:
        source, path = body.build(node["source"]), node.get("path")

        def aggregate(frame: Frame) -> Value:
            given = source(frame) or ()
            spend(len(given))
            values = [plain(element_of(value, path) if path else value) for value in given]
            values = [value for value in values if value is not None]
            return function(values) if values else None

        return aggregate

    builds(name)(build)


def _aggregates_numbers(name: str, function: Callable[[list[Decimal]], Decimal | None]) -> None:
    """Register a function of the numbers of a list, quantities being in the unit of the first one."""

    def compute(values: list[Value]) -> Value:
        unit = values[0].unit if isinstance(values[0], Quantity) else None
        numbers = [Decimal(value) if unit is None else in_unit(value, unit) for value in values]
        if None in numbers:
            raise CqlError("Quantities of different dimensions cannot be aggregated.")
        result = function([number for number in numbers if number is not None])
        result = None if result is None else in_range(result)
        return result if unit is None else _quantity(result, unit)

    _aggregates(name, compute)


def _foremost(sign: int, values: list[Value]) -> Value:
    return reduce(lambda chosen, value: value if compare(value, chosen) == sign else chosen, values)


def _mode(values: list[Value]) -> Value:
    """Return the value that occurs most often; of several the first."""
    candidates = distinct(values)
    spend(len(candidates) * len(values))
    return max(candidates, key=lambda candidate: sum(compare(candidate, value) == 0 for value in values))


def _mean(numbers: list[Decimal]) -> Decimal:
    return EXACT.divide(sum(numbers, Decimal(0)), Decimal(len(numbers)))


def _median(numbers: list[Decimal]) -> Decimal:
    ordered, middle = sorted(numbers), len(numbers) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _variance(less: int, numbers: list[Decimal]) -> Decimal | None:
    """Return the variance of a population (`less` 0) or of a sample of one (1)."""
    mean = _mean(numbers)
    squares = sum((EXACT.multiply(number - mean, number - mean) for number in numbers), Decimal(0))
    return EXACT.divide(squares, Decimal(len(numbers) - less)) if len(numbers) > less else None


def _deviation(less: int, numbers: list[Decimal]) -> Decimal | None:
    variance = _variance(less, numbers)
    return None if variance is None else variance.sqrt(EXACT)


def _geometric_mean(numbers: list[Decimal]) -> Decimal | None:
    return _mean([number.ln(EXACT) for number in numbers]).exp(EXACT) if min(numbers) > 0 else None


_aggregates("Sum", partial(reduce, add))
_aggregates("Product", partial(reduce, _multiply))
_aggregates("Min", partial(_foremost, -1))
_aggregates("Max", partial(_foremost, 1))
_aggregates("Mode", _mode)
_aggregates_numbers("Avg", _mean)
_aggregates_numbers("Median", _median)
_aggregates_numbers("Variance", partial(_variance, 1))
_aggregates_numbers("PopulationVariance", partial(_variance, 0))
_aggregates_numbers("StdDev", partial(_deviation, 1))
_aggregates_numbers("PopulationStdDev", partial(_deviation, 0))
_aggregates_numbers("GeometricMean", _geometric_mean)
computes("Count", nulls=True)(lambda values: sum(plain(value) is not None for value in values or ()))
computes("AllTrue", nulls=True)(lambda values: all(plain(value) is not False for value in values or ()))
computes("AnyTrue", nulls=True)(lambda values: any(plain(value) is True for value in values or ()))
