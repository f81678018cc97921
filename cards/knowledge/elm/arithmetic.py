"""Computes with numbers and quantities, and over lists of them (CQL Appendix B, sections 4 and 11).

A result that is out of the range of its type is null, as the specification asks; digits are limited, so that no
power is computed that could not be shown.
"""

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, InvalidOperation
from functools import reduce
from typing import Any

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import Temporal
from cards.knowledge.elm.temporal_nodes import moved
from cards.knowledge.elm.types import element_of
from cards.knowledge.elm.units import product
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
    plain,
    point_range,
    step,
    type_name,
)

_MOST_DIGITS = 60
_BEYOND = Decimal(10) ** 28  # a step of a computation may be one more than the largest Decimal


def in_range(value: Value) -> Value:
    """Return the number with at most eight decimals, or null where its type cannot hold it."""
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value) > _BEYOND:
            return None
        exponent = int(value.as_tuple().exponent)
        if exponent < -8:
            value = value.quantize(SMALLEST, context=EXACT)
        return value + 0 if value == 0 else value
    if isinstance(value, Long):
        return value if -(2**63) <= value < 2**63 else None
    return value if -(2**31) <= value < 2**31 else None


def _numbers(left: Value, right: Value) -> tuple[Value, Value]:
    if isinstance(left, Decimal) != isinstance(right, Decimal):
        return Decimal(left), Decimal(right)
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise CqlError(f"A {type_name(value)} is not a number.")
    return left, right


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    def compute(left: Value, right: Value) -> Value:
        left, right = _numbers(left, right)
        result = function(left, right)
        return in_range(Long(result) if isinstance(left, Long) or isinstance(right, Long) else result)

    return compute


_plus = _arithmetic(lambda left, right: EXACT.add(left, right) if isinstance(left, Decimal) else left + right)
_times = _arithmetic(lambda left, right: EXACT.multiply(left, right) if isinstance(left, Decimal) else left * right)


def negated(value: Value) -> Value:
    """Return the value with the other sign; null where its type cannot hold it."""
    if isinstance(value, Quantity):
        return Quantity(-value.value, value.unit)
    if isinstance(value, Uncertain):
        return Uncertain(-value.high, -value.low)
    if isinstance(value, Long):
        return in_range(Long(-value))
    return in_range(EXACT.minus(value) if isinstance(value, Decimal) else -value)


@computes("Add")
def add(left: Value, right: Value) -> Value:
    """Return the sum; of a date and a duration the later date."""
    if isinstance(left, Temporal):
        return moved(left, right, 1)
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
    return moved(left, right, -1) if isinstance(left, Temporal) else add(left, negated(right))


def _quantity(value: Value, unit: str) -> Quantity | None:
    return None if value is None else Quantity(Decimal(value), unit)


@computes("Multiply")
def multiply(left: Value, right: Value) -> Value:
    """Return the product."""
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
def divide(left: Value, right: Value) -> Value:
    """Return the quotient as a Decimal; null for a division by zero."""
    divisor = right.value if isinstance(right, Quantity) else right
    if divisor == 0:
        return None
    if isinstance(left, Quantity):
        if not isinstance(right, Quantity):
            return _quantity(divide(left.value, divisor), left.unit)
        number = in_unit(left, right.unit)
        if number is not None:
            return _quantity(divide(number, divisor), "1")
        return _quantity(divide(left.value, divisor), product(left.unit, right.unit, divided=True))
    return in_range(EXACT.divide(Decimal(left), Decimal(divisor)))


def _whole_quotient(left: Value, right: Value) -> Value:
    if isinstance(left, Decimal):
        return EXACT.divide_int(left, right)
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: Value, right: Value) -> Value:
    if isinstance(left, Decimal):
        return EXACT.remainder(left, right)
    return left - right * _whole_quotient(left, right)


def _truncating(function: Callable[[Value, Value], Value]) -> Callable[[Value, Value], Value]:
    compute = _arithmetic(function)

    def truncate(left: Value, right: Value) -> Value:
        if isinstance(left, Quantity) and isinstance(right, Quantity):
            other = in_unit(right, left.unit)
            return None if not other else _quantity(compute(left.value, other), left.unit)
        return None if right == 0 else compute(left, right)

    return truncate


computes("TruncatedDivide")(_truncating(_whole_quotient))
computes("Modulo")(_truncating(_remainder))


@builds("Negate")
def _negate(compiler: Compiler, node: ElmNode) -> Closure:
    literal = node["operand"]
    if literal.get("type") == "Literal" and str(literal.get("value")) in {str(2**31), str(2**63)}:
        # the smallest Integer is written as the negation of a literal that is one too large
        return compiler.build({**literal, "value": "-" + str(literal["value"])})
    if literal.get("type") == "ToDecimal" and (literal.get("operand") or {}).get("type") == "Literal":
        return compiler.build({"type": "ToDecimal", "operand": {"type": "Negate", "operand": literal["operand"]}})
    operand = compiler.build(literal)
    return lambda frame: None if (value := plain(operand(frame))) is None else negated(value)


@computes("Abs")
def _absolute(value: Value) -> Value:
    return negated(value) if (value.value if isinstance(value, Quantity) else value) < 0 else value


def _integer(value: Value, rounding: str) -> Value:
    return in_range(int(Decimal(value).to_integral_value(rounding)))


computes("Ceiling")(lambda value: _integer(value, ROUND_CEILING))
computes("Floor")(lambda value: _integer(value, ROUND_FLOOR))
computes("Truncate")(lambda value: in_range(int(value)))


@computes("Round", parts=("operand", "precision?"))
def _round(value: Value, digits: int | None) -> Decimal:
    """Return the number rounded as CQL does: halves away from zero."""
    quantum = Decimal(1).scaleb(-max(-28, min(digits or 0, 28)))
    rounded = Decimal(value).quantize(quantum, ROUND_HALF_UP, EXACT)
    return rounded + 0 if rounded == 0 else rounded


@computes("Exp")
def _exp(value: Value) -> Value:
    number = Decimal(value)
    if abs(number) > 64:
        if number < 0:
            return Decimal(0)
        raise CqlError("The result of Exp is larger than a Decimal can be.")
    return in_range(number.exp(EXACT))


@computes("Ln")
def _ln(value: Value) -> Value:
    number = Decimal(value)
    if number == 0:
        raise CqlError("The logarithm of 0 is not defined.")
    return None if number < 0 else in_range(number.ln(EXACT))


@computes("Log")
def _log(value: Value, base: Value) -> Value:
    number, root = Decimal(value), Decimal(base)
    if number <= 0 or root <= 0 or root == 1:
        return None
    return in_range(EXACT.divide(number.ln(EXACT), root.ln(EXACT)))


@computes("Power")
def power(base: Value, exponent: Value) -> Value:
    """Return the power.

    Raises:
        LimitExceeded: it would have more digits than a number can have.
    """
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


computes("Successor")(lambda value: step(value, 1))
computes("Predecessor")(lambda value: step(value, -1))


@builds("MinValue", "MaxValue")
def _extreme(compiler: Compiler, node: ElmNode) -> Closure:
    kind, sign = str(node["valueType"]).rpartition("}")[2], -1 if node["type"] == "MinValue" else 1
    compiler.reads_evaluation()
    return lambda frame: extreme(kind, sign, frame[0].home)


@computes("Precision")
def _precision(value: Value) -> Value:
    if isinstance(value, Temporal):
        return sum(part.isdigit() for part in str(value).partition("+")[0])
    return max(0, -int(Decimal(value).as_tuple().exponent))


def _boundary(value: Value, digits: Value, sign: int) -> Value:
    if value is None:
        return None
    if isinstance(value, Temporal):
        return _temporal_boundary(value, digits, sign)
    number = value.value if isinstance(value, Quantity) else Decimal(value)
    places = 8 if digits is None else int(digits)
    if not 0 <= places <= 8:
        return None
    amount = max(0, -int(number.as_tuple().exponent))
    gap = Decimal(1).scaleb(-amount) - Decimal(1).scaleb(-places) if sign > 0 and places > amount else Decimal(0)
    result = (number + (gap if number >= 0 else -gap)).quantize(Decimal(1).scaleb(-places), context=EXACT)
    return Quantity(result, value.unit) if isinstance(value, Quantity) else result


def _temporal_boundary(value: Temporal, digits: Value, sign: int) -> Value:
    lengths = {"Date": (4, 6, 8), "DateTime": (4, 6, 8, 10, 12, 14, 17), "Time": (2, 4, 6, 9)}[value.kind]
    if digits is not None and digits not in lengths:
        return None
    whole = value.highest() if sign > 0 else value.lowest()
    return whole.with_parts(whole.parts[: len(lengths) if digits is None else lengths.index(digits) + 1])


computes("LowBoundary", nulls=True)(lambda value, digits=None: _boundary(value, digits, -1))
computes("HighBoundary", nulls=True)(lambda value, digits=None: _boundary(value, digits, 1))


# Over lists


def _aggregate(*names: str) -> Callable[[Callable[[list[Value]], Value]], Callable[[list[Value]], Value]]:
    """Register a function of the values of a list that are not null; an empty list gives null."""

    def register(function: Callable[[list[Value]], Value]) -> Callable[[list[Value]], Value]:
        def build(compiler: Compiler, node: ElmNode) -> Closure:
            source, path = compiler.build(node["source"]), node.get("path")

            def aggregate(frame: Frame) -> Value:
                given = source(frame) or ()
                spend(len(given))
                values = [plain(element_of(value, path) if path else value) for value in given]
                values = [value for value in values if value is not None]
                return function(values) if values else None

            return aggregate

        builds(*names)(build)
        return function

    return register


_aggregate("Sum")(lambda values: reduce(add, values))
_aggregate("Product")(lambda values: reduce(multiply, values))


def _chosen(values: list[Value], wanted: int) -> Value:
    return reduce(lambda chosen, value: value if compare(value, chosen) == wanted else chosen, values)


_aggregate("Min")(lambda values: _chosen(values, -1))
_aggregate("Max")(lambda values: _chosen(values, 1))


computes("Count", nulls=True)(lambda values: sum(plain(value) is not None for value in values or ()))
computes("AllTrue", nulls=True)(lambda values: all(plain(value) is not False for value in values or ()))
computes("AnyTrue", nulls=True)(lambda values: any(plain(value) is True for value in values or ()))


def _decimals(values: list[Value]) -> tuple[list[Decimal], str | None]:
    """Return the numbers in the unit of the first quantity."""
    if not isinstance(values[0], Quantity):
        return [Decimal(value) for value in values], None
    unit = values[0].unit
    numbers = [number for value in values if (number := in_unit(value, unit)) is not None]
    if len(numbers) < len(values):
        raise CqlError("Quantities of different dimensions cannot be aggregated.")
    return numbers, unit


def _of_numbers(function: Callable[[list[Decimal]], Decimal | None]) -> Callable[[list[Value]], Value]:
    def compute(values: list[Value]) -> Value:
        numbers, unit = _decimals(values)
        result = function(numbers)
        result = None if result is None else in_range(result)
        return result if unit is None else _quantity(result, unit)

    return compute


def _mean(numbers: list[Decimal]) -> Decimal:
    return EXACT.divide(sum(numbers, Decimal(0)), Decimal(len(numbers)))


def _median(numbers: list[Decimal]) -> Decimal:
    ordered, middle = sorted(numbers), len(numbers) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _variance(numbers: list[Decimal], *, sample: bool) -> Decimal | None:
    if sample and len(numbers) < 2:
        return None
    mean = _mean(numbers)
    squares = sum((EXACT.multiply(number - mean, number - mean) for number in numbers), Decimal(0))
    return EXACT.divide(squares, Decimal(len(numbers) - sample))


def _root(variance: Decimal | None) -> Decimal | None:
    return None if variance is None else variance.sqrt(EXACT)


def _geometric_mean(numbers: list[Decimal]) -> Decimal | None:
    if any(number <= 0 for number in numbers):
        return None
    return _mean([number.ln(EXACT) for number in numbers]).exp(EXACT)


_aggregate("Avg")(_of_numbers(_mean))
_aggregate("Median")(_of_numbers(_median))
_aggregate("Variance")(_of_numbers(lambda numbers: _variance(numbers, sample=True)))
_aggregate("PopulationVariance")(_of_numbers(lambda numbers: _variance(numbers, sample=False)))
_aggregate("StdDev")(_of_numbers(lambda numbers: _root(_variance(numbers, sample=True))))
_aggregate("PopulationStdDev")(_of_numbers(lambda numbers: _root(_variance(numbers, sample=False))))
_aggregate("GeometricMean")(_of_numbers(_geometric_mean))


@_aggregate("Mode")
def _mode(values: list[Value]) -> Value:
    """Return the value that occurs most often; of several the first."""
    candidates = distinct(values)
    spend(len(candidates) * len(values))
    return max(candidates, key=lambda candidate: sum(compare(candidate, value) == 0 for value in values))
