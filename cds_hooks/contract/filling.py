"""Fills a prefetch template and answers its query from a chart, as a client with the patient's data at hand does."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from cds_hooks.contract.charts import USER, Chart, Resource
from cds_hooks.contract.navigation import values_of

_TOKEN: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_TODAY: Final = re.compile(r"today\(\)(?:\s*([+-])\s*(\d+)\s*days?)?")
_NEEDS_THREE: Final = re.compile(r"[%(|]|context\.\w+\.")
_NONE: Final[Mapping[str, Any]] = {}
_DATES: Final = {
    "date": ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "period", "performedDateTime", "start"),
    "authoredon": ("authoredOn",),
    "authored": ("authoredOn",),
    "onset-date": ("onsetDateTime",),
    "recorded-date": ("recordedDate",),
}
_CODES: Final = {
    "code": ("code", "medicationCodeableConcept", "vaccineCode"),
    "category": ("category",),
    "status": ("status",),
    "intent": ("intent",),
    "clinical-status": ("clinicalStatus",),
    "verification-status": ("verificationStatus",),
    "class": ("class",),
}


def fill(template: str, context: Mapping[str, Any], today: date, answers: Mapping[str, Any] = _NONE) -> str | None:
    """The query, every token replaced; None where a token has no value here, as the specification has it.

    `answers` are those of the templates before this one, which tokens of 3.0 may name.
    """
    user = str(context.get("userId", ""))
    kind, _, bare = user.partition("/")
    tokens = {f"user{kind}Id": bare} if kind and bare else {}
    tokens |= {f"context.{name}": value for name, value in context.items() if isinstance(value, str)}
    missing = False

    def value_of(match: re.Match[str]) -> str:
        nonlocal missing
        value = tokens.get(match[1]) or _day(match[1], today) or _path(match[1], context, answers)
        missing = missing or value is None
        return str(value)

    query = _TOKEN.sub(value_of, template)
    return None if missing else query


def _path(token: str, context: Mapping[str, Any], answers: Mapping[str, Any]) -> str | None:
    """The values a FHIRPath token finds, as alternatives of a search (TOK-13)."""
    found = values_of(token, context, answers) if _NEEDS_THREE.search(token) else None
    return ",".join(found) if found else None


def _day(token: str, today: date) -> str | None:
    match = _TODAY.fullmatch(token)
    if match is None:
        return None
    days = int(match[2] or 0)
    return (today + timedelta(days=-days if match[1] == "-" else days)).isoformat()


def answer(query: str, chart: Chart, base: str) -> Resource | None:
    """What a FHIR server at `base` with this chart answers: a resource (None: there is none) or a searchset Bundle.

    Parameters it does not know are ignored, as lenient servers do: then more is found, never less.
    """
    path, _, search = query.partition("?")
    everything = [*chart.resources, USER]
    if not search and "/" in path:
        kind, _, identifier = path.partition("/")
        return next(
            (each for each in everything if each["resourceType"] == kind and each.get("id") == identifier), None
        )
    found = [each for each in everything if each["resourceType"] == path]
    parameters = parse_qsl(search)
    for name, value in parameters:
        found = [each for each in found if _matches(each, name, value)]
    return searchset(_limited(found, dict(parameters)), base)


def searchset(resources: Iterable[Resource], base: str) -> Resource:
    """The Bundle a search is answered with; without `entry` where nothing was found."""
    found = [
        {"fullUrl": f"{base}/{each['resourceType']}/{each.get('id')}", "resource": each, "search": {"mode": "match"}}
        for each in resources
    ]
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return bundle | ({"entry": found} if found else {})


def _matches(resource: Resource, name: str, value: str) -> bool:
    if name == "_id":
        return resource.get("id") in value.split(",")
    if name in _CODES:
        return _has_code(resource, _CODES[name], value.split(","))
    if name in _DATES:
        return _in_range(resource, _DATES[name], value)
    return True


def _has_code(resource: Resource, elements: Iterable[str], wanted: list[str]) -> bool:
    held = {token for element in elements for token in _tokens(resource.get(element))}
    return any(token in held for token in wanted)


def _tokens(value: Any) -> set[str]:
    """`code`, `system|code` of a code, Coding, CodeableConcept or a list of them."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, list):
        return {token for item in value for token in _tokens(item)}
    if not isinstance(value, dict):
        return set()
    tokens = _tokens(value.get("coding"))
    if isinstance(value.get("code"), str):
        tokens |= {value["code"], f"{value.get('system', '')}|{value['code']}"}
    return tokens


def _in_range(resource: Resource, elements: Iterable[str], value: str) -> bool:
    prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
    charted = _charted(resource, elements)[: len(text)]
    if not charted:
        return False
    compared = {
        "ge": charted >= text,
        "gt": charted > text,
        "le": charted <= text,
        "lt": charted < text,
        "eq": charted == text,
    }
    return compared.get(prefix, True)


def _charted(resource: Resource, elements: Iterable[str]) -> str:
    for element in elements:
        value = resource.get(element)
        if isinstance(value, dict):
            value = value.get("start") or value.get("end")
        if isinstance(value, str):
            return value
    return ""


def _limited(found: list[Resource], parameters: dict[str, str]) -> list[Resource]:
    order = parameters.get("_sort", "")
    elements = _DATES.get(order.lstrip("-"))
    if elements:
        found = sorted(found, key=lambda each: _charted(each, elements), reverse=order.startswith("-"))
    count = parameters.get("_count", "")
    return found[: int(count)] if count.isdigit() else found
