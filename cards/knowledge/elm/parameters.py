"""Reads the JSON of a parameter as a value of its declared type, and writes values as JSON."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.fhir_model import Node, is_resource
from cards.knowledge.elm.limits import Budget, spend
from cards.knowledge.elm.temporal import Temporal, read_temporal
from cards.knowledge.elm.types import INSTANCES
from cards.knowledge.elm.values import (
    Code,
    Concept,
    Interval,
    Long,
    Quantity,
    Ratio,
    Tuple,
    Value,
    Vocabulary,
    as_list,
    end,
    local_name,
    plain,
    specifier_kind,
    start,
)


def read_parameter(given: Any, definition: Mapping[str, Any], home: int) -> Value:
    """Return a parameter as a value of the type that the library declares; CqlError where the JSON is not of it."""
    specifier = definition.get("parameterTypeSpecifier") or {"name": definition.get("parameterType", "")}
    try:
        return _read(given, specifier, home)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise CqlError(
            f"The parameter {definition.get('name')!r} is not of the type that the library declares."
        ) from error


def _read(given: Any, specifier: Mapping[str, Any], home: int) -> Value:
    kind = specifier_kind(specifier)
    if given is None:
        return None
    if kind == "Interval":
        return _read_interval(given, specifier["pointType"], home)
    if kind == "List":
        return [_read(part, specifier["elementType"], home) for part in as_list(given)]
    if kind == "Tuple":
        types = {part["name"]: part.get("elementType") or part.get("type") for part in specifier["element"]}
        return Tuple({name: _read(value, types[name], home) for name, value in given.items()})
    return _read_named(given, local_name(str(specifier.get("name", ""))), home)


_READERS: Final[Mapping[str, Callable[[Any], Value]]] = {
    **INSTANCES, "Decimal": lambda given: Decimal(str(given)), "Long": Long,
}  # fmt: skip
_JSON_TYPES: Final = {"Integer": int, "Boolean": bool, "String": str}


def _read_named(given: Any, kind: str, home: int) -> Value:
    if isinstance(given, Mapping) and isinstance(given.get("resourceType"), str):
        return Node(given["resourceType"], given, home)
    if kind in {"Date", "DateTime", "Time"}:
        value = read_temporal(given, kind, home)
        if value is None:
            raise ValueError(kind)
        return value
    if kind in _READERS:
        return _READERS[kind](given)
    if not isinstance(given, _JSON_TYPES.get(kind, object)):
        raise TypeError(kind)
    return Node(kind, given, home) if isinstance(given, Mapping) else given


def _read_interval(given: Mapping[str, Any], point: Mapping[str, Any], home: int) -> Interval:
    low = _read(given.get("low", given.get("start")), point, home)
    high = _read(given.get("high", given.get("end")), point, home)
    low_closed, high_closed = given.get("lowClosed", True), given.get("highClosed", True)
    if isinstance(low, Temporal) and low_closed:
        low = low.lowest()  # a period from one date to another holds both whole days
    if isinstance(high, Temporal):
        high = high.highest() if high_closed else high.lowest()
    return Interval(low, high, bool(low_closed), bool(high_closed), local_name(str(point.get("name", ""))) or None)


def as_json(value: Value) -> Any:
    """Return a value as JSON: dates as ISO text, quantities, intervals, codes and tuples as objects.

    Raises:
        LimitExceeded: it has too many parts; a list that stands in another twice is written twice.
    """
    with Budget():
        return _json(value)


def _json(value: Value) -> Any:
    spend(1)
    value = plain(value)
    if value is None or isinstance(value, bool | str):
        return value
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    return str(value)


def _interval_json(interval: Interval) -> dict[str, Any]:
    """Write known borders closed: the same points are then the same JSON."""
    return {
        "low": None if interval.low is None else _json(start(interval)),
        "high": None if interval.high is None else _json(end(interval)),
        "lowClosed": interval.low_closed or interval.low is not None,
        "highClosed": interval.high_closed or interval.high is not None,
    }


def _node_json(node: Node) -> Any:
    return {"resourceType": node.type, "id": node.raw.get("id")} if is_resource(node.type) else node.raw


_WRITERS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (int, int),
    (Decimal, float),
    (list, lambda values: [_json(part) for part in values]),
    (Tuple, lambda values: {name: _json(part) for name, part in values.items()}),
    (Quantity, lambda quantity: {"value": float(quantity.value), "unit": quantity.unit}),
    (Interval, _interval_json),
    (Code, lambda code: {"code": code.code, "system": code.system}),
    (Concept, lambda concept: {"codes": [_json(code) for code in concept.codes]}),
    (Ratio, lambda ratio: {"numerator": _json(ratio.numerator), "denominator": _json(ratio.denominator)}),
    (Vocabulary, lambda vocabulary: {"id": vocabulary.id}),
    (Node, _node_json),
)
