"""Maps the value of an OBX segment (OBX-2, 5, 6) to FHIR: a number is read as it stands, or refused with the reason."""

import re
from datetime import tzinfo
from typing import Any, Final

from cds_hooks.events.v2.coding import code_system, concept
from cds_hooks.events.v2.message import Segment
from cds_hooks.events.v2.times import read_time

_DIGITS: Final = r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})"
"""A number (NM): the point may begin or end it."""
_NUMBER: Final = re.compile(_DIGITS)
_COMMA: Final = re.compile(r"[+-]?[0-9]{1,12},[0-9]{1,12}")
_COMPARED: Final = re.compile(rf"(<=|>=|<|>) ?({_DIGITS})")
_COMPARATORS: Final = frozenset({"<", "<=", ">=", ">"})
_CODED: Final = frozenset({"CE", "CWE", "CNE", "IS", "CF"})
_TEXT: Final = frozenset({"ST", "TX", "FT", "VR"})
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def observation_value(obx: Segment, zone: tzinfo, decimal: str) -> tuple[dict[str, Any], str | None]:
    """Return the members of an Observation for its value, and what is wrong with it; None where nothing is."""
    kind = obx.text(2)
    if not obx.whole(5) or obx.whole(5) == '""':
        return {}, None
    if kind in ("NM", "SN") and obx.repetitions(5) > 1:
        return {"valueString": obx.whole(5)}, "repeated-number"
    if kind == "NM":
        return _number(obx, obx.text(5), decimal)
    if kind == "SN":
        return _structured(obx, decimal)
    if kind in _CODED:
        value = concept(obx, 5)
        return ({"valueCodeableConcept": value} if value else {}), None
    if kind in ("DT", "DTM", "TS"):
        time = read_time(obx.text(5), zone)
        return ({"valueDateTime": time.text} if time is not None else {}), None
    return _text(obx, decimal) if kind in _TEXT else ({"valueString": obx.text(5)}, None)


def _number(obx: Segment, text: str, decimal: str) -> tuple[dict[str, Any], str | None]:
    if decimal == "," and _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif _COMMA.fullmatch(text):
        return {"dataAbsentReason": _absent("error", f"{text} has a decimal comma")}, "decimal-comma"
    if _NUMBER.fullmatch(text):
        return _quantity(obx, text)
    compared = _COMPARED.fullmatch(text)
    if compared is not None:
        return _quantity(obx, compared[2], compared[1])
    return {"dataAbsentReason": _absent("error", text[:80])}, "text-in-number"


def _structured(obx: Segment, decimal: str) -> tuple[dict[str, Any], str | None]:
    comparator, first, separator, second = (obx.text(5, part) for part in (1, 2, 3, 4))
    if not separator and not second and first:
        members, fault = _number(obx, first, decimal)
        if "valueQuantity" in members and comparator in _COMPARATORS:
            members["valueQuantity"]["comparator"] = comparator
        elif "valueQuantity" in members and comparator not in ("", "="):
            return {"valueString": f"{comparator} {first}"}, None
        return members, fault
    if separator == "-" and _NUMBER.fullmatch(first) and _NUMBER.fullmatch(second):
        bounds = {"low": _quantity(obx, first)[0], "high": _quantity(obx, second)[0]}
        return {"valueRange": {name: bound["valueQuantity"] for name, bound in bounds.items()}}, None
    if separator in ("/", ":") and _NUMBER.fullmatch(first) and _NUMBER.fullmatch(second):
        parts = {"numerator": {"value": _json_number(first)}, "denominator": {"value": _json_number(second)}}
        return {"valueRatio": parts}, None
    return {"valueString": " ".join(part for part in (comparator, first, separator, second) if part)}, None


def _text(obx: Segment, decimal: str) -> tuple[dict[str, Any], str | None]:
    """Return a number in a text is a number where it has a unit or a comparator: laboratories send "<0.01" so."""
    text = "\n".join(obx.text(5, repetition=at) for at in range(obx.repetitions(5)))
    if obx.text(2) == "ST" and (_COMPARED.fullmatch(text) or (obx.text(6) and _NUMBER.fullmatch(text))):
        return _number(obx, text, decimal)
    whole = text if obx.repetitions(5) > 1 else obx.unescaped(obx.whole(5))
    return {"valueString": whole}, None


def _quantity(obx: Segment, number: str, comparator: str = "") -> tuple[dict[str, Any], str | None]:
    quantity: dict[str, Any] = {"value": _json_number(number)}
    if comparator:
        quantity["comparator"] = comparator
    code, words, system = obx.text(6), obx.text(6, 2), obx.text(6, 3)
    if not code and not words:
        return {"valueQuantity": quantity}, "no-unit"
    quantity["unit"] = code or words
    if code_system(system) == "http://unitsofmeasure.org":
        quantity |= {"system": "http://unitsofmeasure.org", "code": code}
    return {"valueQuantity": quantity}, None


def _json_number(text: str) -> float | int:
    return float(text) if "." in text else int(text)


def json_number(text: str) -> float | int | None:
    """Return the number that a text is; None for any other text."""
    return _json_number(text) if _NUMBER.fullmatch(text) else None


def _absent(code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": _ABSENT, "code": code}], "text": text}
