"""Compiles literals, types, conversions and the elements of values (CQL Appendix B, sections 1, 3 and 12)."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.fhir_model import PRIMITIVES, Node, Primitive, elements, is_resource
from cards.knowledge.elm.temporal import Temporal, read_temporal
from cards.knowledge.elm.typing_of import local_name, matcher, specifier_kind
from cards.knowledge.elm.units import conversion
from cards.knowledge.elm.values import (
    EXACT,
    SMALLEST,
    Code,
    Concept,
    Interval,
    Long,
    Quantity,
    Ratio,
    Tuple,
    Value,
    Vocabulary,
    in_unit,
    plain,
    type_name,
)

_SYSTEM: Final = "{urn:hl7-org:elm-types:r1}"
_DECIMAL: Final = re.compile(r"[+-]?\d{1,28}(\.\d{1,8})?")
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}")
_QUANTITY: Final = re.compile(r"\s*([+-]?\d{1,28}(?:\.\d{1,28})?)\s*(?:'([^']*)'|([a-z]+))?\s*")


def _raising(message: str) -> Closure:
    def refuse(_frame: Frame) -> Value:
        raise CqlError(message)

    return refuse


@builds("Literal")
def _literal(compiler: Compiler, node: ElmNode) -> Closure:
    kind, text = local_name(str(node["valueType"])), str(node.get("value", ""))
    value: Value
    if kind == "String":
        value = text
    elif kind == "Boolean":
        value = text.lower() == "true"
    elif kind in {"Integer", "Long"}:
        value = _whole(text, kind)
    else:
        value = to_decimal(text)
    return _raising(f"The literal {text} is not a {kind}.") if value is None else compiler.constant(value)


def _whole(text: str, kind: str) -> Value:
    if not _INTEGER.fullmatch(text):
        return None
    number, bits = int(text), 31 if kind == "Integer" else 63
    if not -(2**bits) <= number < 2**bits:
        return None
    return number if kind == "Integer" else Long(number)


@builds("Quantity")
def _quantity(compiler: Compiler, node: ElmNode) -> Closure:
    if node.get("value") is None:
        return compiler.constant(None)
    return compiler.constant(Quantity(_exact(node["value"]), str(node.get("unit") or "1")))


def _exact(number: Any) -> Decimal:
    return (
        number if isinstance(number, Decimal) else Decimal(repr(number) if isinstance(number, float) else str(number))
    )


@builds("Ratio")
def _ratio(compiler: Compiler, node: ElmNode) -> Closure:
    parts = [
        Quantity(_exact(node[name]["value"]), str(node[name].get("unit") or "1"))
        for name in ("numerator", "denominator")
    ]
    return compiler.constant(Ratio(parts[0], parts[1]))


@builds("Tuple")
def _tuple(compiler: Compiler, node: ElmNode) -> Closure:
    closures = {element["name"]: compiler.build(element["value"]) for element in node.get("element", ())}

    def construct(frame: Frame) -> Value:
        return Tuple({name: closure(frame) for name, closure in closures.items()})

    return construct


@builds("Instance")
def _instance(compiler: Compiler, node: ElmNode) -> Closure:
    closures = {element["name"]: compiler.build(element["value"]) for element in node.get("element", ())}
    kind = str(node["classType"])
    if kind.startswith(_SYSTEM):
        make = _SYSTEM_INSTANCES.get(local_name(kind))
        if make is None:
            raise NotSupported(f"Instances of {local_name(kind)} are not supported.")
        return lambda frame: make({name: closure(frame) for name, closure in closures.items()})
    compiler.reads_evaluation()
    local = local_name(kind)

    def construct(frame: Frame) -> Value:
        values = {name: closure(frame) for name, closure in closures.items()}
        return _fhir_instance(local, values, frame[0].home)

    return construct


def _vocabulary(kind: str) -> Callable[[dict[str, Value]], Vocabulary]:
    return lambda values: Vocabulary(kind, values.get("id"), values.get("version"), values.get("name"))


_SYSTEM_INSTANCES: Final[dict[str, Callable[[dict[str, Value]], Value]]] = {
    "Code": lambda values: Code(*(values.get(name) for name in ("code", "system", "version", "display"))),
    "Concept": lambda values: Concept(tuple(_listed(values.get("codes"))), values.get("display")),
    "Quantity": lambda values: (
        None if values.get("value") is None else Quantity(Decimal(values["value"]), values.get("unit") or "1")
    ),
    "Ratio": lambda values: Ratio(values["numerator"], values["denominator"]),
    "ValueSet": _vocabulary("ValueSet"),
    "CodeSystem": _vocabulary("CodeSystem"),
}


def _listed(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _fhir_instance(kind: str, values: dict[str, Value], home: int) -> Node:
    if kind in PRIMITIVES:
        return Primitive(kind, _raw(values.get("value")), home)
    raw: dict[str, Any] = {"resourceType": kind} if is_resource(kind) else {}
    for name, value in values.items():
        declared = elements(kind).get(name)
        if value is None or declared is None:
            continue
        kinds = {fhir_type: json_name for json_name, fhir_type in declared.types}
        json_name = kinds.get(value.type if isinstance(value, Node) else "", declared.types[0][0])
        raw[json_name] = _raw(value)
    return Node(kind, raw, home)


def _raw(value: Value) -> Any:
    if isinstance(value, Node):
        return value.raw
    if isinstance(value, list):
        return [_raw(part) for part in value]
    if isinstance(value, Temporal):
        return str(value)
    if isinstance(value, Code):
        return {"system": value.system, "code": value.code, "display": value.display}
    return value


# Properties


@builds("Property")
def _property(compiler: Compiler, node: ElmNode) -> Closure:
    path = _path(str(node["path"]))
    if node.get("source") is not None:
        source = compiler.build(node["source"])
    else:
        slot = compiler.slot("alias", str(node["scope"]))
        if len(path) == 1:
            (name,) = path
            return lambda frame: element_of(frame[slot], name)

        def source(frame: Frame) -> Value:
            return frame[slot]

    if len(path) == 1:
        (only,) = path
        return lambda frame: element_of(source(frame), only)

    def read(frame: Frame) -> Value:
        value = source(frame)
        for name in path:
            value = element_of(value, name)
        return value

    return read


def _path(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", path) if part]


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
    if kind is Code:
        return getattr(value, str(name), None)
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
def _as(compiler: Compiler, node: ElmNode) -> Closure:
    operand = compiler.build(node["operand"])
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
def _is(compiler: Compiler, node: ElmNode) -> Closure:
    operand = compiler.build(node["operand"])
    is_type = matcher(node.get("isTypeSpecifier") or {"name": node["isType"]})
    return lambda frame: (value := operand(frame)) is not None and is_type(value)


# Conversions: what cannot be converted is null


def to_decimal(value: Value) -> Decimal | None:
    """Return the value as a Decimal; null for what is not one."""
    if isinstance(value, str):
        return Decimal(value) if _DECIMAL.fullmatch(value) else None
    return Decimal(value) if isinstance(value, int | Decimal) else None


def _to_integer(value: Value, kind: str) -> Value:
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 10 and kind == "Integer":
        return int(value)  # tables of drugs have their codes as texts
    return _whole(str(int(value) if isinstance(value, bool) else value), kind) if isinstance(value, str | int) else None


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
    if isinstance(value, Quantity):
        return value
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        return None if match is None else Quantity(Decimal(match[1]), match[2] or match[3] or "1")
    number = to_decimal(value)
    return None if number is None else Quantity(number)


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


def _to_date(value: Value) -> Temporal | None:
    if isinstance(value, Temporal):
        return None if value.kind == "Time" else Temporal("Date", value.parts[:3])
    return read_temporal(value, "Date")


@builds("ToDateTime", "ConvertsToDateTime")
def _to_date_time(compiler: Compiler, node: ElmNode) -> Closure:
    compiler.reads_evaluation()
    operand, asks = compiler.build(node["operand"]), node["type"] == "ConvertsToDateTime"

    def convert(frame: Frame) -> Value:
        value, home = plain(operand(frame)), frame[0].home
        if isinstance(value, Temporal) and value.kind == "Date":
            result: Temporal | None = Temporal("DateTime", value.parts, home, home)
        elif isinstance(value, Temporal):
            result = value if value.kind == "DateTime" else None
        else:
            result = read_temporal(value, "DateTime", home)
        return result if not asks else None if value is None else result is not None

    return convert


def _to_time(value: Value) -> Temporal | None:
    if isinstance(value, Temporal):
        return Temporal("Time", value.parts[3:]) if value.kind == "DateTime" and len(value.parts) > 3 else None
    return read_temporal(re.sub(r"(Z|[+-]\d\d:\d\d)$", "", str(value)), "Time")


def _to_ratio(value: Value) -> Ratio | None:
    parts = [_to_quantity(part) for part in str(value).split(":")]
    return Ratio(parts[0], parts[1]) if len(parts) == 2 and parts[0] and parts[1] else None


def _converts(kind: str, convert: Callable[[Value], Value]) -> None:
    computes(f"To{kind}")(convert)
    computes(f"ConvertsTo{kind}")(lambda value: convert(value) is not None)


_converts("Boolean", _to_boolean)
_converts("Integer", lambda value: _to_integer(value, "Integer"))
_converts("Long", lambda value: _to_integer(value, "Long"))
_converts("Decimal", to_decimal)
_converts("String", _to_text)
_converts("Quantity", _to_quantity)
_converts("Concept", _to_concept)
_converts("Date", _to_date)
_converts("Time", _to_time)
_converts("Ratio", _to_ratio)


@builds("Convert", "CanConvert")
def _convert(compiler: Compiler, node: ElmNode) -> Closure:
    kind = local_name(str((node.get("toTypeSpecifier") or {"name": node.get("toType")})["name"]))
    verb = "To" if node["type"] == "Convert" else "ConvertsTo"
    return compiler.build({"type": f"{verb}{kind}", "operand": node["operand"]})


@computes("ConvertQuantity")
def convert_quantity(quantity: Quantity, unit: str) -> Quantity | None:
    """Return the quantity in another unit; null where that does not measure the same."""
    try:
        value = in_unit(quantity, unit)
        finer = value is not None and int(value.as_tuple().exponent) < -8
        value = value.quantize(SMALLEST, context=EXACT) if finer and value is not None else value
        return None if value is None else Quantity(value, unit)
    except InvalidOperation as error:
        raise CqlError("A quantity is too large for its unit.") from error


computes("CanConvertQuantity")(lambda quantity, unit: conversion(quantity.unit, unit) is not None)


@builds("Message")
def _message(compiler: Compiler, node: ElmNode) -> Closure:
    source, condition, severity, message = (
        compiler.build(node.get(part)) for part in ("source", "condition", "severity", "message")
    )

    def send(frame: Frame) -> Value:
        if plain(condition(frame)) is True and severity(frame) == "Error":
            raise CqlError(f"The library ended the evaluation with the message: {message(frame)}")
        return source(frame)

    return send
