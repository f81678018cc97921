"""Reads the JSON of a parameter as a value of its declared type, and writes values as JSON."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.fhir_model import Node, is_resource
from cards.knowledge.elm.limits import Budget, spend, spending
from cards.knowledge.elm.temporal import Temporal, read_temporal
from cards.knowledge.elm.typing_of import local_name, specifier_kind
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
    end,
    plain,
    start,
)


def read_parameter(given: Any, definition: Mapping[str, Any], home: int) -> Value:
    """Return a parameter as a value of the type that the library declares.

    Raises:
        CqlError: the JSON is not of that type.
    """
    specifier = definition.get("parameterTypeSpecifier") or {
        "name": definition.get("parameterType", ""),
    }
    try:
        return _read(given, specifier, home)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
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
        return [_read(part, specifier["elementType"], home) for part in (given if isinstance(given, list) else [given])]
    if kind == "Tuple":
        types = {part["name"]: part.get("elementType") or part.get("type") for part in specifier["element"]}
        return Tuple({name: _read(value, types[name], home) for name, value in given.items()})
    return _read_named(given, local_name(str(specifier.get("name", ""))), home)


def _read_named(given: Any, kind: str, home: int) -> Value:
    if isinstance(given, Mapping) and isinstance(given.get("resourceType"), str):
        return Node(given["resourceType"], given, home)
    if kind in {"Date", "DateTime", "Time"}:
        return _required(read_temporal(given, kind, home))
    if kind == "Quantity":
        return Quantity(Decimal(str(given["value"])), str(given.get("unit") or "1"))
    if kind == "Code":
        return Code(given["code"], given.get("system"), given.get("version"), given.get("display"))
    if kind == "Concept":
        return Concept(tuple(_read_named(code, "Code", home) for code in given["codes"]), given.get("display"))
    if kind == "Decimal":
        return Decimal(str(given))
    if kind == "Long":
        return Long(given)
    if kind in {"Integer", "Boolean", "String"} or not isinstance(given, Mapping):
        if not isinstance(given, {"Integer": int, "Boolean": bool, "String": str}.get(kind, object)):
            raise TypeError(kind)
        return given
    return Node(kind, given, home)


def _required(value: Temporal | None) -> Temporal:
    if value is None:
        raise ValueError
    return value


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
    with spending(Budget()):
        return _json(value)


def _json(value: Value) -> Any:
    spend(1)
    value = plain(value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Temporal):
        return str(value)
    if isinstance(value, list):
        return [_json(part) for part in value]
    if isinstance(value, Tuple):
        return {name: _json(part) for name, part in value.items()}
    return _object(value)


def _object(value: Value) -> Any:
    if isinstance(value, Quantity):
        return {"value": float(value.value), "unit": value.unit}
    if isinstance(value, Interval):
        return _interval_json(value)
    if isinstance(value, Code):
        return {"code": value.code, "system": value.system}
    if isinstance(value, Concept):
        return {"codes": [_json(code) for code in value.codes]}
    if isinstance(value, Ratio):
        return {"numerator": _json(value.numerator), "denominator": _json(value.denominator)}
    if isinstance(value, Vocabulary):
        return {"id": value.id}
    if isinstance(value, Node) and is_resource(value.type):
        return {"resourceType": value.type, "id": value.raw.get("id")}
    return value.raw if isinstance(value, Node) else str(value)


def _interval_json(interval: Interval) -> dict[str, Any]:
    """Write known borders closed: the same points are then the same JSON."""
    low, high = start(interval), end(interval)
    return {
        "low": _json(low if interval.low is not None else None),
        "high": _json(high if interval.high is not None else None),
        "lowClosed": interval.low_closed or interval.low is not None,
        "highClosed": interval.high_closed or interval.high is not None,
    }
