"""Compiles literals, types, conversions and the elements of values (CQL Appendix B, sections 1, 3 and 12)."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, builds, computes, constant
from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.fhir_model import PRIMITIVES, Node, Primitive, elements, is_resource
from cards.knowledge.elm.temporal import Temporal, read_temporal
from cards.knowledge.elm.units import conversion
from cards.knowledge.elm.values import (
    EXACT,
    SMALLEST,
    SYSTEM,
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
    extreme,
    in_unit,
    local_name,
    matcher,
    plain,
    specifier_kind,
    type_name,
)

_DECIMAL: Final = re.compile(r"[+-]?\d{1,28}(\.\d{1,8})?")
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}")
_QUANTITY: Final = re.compile(r"\s*([+-]?\d{1,28}(?:\.\d{1,28})?)\s*(?:'([^']*)'|([a-z]+))?\s*")


@builds("Literal")
def _literal(_body: Body, node: ElmNode) -> Closure:
    kind, text = local_name(str(node["valueType"])), str(node.get("value", ""))
    value = text if kind == "String" else _CONVERSIONS[kind](text)
    if value is not None:
        return constant(value)

    def refuse(_frame: Frame) -> Value:
        raise CqlError(f"The literal {text} is not a {kind}.")

    return refuse


@builds("Quantity")
def _quantity(_body: Body, node: ElmNode) -> Closure:
    return constant(None if node.get("value") is None else stated_quantity(node))


@builds("Ratio")
def _ratio(_body: Body, node: ElmNode) -> Closure:
    return constant(Ratio(stated_quantity(node["numerator"]), stated_quantity(node["denominator"])))


def stated_quantity(node: ElmNode) -> Quantity:
    """Return the quantity that JSON holds as `value` and `unit`."""
    return Quantity(Decimal(str(node["value"])), str(node.get("unit") or "1"))


@builds("Tuple", "Instance")
def _instance(body: Body, node: ElmNode) -> Closure:
    closures = {element["name"]: body.build(element["value"]) for element in node.get("element", ())}
    kind = str(node.get("classType", SYSTEM + "Tuple"))
    local, make = local_name(kind), INSTANCES.get(local_name(kind))
    if kind.startswith(SYSTEM) and make is None:
        raise NotSupported(f"Instances of {local} are not supported.")
    body.is_fixed = body.is_fixed and kind.startswith(SYSTEM)

    def construct(frame: Frame) -> Value:
        values = {name: closure(frame) for name, closure in closures.items()}
        return make(values) if make and kind.startswith(SYSTEM) else _fhir_instance(local, values, frame[0].home)

    return construct


def _coded(values: Value) -> Code:
    names = ("code", "system", "version", "display")
    return values if isinstance(values, Code) else Code(*(values.get(name) for name in names))


def _vocabulary(kind: str) -> Callable[[dict[str, Value]], Vocabulary]:
    return lambda values: Vocabulary(kind, values.get("id"), values.get("version"), values.get("name"))


INSTANCES: Final[dict[str, Callable[[dict[str, Value]], Value]]] = {
    "Tuple": Tuple,
    "Code": _coded,
    "Concept": lambda values: Concept(tuple(map(_coded, as_list(values.get("codes")))), values.get("display")),
    "Quantity": lambda values: None if values.get("value") is None else stated_quantity(values),
    "Ratio": lambda values: Ratio(values["numerator"], values["denominator"]),
    "ValueSet": _vocabulary("ValueSet"),
    "CodeSystem": _vocabulary("CodeSystem"),
}


def _fhir_instance(kind: str, values: dict[str, Value], home: int) -> Node:
    if kind in PRIMITIVES:
        return Primitive(kind, _raw(values.get("value")), home)
    raw: dict[str, Any] = {"resourceType": kind} if is_resource(kind) else {}
    for name, value in values.items():
        declared = elements(kind).get(name)
        if value is not None and declared is not None:
            names = {fhir_type: json_name for json_name, fhir_type in declared.types}
            raw[names.get(value.type if isinstance(value, Node) else "", declared.types[0][0])] = _raw(value)
    return Node(kind, raw, home)


def _raw(value: Value) -> Any:
    if isinstance(value, Node):
        return value.raw
    if isinstance(value, list):
        return [_raw(part) for part in value]
    if isinstance(value, Code):
        return {"system": value.system, "code": value.code, "display": value.display}
    return str(value) if isinstance(value, Temporal) else value


# Properties


@builds("Property")
def _property(body: Body, node: ElmNode) -> Closure:
    source = body.build(node["source"]) if node.get("source") is not None else None
    slot = body.slot("alias", str(node["scope"])) if source is None else 0
    first, *path = (int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", node["path"]) if part)

    if source is None and not path:  # most of them
        return lambda frame: element_of(frame[slot], first)

    def read(frame: Frame) -> Value:
        value = element_of(source(frame) if source else frame[slot], first)
        for name in path:
            value = element_of(value, name)
        return value

    return read


_OTHERWISE_NAMED: Final = {"lowClosed": "low_closed", "highClosed": "high_closed"}


def element_of(value: Value, name: str | int) -> Value:
    """Return an element of a value: null where it has none of that name."""
    kind = type(value)
    if kind is Tuple:  # tables of drugs are lists of thousands of tuples and codes
        return value.get(name)
    if kind is Node or kind is Primitive:
        return value.property(str(name))
    if value is None:
        return None
    if isinstance(value, list):
        if isinstance(name, int):
            return value[name] if name < len(value) else None
        return [part for part in (element_of(part, name) for part in value) if part is not None]
    if isinstance(value, Interval | Quantity | Ratio | Code | Concept | Vocabulary):
        collected = getattr(value, _OTHERWISE_NAMED.get(str(name), str(name)), None)
        return list(collected) if isinstance(collected, tuple) else collected
    return value if name == "value" else None


# Types


@builds("As")
def _as(body: Body, node: ElmNode) -> Closure:
    operand = body.build(node["operand"])
    specifier = node.get("asTypeSpecifier") or {"name": node["asType"]}
    is_type, strict = matcher(specifier), bool(node.get("strict"))
    if specifier_kind(specifier) == "List" and not strict:
        return operand

    def cast(frame: Frame) -> Value:
        value = operand(frame)
        if value is None or is_type(value):
            return value
        if strict:
            raise CqlError(f"A {type_name(value)} is not of the type that it is cast to.")
        return None

    return cast


@builds("Is")
def _is(body: Body, node: ElmNode) -> Closure:
    operand = body.build(node["operand"])
    is_type = matcher(node.get("isTypeSpecifier") or {"name": node["isType"]})
    return lambda frame: (value := operand(frame)) is not None and is_type(value)


# Conversions: what cannot be converted is null


def _to_decimal(value: Value) -> Decimal | None:
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        return None
    return Decimal(value) if isinstance(value, str | int | Decimal) else None


def _to_whole(kind: str) -> Callable[[Value], Value]:
    lowest, highest = extreme(kind, -1), extreme(kind, 1)

    def convert(value: Value) -> Value:
        if isinstance(value, str) and not _INTEGER.fullmatch(value):
            return None
        number = int(value) if isinstance(value, str | int) else None
        if number is None or not lowest <= number <= highest:
            return None
        return Long(number) if kind == "Long" else number

    return convert


def _to_text(value: Value) -> str | None:
    """Return the value as a text in CQL's spelling."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Temporal):
        with_time = value.kind == "DateTime" and len(value.parts) > 3 and value.offset == value.home
        return str(value)[:-6] if with_time else str(value)  # the offset of the evaluation is not written
    if isinstance(value, Quantity):
        return f"{format(value.value, 'f')} '{value.unit}'"
    if isinstance(value, Ratio):
        return f"{_to_text(value.numerator)}:{_to_text(value.denominator)}"
    return str(value) if isinstance(value, int | str) else None


def _to_quantity(value: Value) -> Quantity | None:
    """Return the value as a Quantity: of a number or of a text such as `5.5 'cm'`."""
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        return None if match is None else Quantity(Decimal(match[1]), match[2] or match[3] or "1")
    number = _to_decimal(value)
    return value if isinstance(value, Quantity) else None if number is None else Quantity(number)


_TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True), **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}  # fmt: skip


def _to_boolean(value: Value) -> bool | None:
    if isinstance(value, str):
        return _TRUTHS.get(value.lower())
    return bool(value) if isinstance(value, int | Decimal) and value in (0, 1) else None


def _to_concept(value: Value) -> Concept | None:
    if isinstance(value, list):
        return Concept(tuple(part for part in value if isinstance(part, Code)))
    return Concept((value,), value.display) if isinstance(value, Code) else value if type(value) is Concept else None


def to_date(value: Value) -> Temporal | None:
    """Return the date of a date-time, or of a text."""
    if isinstance(value, Temporal):
        return None if value.kind == "Time" else Temporal("Date", value.parts[:3])
    return read_temporal(value, "Date")


def to_time(value: Value) -> Temporal | None:
    """Return the time of day of a date-time, or of a text."""
    if isinstance(value, Temporal):
        return Temporal("Time", value.parts[3:]) if value.kind == "DateTime" and len(value.parts) > 3 else None
    return read_temporal(re.sub(r"(Z|[+-]\d\d:\d\d)$", "", str(value)), "Time")


def _to_ratio(value: Value) -> Ratio | None:
    parts = [_to_quantity(part) for part in str(value).split(":")]
    return Ratio(parts[0], parts[1]) if len(parts) == 2 and parts[0] and parts[1] else None


_CONVERSIONS: Final[dict[str, Callable[[Value], Value]]] = {
    "Boolean": _to_boolean, "Integer": _to_whole("Integer"), "Long": _to_whole("Long"), "Decimal": _to_decimal,
    "String": _to_text, "Quantity": _to_quantity, "Concept": _to_concept, "Date": to_date, "Time": to_time,
    "Ratio": _to_ratio,
}  # fmt: skip


def _asks(convert: Callable[[Value], Value]) -> Callable[[Value], bool]:
    return lambda value: convert(value) is not None


for _kind, _convert in _CONVERSIONS.items():
    computes(f"To{_kind}")(_convert)
    computes(f"ConvertsTo{_kind}")(_asks(_convert))
computes("DateFrom")(to_date)
computes("TimeFrom")(to_time)


@builds("ToDateTime", "ConvertsToDateTime")
def _to_date_time(body: Body, node: ElmNode) -> Closure:
    body.is_fixed = False
    operand, asks = body.build(node["operand"]), node["type"] == "ConvertsToDateTime"

    def convert(frame: Frame) -> Value:
        value, home = plain(operand(frame)), frame[0].home
        result = value if isinstance(value, Temporal) and value.kind == "DateTime" else None
        if isinstance(value, Temporal) and value.kind == "Date":
            result = Temporal("DateTime", value.parts, home, home)
        result = result or read_temporal(value, "DateTime", home)
        return result if not asks or value is None else result is not None

    return convert


@builds("Convert", "CanConvert")
def _converted(body: Body, node: ElmNode) -> Closure:
    kind = local_name(str((node.get("toTypeSpecifier") or {"name": node.get("toType")})["name"]))
    verb = "To" if node["type"] == "Convert" else "ConvertsTo"
    return body.build({"type": f"{verb}{kind}", "operand": node["operand"]})


@computes("ConvertQuantity")
def convert_quantity(quantity: Quantity, unit: str) -> Quantity | None:
    """Return the quantity in another unit; null where that does not measure the same."""
    try:
        value = in_unit(quantity, unit)
        if value is not None and int(value.as_tuple().exponent) < -8:
            value = value.quantize(SMALLEST, context=EXACT)
        return None if value is None else Quantity(value, unit)
    except InvalidOperation as error:
        raise CqlError("A quantity is too large for its unit.") from error


computes("CanConvertQuantity")(lambda quantity, unit: conversion(quantity.unit, unit) is not None)


@builds("Message")
def _message(body: Body, node: ElmNode) -> Closure:
    source, condition, severity, message = (
        body.build(node.get(part)) for part in ("source", "condition", "severity", "message")
    )

    def send(frame: Frame) -> Value:
        if plain(condition(frame)) is True and severity(frame) == "Error":
            raise CqlError(f"The library ended the evaluation with the message: {message(frame)}")
        return source(frame)

    return send
